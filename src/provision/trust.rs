//! Whether nobody else can fill or replace a folder: its owner, its mode, its group, and the folders
//! on the way to it.
//!
//! It leaves out access lists beyond the mode: where one gives others the right to write, the bits
//! of the group show it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

/// The way in which somebody else could fill or replace a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// A link leads to a place that may change.
    #[error("{} is a link, or no folder", .0.display())]
    NotAFolder(PathBuf),
    /// Its owner may change everything in it.
    #[error("{} belongs to another user", .0.display())]
    OfAnother(PathBuf),
    /// Its mode lets everybody write.
    #[error("everybody may write to {} (chmod o-w)", .0.display())]
    OpenToAll(PathBuf),
    /// Its mode lets a group write that may have other members than the user.
    #[error("a group may write to {} that is not its user's alone (chmod g-w)", .0.display())]
    OpenToGroup(PathBuf),
}

/// The user as whom a user namespace shows each that it has no id for: in one, root's own folders
/// belong to it. Elsewhere it is `nobody`, a user like others.
const UNMAPPED: u32 = 65_534;
/// Links followed on the way to a folder: the kernel's own limit.
const MOST_LINKS: u32 = 40;

const STICKY: u32 = 0o1000;
const BY_GROUP: u32 = 0o020;
const BY_ALL: u32 = 0o002;

/// Returns how somebody else could fill the folder, or put another one in its place; `None` if
/// nobody can.
pub(crate) fn distrust(folder: &Path) -> io::Result<Option<Distrust>> {
    match distrust_itself(folder)? {
        None => distrust_above(folder),
        found => Ok(found),
    }
}

/// Returns how somebody else could fill the folder, or has put it there; `None` if it is the user's
/// alone. The folders above it are not looked at.
pub(crate) fn distrust_itself(folder: &Path) -> io::Result<Option<Distrust>> {
    let found = Us::now().doubt_in_own(&Seen::at(folder)?);
    Ok(found.map(|doubt| doubt.about(folder)))
}

/// Returns how somebody else could put another folder in place of this one, which need not be there
/// yet.
pub(crate) fn distrust_above(folder: &Path) -> io::Result<Option<Distrust>> {
    on_the_way(folder, &Us::now(), MOST_LINKS)
}

/// Looks at every folder and link above this one, and at those above the ends of the links.
fn on_the_way(folder: &Path, us: &Us, links_left: u32) -> io::Result<Option<Distrust>> {
    for above in std::path::absolute(folder)?.ancestors().skip(1) {
        let seen = match Seen::at(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            seen => seen?,
        };
        if let Some(doubt) = us.doubt_above(&seen) {
            return Ok(Some(doubt.about(above)));
        }
        if seen.kind == Kind::Link {
            let Some(left) = links_left.checked_sub(1) else {
                return Ok(Some(Distrust::NotAFolder(above.to_owned())));
            };
            // An end that is absolute replaces what it is joined to. `x` stands for what lies in it.
            let end = above.with_file_name("").join(std::fs::read_link(above)?);
            if let Some(found) = on_the_way(&end.join("x"), us, left)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The user who runs this process.
#[derive(Debug)]
struct Us {
    user: u32,
    /// Groups without other members.
    groups: Vec<u32>,
    /// True if every user has an id here: this is no user namespace, or one that leaves nobody out.
    sees_all: bool,
}

/// The properties of a folder or link on the disk that tell who may change it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    kind: Kind,
    owner: u32,
    group: u32,
    mode: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    Link,
    Other,
}

/// A [`Distrust`] before it has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    NotAFolder,
    OfAnother,
    OpenToAll,
    OpenToGroup,
}

impl Doubt {
    fn about(self, place: &Path) -> Distrust {
        let place = place.to_owned();
        match self {
            Self::NotAFolder => Distrust::NotAFolder(place),
            Self::OfAnother => Distrust::OfAnother(place),
            Self::OpenToAll => Distrust::OpenToAll(place),
            Self::OpenToGroup => Distrust::OpenToGroup(place),
        }
    }
}

impl Seen {
    fn at(path: &Path) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        let kind = match found.file_type() {
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        Ok(Self {
            kind,
            owner: found.uid(),
            group: found.gid(),
            mode: found.mode(),
        })
    }
}

impl Us {
    fn now() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let own = User::from_uid(Uid::from_raw(user)).ok().flatten();
        let own_name = own.as_ref().map(|own| own.name.as_str());
        // A group of the same name that is the user's first one is made for the user alone.
        let private = own
            .as_ref()
            .map(|own| (own.gid.as_raw(), own.name.as_str()));
        let candidates = [Some((0, "root")), private];
        let groups = candidates.into_iter().flatten();
        let alone = groups.filter(|(group, name)| {
            let found = Group::from_gid(Gid::from_raw(*group)).ok().flatten();
            found.is_some_and(|found| {
                let mut members = found.mem.iter().map(String::as_str);
                found.name == *name
                    && members.all(|member| member == "root" || Some(member) == own_name)
            })
        });
        Self {
            user,
            groups: alone.map(|(group, _)| group).collect(),
            sees_all: std::fs::read_to_string("/proc/self/uid_map")
                .is_ok_and(|map| names_all(&map)),
        }
    }

    /// Returns the doubt in a folder that is to be ours.
    fn doubt_in_own(&self, seen: &Seen) -> Option<Doubt> {
        if seen.kind != Kind::Folder {
            return Some(Doubt::NotAFolder);
        }
        if seen.owner != self.user {
            return Some(Doubt::OfAnother);
        }
        self.doubt_in_mode(seen)
    }

    /// Returns the doubt in a folder or link above ours. In a sticky folder each user renames the
    /// own folders only. Root trusts the owners of the folders above its own.
    fn doubt_above(&self, seen: &Seen) -> Option<Doubt> {
        let is_trusted =
            [self.user, 0].contains(&seen.owner) || (!self.sees_all && seen.owner == UNMAPPED);
        if self.user != 0 && !is_trusted {
            return Some(Doubt::OfAnother);
        }
        match seen.kind {
            Kind::Folder if seen.mode & STICKY == 0 => self.doubt_in_mode(seen),
            // The mode of a link says nothing.
            Kind::Folder | Kind::Link => None,
            Kind::Other => Some(Doubt::NotAFolder),
        }
    }

    fn doubt_in_mode(&self, seen: &Seen) -> Option<Doubt> {
        if seen.mode & BY_ALL != 0 {
            return Some(Doubt::OpenToAll);
        }
        let by_others = seen.mode & BY_GROUP != 0 && !self.groups.contains(&seen.group);
        by_others.then_some(Doubt::OpenToGroup)
    }
}

/// True for the map of a system's own users (user_namespaces(7)): each stands for itself.
fn names_all(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const ADA: u32 = 1000;
    const EVE: u32 = 1001;
    const STAFF: u32 = 50;

    fn folder(owner: u32, group: u32, mode: u32) -> Seen {
        Seen {
            kind: Kind::Folder,
            owner,
            group,
            mode,
        }
    }

    fn ada() -> Us {
        Us {
            user: ADA,
            groups: vec![0, ADA],
            sees_all: true,
        }
    }

    #[test]
    fn a_folder_of_ours_is_one_that_nobody_else_writes_to() {
        let us = ada();
        let link = Seen {
            kind: Kind::Link,
            ..folder(ADA, ADA, 0o777)
        };
        for (seen, doubt) in [
            (folder(ADA, ADA, 0o700), None),
            (folder(ADA, STAFF, 0o755), None),
            (folder(ADA, ADA, 0o775), None),
            (folder(ADA, STAFF, 0o775), Some(Doubt::OpenToGroup)),
            (folder(ADA, EVE, 0o770), Some(Doubt::OpenToGroup)),
            (folder(ADA, ADA, 0o707), Some(Doubt::OpenToAll)),
            // Others could put files into a sticky folder.
            (folder(ADA, ADA, 0o1777), Some(Doubt::OpenToAll)),
            (folder(EVE, EVE, 0o700), Some(Doubt::OfAnother)),
            (folder(0, 0, 0o755), Some(Doubt::OfAnother)),
            (link, Some(Doubt::NotAFolder)),
        ] {
            assert_eq!(us.doubt_in_own(&seen), doubt, "{seen:?}");
        }
    }

    #[test]
    fn nobody_else_renames_the_folders_above() {
        let us = ada();
        let link = |owner| Seen {
            kind: Kind::Link,
            ..folder(owner, STAFF, 0o777)
        };
        for (seen, doubt) in [
            (folder(0, 0, 0o755), None),
            (folder(0, 0, 0o775), None),
            (folder(0, 0, 0o1777), None),
            (folder(UNMAPPED, UNMAPPED, 0o755), Some(Doubt::OfAnother)),
            (folder(ADA, ADA, 0o775), None),
            (folder(0, STAFF, 0o3775), None),
            (folder(0, STAFF, 0o2775), Some(Doubt::OpenToGroup)),
            (folder(ADA, STAFF, 0o775), Some(Doubt::OpenToGroup)),
            (folder(0, 0, 0o777), Some(Doubt::OpenToAll)),
            (folder(EVE, EVE, 0o755), Some(Doubt::OfAnother)),
            (folder(EVE, EVE, 0o1777), Some(Doubt::OfAnother)),
            (link(ADA), None),
            (link(EVE), Some(Doubt::OfAnother)),
        ] {
            assert_eq!(us.doubt_above(&seen), doubt, "{seen:?}");
        }
        let root = Us {
            user: 0,
            groups: vec![0],
            sees_all: true,
        };
        assert_eq!(root.doubt_above(&folder(EVE, EVE, 0o755)), None);
        let open = folder(EVE, EVE, 0o775);
        assert_eq!(root.doubt_above(&open), Some(Doubt::OpenToGroup));
    }

    #[test]
    fn only_a_user_namespace_shows_roots_folders_as_those_of_nobody() {
        assert!(names_all("         0          0 4294967295\n"));
        assert!(!names_all("         0       1000          1\n"));
        assert!(!names_all("0 1000 1\n1 100000 65536\n"));
        let inside = Us {
            sees_all: false,
            ..ada()
        };
        let of_nobody = |mode| folder(UNMAPPED, UNMAPPED, mode);
        assert_eq!(inside.doubt_above(&of_nobody(0o755)), None);
        let open = of_nobody(0o757);
        assert_eq!(inside.doubt_above(&open), Some(Doubt::OpenToAll));
        let of_eve = folder(EVE, EVE, 0o755);
        assert_eq!(inside.doubt_above(&of_eve), Some(Doubt::OfAnother));
    }

    #[test]
    fn the_folders_above_the_end_of_a_link_are_looked_at_too() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let set = |name: &str, mode| {
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in ["open", "open/real", "open/real/own", "closed", "closed/own"] {
            std::fs::create_dir(at(name)).unwrap();
            // A umask may leave more to a group.
            set(name, 0o755);
        }
        set("open", 0o777);
        symlink(at("open/real"), at("way")).unwrap();
        symlink("way", at("longer")).unwrap();
        symlink("closed", at("short")).unwrap();
        let open = || Some(Distrust::OpenToAll(at("open")));
        for (name, found) in [
            ("open/real/own", open()),
            ("way/own", open()),
            ("longer/own", open()),
            ("short/own", None),
            ("closed/own", None),
            ("short", Some(Distrust::NotAFolder(at("short")))),
        ] {
            assert_eq!(distrust(&at(name)).unwrap(), found, "{name}");
        }
        assert_eq!(distrust_above(&at("way/none/yet")).unwrap(), open());
        assert_eq!(distrust_above(&at("closed/none/yet")).unwrap(), None);
        assert!(distrust(&at("closed/none")).is_err(), "it is not there");
        set("open", 0o1777);
        assert_eq!(distrust(&at("way/own")).unwrap(), None);
    }
}
