//! Disk space that is reserved at the start, so that a full disk cannot keep a run from being
//! destroyed.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file that takes the space, in the run's folder.
const RESERVE: &str = "ballast";
/// The size of the reserve. The logs of a destroy, the state's last copies and the report take a
/// tenth of it.
const SIZE: u64 = 4 << 20;
/// Free space that a run needs to begin: terraform's logs and state, the packed image, and the
/// watch's recordings.
const LEAST: u64 = 64 << 20;

/// The kind of file system that a folder is on, as far as it matters to locks and durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// A local disk, or a kind that is not known.
    Disk,
    /// Locks and durability are another machine's.
    Network,
    /// A file system in memory: it is lost with the power.
    Memory,
}

/// Reserves the space; really allocated, not only promised.
pub fn set_aside(folder: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join(RESERVE))?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SIZE) {
        // A file system without the call: then the run goes without.
        Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives the space free.
pub fn release(folder: &Path) {
    drop(std::fs::remove_file(folder.join(RESERVE)));
}

/// Returns the free bytes for an ordinary user, if they are too few to begin with.
pub fn shortage(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    (free < LEAST).then_some(free)
}

/// Returns the kind of file system that a folder is on.
pub fn file_system(folder: &Path) -> FileSystem {
    // statfs(2): NFS, SMB, SMB2, tmpfs.
    const NETWORK: [u64; 3] = [0x6969, 0x517b, 0xfe53_4d42];
    const MEMORY: u64 = 0x0102_1994;
    match rustix::fs::statfs(folder).map(|stat| stat.f_type as u64 & 0xffff_ffff) {
        Ok(kind) if NETWORK.contains(&kind) => FileSystem::Network,
        Ok(MEMORY) => FileSystem::Memory,
        _ => FileSystem::Disk,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_reserve_takes_real_space_and_gives_it_back() {
        let home = tempfile::tempdir().unwrap();
        set_aside(home.path()).unwrap();
        let reserve = std::fs::metadata(home.path().join(RESERVE)).unwrap();
        assert!(
            reserve.blocks() * 512 >= SIZE,
            "{} blocks",
            reserve.blocks()
        );
        release(home.path());
        release(home.path());
        assert!(!home.path().join(RESERVE).exists());
        assert_eq!(shortage(home.path()), None);
    }

    #[test]
    fn a_folder_in_memory_is_known() {
        assert_eq!(file_system(Path::new("/dev/shm")), FileSystem::Memory);
    }
}
