//! The process at the other end of a connection on this machine, and signals to it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

/// The process that opened this connection, from Linux's tables; `None` if it has ended.
pub(super) fn peer(stream: &TcpStream) -> Option<u32> {
    let (theirs, ours) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let (theirs, ours) = (in_table(theirs)?, in_table(ours)?);
    let line = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|columns| columns.len() > 9 && columns[1] == theirs && columns[2] == ours)?;
    holder(&format!("socket:[{}]", line[9]))
}

/// An address in the form of `/proc/net/tcp`.
fn in_table(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port()))
}

/// The process that has this file open.
fn holder(file: &str) -> Option<u32> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // The processes of other users cannot be read, and some processes end during the search.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let mut links = files.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        if links.any(|link| link.as_os_str() == file) {
            return Some(id);
        }
    }
    None
}

/// Sends a signal, `KILL`.
pub(super) fn signal(process: u32, name: &str) {
    // The process may have ended already.
    let _ = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
}
