//! Files of this machine that others named or wrote: opened without waiting, and read to a bound.
//!
//! A name may lead to a device that never ends, to a pipe that nobody writes to, or out of the
//! folders that the user meant. So the name is looked up once, and everything is asked of the file
//! that it was found to be: between question and answer no other file can take its place.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileRefused {
    /// A folder, a pipe, a socket or a device.
    #[error("it is {0}, not a file")]
    NotAFile(&'static str),
    /// A file of `/proc` or `/sys` shows the machine, and has no size.
    #[error("it shows the system itself, as files below /proc and /sys do")]
    OfTheSystem,
    /// It has more bytes than are read of its kind.
    #[error("it has more than {}", size(.0))]
    TooLarge(u64),
    /// With its links followed, it lies in none of the folders that may be read.
    #[error("it lies in {}, which is not in the scenario's folder: the option --allow-files permits another one", .0.display())]
    Outside(PathBuf),
    /// The system could not open or read it.
    #[error("{0}")]
    Read(#[from] std::io::Error),
}

impl From<rustix::io::Errno> for FileRefused {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Read(error.into())
    }
}

/// The flag for opening a file without waiting for the other end of a pipe.
pub const WITHOUT_WAITING: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// Fails unless an open file is a regular one, and not the system's.
pub fn ensure_regular(file: &File) -> Result<(), FileRefused> {
    is_regular(file)
}

/// Reads a regular file of at most `most` bytes, wherever it lies.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileRefused> {
    whole(open(path, None)?, most)
}

/// Reads a regular file of at most `most` bytes as UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, FileRefused> {
    text(read(path, most)?)
}

/// Reads a regular file that lies below one of the folders, with all links followed. The folders
/// are absolute and without links.
pub fn read_inside(path: &Path, folders: &[PathBuf], most: u64) -> Result<Vec<u8>, FileRefused> {
    whole(open(path, Some(folders))?, most)
}

/// Reads what the user sends, such as standard input, to its end, as UTF-8.
pub fn read_sent(sent: impl std::io::Read, most: u64) -> Result<String, FileRefused> {
    text(to_its_end(sent, most)?)
}

fn open(path: &Path, folders: Option<&[PathBuf]>) -> Result<File, FileRefused> {
    // The place of the file, not yet the file: opening a device may act on it.
    let place = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    is_regular(&place)?;
    let own_name = PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()));
    if let Some(folders) = folders {
        let found = std::fs::read_link(&own_name)?;
        if !folders.iter().any(|folder| found.starts_with(folder)) {
            let folder = found.parent().unwrap_or(&found).to_owned();
            return Err(FileRefused::Outside(folder));
        }
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(&own_name, flags, Mode::empty())?;
    is_regular(&file)?;
    Ok(File::from(file))
}

/// File systems whose files show the machine: their magic numbers, of linux/magic.h.
const OF_THE_SYSTEM: [u64; 7] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6367_7270, // cgroup2
    0x0027_e0eb, // cgroup
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
];

fn is_regular(file: impl AsFd) -> Result<(), FileRefused> {
    let kind = match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a folder"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => Some("something else"),
    };
    if let Some(kind) = kind {
        return Err(FileRefused::NotAFile(kind));
    }
    let system = fstatfs(&file)?.f_type as u64 & 0xffff_ffff;
    if OF_THE_SYSTEM.contains(&system) {
        return Err(FileRefused::OfTheSystem);
    }
    Ok(())
}

/// Refuses what is too large before it is read.
fn whole(file: File, most: u64) -> Result<Vec<u8>, FileRefused> {
    if file.metadata()?.len() > most {
        return Err(FileRefused::TooLarge(most));
    }
    to_its_end(file, most)
}

/// A file may grow while it is read, so the bound is one of reading.
fn to_its_end(file: impl std::io::Read, most: u64) -> Result<Vec<u8>, FileRefused> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(FileRefused::TooLarge(most));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String, FileRefused> {
    String::from_utf8(bytes).map_err(|_| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text").into()
    })
}

/// Writes a bound for people: `1 MiB`.
fn size(bytes: impl std::borrow::Borrow<u64>) -> String {
    let bytes = *bytes.borrow();
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    fn refused(path: &Path, folders: &[PathBuf]) -> String {
        read_inside(path, folders, 10).unwrap_err().to_string()
    }

    #[test]
    fn only_regular_files_below_the_folders_are_read() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let (own, other) = (home.join("own"), home.join("own-other"));
        for folder in [&own, &other] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("file"), "content").unwrap();
        }
        symlink(own.join("file"), own.join("inside")).unwrap();
        symlink(other.join("file"), own.join("outside")).unwrap();
        symlink(&other, own.join("folder")).unwrap();
        let folders = std::slice::from_ref(&own);
        for name in ["file", "inside", "../own/file"] {
            assert_eq!(
                read_inside(&own.join(name), folders, 10).unwrap(),
                b"content",
                "{name}"
            );
        }
        // A folder that only begins with the same letters is another one.
        for name in ["outside", "folder/file", "../own-other/file"] {
            let said = refused(&own.join(name), folders);
            let lies = format!("it lies in {}, which", other.display());
            assert!(said.starts_with(&lies), "{name}: {said}");
        }
        assert_eq!(
            read_inside(&own.join("outside"), &[own.clone(), other], 10).unwrap(),
            b"content"
        );
    }

    #[test]
    fn devices_pipes_folders_and_files_of_the_system_are_refused_at_once() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let socket = home.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let everywhere = [PathBuf::from("/")];
        for (path, why) in [
            (pipe.as_path(), "it is a pipe, not a file"),
            (socket.as_path(), "it is a socket, not a file"),
            (home.path(), "it is a folder, not a file"),
            (Path::new("/dev/zero"), "it is a device, not a file"),
            (
                Path::new("/proc/self/environ"),
                "it shows the system itself, as files below /proc and /sys do",
            ),
            (
                Path::new("/nowhere/at/all"),
                "No such file or directory (os error 2)",
            ),
        ] {
            assert_eq!(refused(path, &everywhere), why);
            assert_eq!(read(path, 10).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn a_file_is_read_to_its_bound_and_no_further() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789").unwrap();
        assert_eq!(read(file.path(), 10).unwrap().len(), 10);
        assert_eq!(
            read(file.path(), 9).unwrap_err().to_string(),
            "it has more than 9 bytes"
        );
        assert_eq!(
            read_sent(std::io::repeat(b'a'), 2 << 20)
                .unwrap_err()
                .to_string(),
            "it has more than 2 MiB"
        );
        std::fs::write(file.path(), b"\xff").unwrap();
        assert!(read_text(file.path(), 10).is_err());
    }
}
