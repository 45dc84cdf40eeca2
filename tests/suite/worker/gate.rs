//! A proxy to S3 that holds back or denies the GETs of one object. It passes on all other requests unchanged.
//!
//! With it, a test waits for "in the middle of a shard" without a clock. It is not built on an HTTP library,
//! because no library leaves a request without a response, as a held GET needs it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the gate does with the GETs of a path.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// The gate never answers them.
    Hold,
    /// The gate answers them with 403.
    Deny,
}

/// A gate in front of an emulator.
pub(crate) struct Gate {
    address: String,
    stopped: Receiver<()>,
}

impl Gate {
    /// Starts a gate in front of `target` (`http://127.0.0.1:4566`) for the GETs of paths that start with
    /// `path`.
    pub(crate) fn before(target: &str, path: &'static str, rule: Rule) -> Self {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (reached, stopped) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, target, reached) = (stream?, target.clone(), reached.clone());
                // A client may close its connection: then there is nothing to pass on.
                std::thread::spawn(move || _ = pass(stream, &target, (path, rule), &reached));
            }
            io::Result::Ok(())
        });
        Self { address, stopped }
    }

    /// The URL of S3, through the gate.
    pub(crate) fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the gate has held back or denied a request.
    pub(crate) fn wait(&self) {
        self.stopped.recv().unwrap();
    }
}

fn pass(
    mut client: TcpStream,
    target: &str,
    (path, rule): (&str, Rule),
    stopped: &Sender<()>,
) -> io::Result<()> {
    let (head, rest) = read_head(&mut client)?;
    if head.starts_with(&format!("GET {path}")) {
        // The test may have stopped waiting.
        let _ = stopped.send(());
        return refuse(&mut client, rule);
    }
    let mut server = TcpStream::connect(target)?;
    // One request per connection, so that the gate sees each.
    let (line, headers) = head.split_once("\r\n").unwrap();
    write!(server, "{line}\r\nConnection: close\r\n{headers}")?;
    server.write_all(&rest)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// A request's head with its empty line, and the start of the body that came with it.
///
/// # Errors
/// If the client closes the connection before the empty line, or the connection breaks.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

fn refuse(client: &mut TcpStream, rule: Rule) -> io::Result<()> {
    match rule {
        Rule::Hold => io::copy(client, &mut io::sink()).map(|_| ()),
        Rule::Deny => {
            let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            let length = body.len();
            write!(
                client,
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n"
            )?;
            write!(client, "Content-Length: {length}\r\n\r\n{body}")
        }
    }
}
