//! Who may write a library. It runs with all rights of the user, so only root and the user may be able to
//! replace it.
//!
//! The file and every folder above it are checked, links followed. A folder such as `/tmp`, in which users
//! cannot touch each other's files, counts as one that only its owner writes. Nothing is changed, and access
//! lists are not read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Of files whose owner a user namespace does not show (`/proc/sys/kernel/overflowuid`).
const HIDDEN: u32 = 65534;

/// Groups whose members are root if they like: root's own and, on macOS, that of its administrators.
const ROOTS: &[u32] = if cfg!(target_os = "macos") { &[0, 80] } else { &[0] };

const STICKY: u32 = 0o1000;
const BY_GROUP: u32 = 0o020;
const BY_ANYBODY: u32 = 0o002;

/// Why the library at `path` is not loaded, if another user may write it or put another there. One that is
/// not there is not looked at.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let Ok(path) = path.canonicalize() else { return Ok(()) };
    let user = User::of_this_process();
    for place in path.ancestors() {
        let metadata = place.metadata().map_err(|error| format!("{}: {error}", place.display()))?;
        let (owner, group, mode, is_folder) =
            (metadata.uid(), metadata.gid(), metadata.mode(), metadata.is_dir());
        if let Some(who) = user.others(&Rights { owner, group, mode, is_folder }) {
            return Err(format!(
                "{} could be replaced by another user, because {} {who}: give it to yourself alone (chown, chmod go-w)",
                path.display(),
                place.display()
            ));
        }
    }
    Ok(())
}

/// Who runs this process.
struct User {
    id: u32,
    /// The group that has this user as its only member.
    own_group: Option<u32>,
    /// Whether root's files may look like those of an unknown user.
    is_in_namespace: bool,
}

struct Rights {
    owner: u32,
    group: u32,
    mode: u32,
    is_folder: bool,
}

impl User {
    fn of_this_process() -> Self {
        let id = rustix::process::geteuid().as_raw();
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own_group = own_group(id, &text("/etc/passwd"), &text("/etc/group"));
        Self { id, own_group, is_in_namespace: is_in_namespace(&text("/proc/self/uid_map")) }
    }

    /// Who else may write it, in words.
    fn others(&self, rights: &Rights) -> Option<String> {
        let is_hidden = self.is_in_namespace && rights.owner == HIDDEN;
        if rights.owner != 0 && rights.owner != self.id && !is_hidden {
            return Some(format!("belongs to user {}", rights.owner));
        }
        if rights.is_folder && rights.mode & STICKY != 0 {
            return None;
        }
        if rights.mode & BY_ANYBODY != 0 {
            return Some("can be written by anybody".to_owned());
        }
        let is_own = ROOTS.contains(&rights.group) || self.own_group == Some(rights.group);
        (rights.mode & BY_GROUP != 0 && !is_own).then(|| format!("can be written by group {}", rights.group))
    }
}

/// The group of user `id` if it has no other member, as most distributions make one for each user.
fn own_group(id: u32, passwd: &str, group: &str) -> Option<u32> {
    // name:password:uid:gid:...
    let users = passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        Some((*fields.first()?, fields.get(2)?.parse::<u32>().ok()?, fields.get(3)?.parse::<u32>().ok()?))
    });
    let users: Vec<(&str, u32, u32)> = users.collect();
    let (name, _, own) = *users.iter().find(|(_, user, _)| *user == id)?;
    let is_shared = users.iter().any(|(_, user, group)| *group == own && *user != id);
    // name:password:gid:members
    let members = group.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(own)).then(|| fields.get(3).copied().unwrap_or_default())
    })?;
    let mut members = members.split(',').map(str::trim).filter(|member| !member.is_empty());
    (!is_shared && members.all(|member| member == name)).then_some(own)
}

/// Whether a map of user ids leaves some out.
fn is_in_namespace(uid_map: &str) -> bool {
    let fields: Vec<&str> = uid_map.split_whitespace().collect();
    !fields.is_empty() && fields != ["0", "0", "4294967295"]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn others(owner: u32, group: u32, mode: u32, is_folder: bool) -> Option<String> {
        let user = User { id: 1000, own_group: Some(1000), is_in_namespace: false };
        user.others(&Rights { owner, group, mode, is_folder })
    }

    #[test]
    fn only_root_and_the_user_may_write_it() {
        for owner in [0, 1000] {
            assert_eq!(others(owner, 7, 0o755, true), None);
            assert_eq!(others(owner, 1000, 0o775, false), None);
            assert_eq!(others(owner, 0, 0o777 | STICKY, true), None);
            assert_eq!(others(owner, 7, 0o775, true).as_deref(), Some("can be written by group 7"));
            assert_eq!(others(owner, 0, 0o757, true).as_deref(), Some("can be written by anybody"));
            assert_eq!(others(owner, 0, 0o757 | STICKY, false).as_deref(), Some("can be written by anybody"));
        }
        assert_eq!(others(1001, 0, 0o400, false).as_deref(), Some("belongs to user 1001"));
        assert_eq!(others(1001, 0, 0o555 | STICKY, true).as_deref(), Some("belongs to user 1001"));
        assert!(others(HIDDEN, HIDDEN, 0o755, true).is_some());
        let inside = User { id: 0, own_group: None, is_in_namespace: true };
        let of_root = Rights { owner: HIDDEN, group: HIDDEN, mode: 0o755, is_folder: true };
        assert_eq!(inside.others(&of_root), None);
    }

    #[test]
    fn a_group_is_ones_own_if_nobody_else_is_in_it() {
        let passwd = "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n";
        let group = "root:x:0:\nann:x:1000:\nbob:x:1001:bob\n";
        assert_eq!(
            (own_group(1000, passwd, group), own_group(1001, passwd, group)),
            (Some(1000), Some(1001))
        );
        assert_eq!(own_group(1000, passwd, "ann:x:1000:ann,bob\n"), None);
        assert_eq!(own_group(1000, &passwd.replace("1001:1001", "1001:1000"), group), None);
        assert_eq!(own_group(1002, passwd, group), None);
        assert!(!is_in_namespace("         0          0 4294967295\n"));
        assert!(is_in_namespace("         0       1000          1\n"));
    }

    #[test]
    fn a_library_that_anybody_may_replace_is_refused_with_the_place_that_lets_them() {
        let folder = tempfile::tempdir().unwrap();
        let (open, library) = (folder.path().join("open"), folder.path().join("open/libengine.so"));
        fs::create_dir(&open).unwrap();
        fs::write(&library, "").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(check(&library), Ok(()));
        set(&library, 0o666);
        assert!(check(&library).unwrap_err().contains("libengine.so can be written by anybody"));
        set(&library, 0o644);
        set(&open, 0o777);
        assert!(check(&library).unwrap_err().contains("/open can be written by anybody"));
        let link = folder.path().join("libengine.so");
        std::os::unix::fs::symlink("open/libengine.so", &link).unwrap();
        assert!(check(&link).unwrap_err().contains("/open can be written by anybody"), "links are followed");
        set(&open, 0o1777);
        assert_eq!(check(&link), Ok(()));
        assert_eq!(check(&folder.path().join("none")), Ok(()));
    }
}
