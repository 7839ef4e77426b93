//! Room on the disk that is set aside while there is some, so that a full disk cannot keep a run
//! from being destroyed.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const BALLAST: &str = "ballast";
/// The logs of a destroy, the state's last copies and the report: a tenth of it.
const SIZE: u64 = 4 << 20;
/// What a run needs to begin with: terraform's logs and state, the packed image, what is watched.
const LEAST: u64 = 64 << 20;

/// Where a run's folder lies, as far as it matters to locks and durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    Disk,
    /// Locks and durability are another machine's.
    Network,
    /// Gone with the power.
    Memory,
}

/// Sets the room aside; really allocated, not only promised.
pub fn take_on(folder: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join(BALLAST))?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SIZE) {
        // A file system without the call: then the run goes without.
        Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives the room free.
pub fn release(folder: &Path) {
    let _ = std::fs::remove_file(folder.join(BALLAST));
}

/// How much room there is for an ordinary user, if it is too little to begin with.
pub fn too_little(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    (free < LEAST).then_some(free)
}

pub fn ground(folder: &Path) -> Ground {
    // statfs(2): NFS, SMB, SMB2, tmpfs.
    const NETWORK: [u64; 3] = [0x6969, 0x517b, 0xfe53_4d42];
    const MEMORY: u64 = 0x0102_1994;
    match rustix::fs::statfs(folder).map(|stat| stat.f_type as u64 & 0xffff_ffff) {
        Ok(kind) if NETWORK.contains(&kind) => Ground::Network,
        Ok(MEMORY) => Ground::Memory,
        _ => Ground::Disk,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_ballast_takes_real_room_and_gives_it_back() {
        let home = tempfile::tempdir().unwrap();
        take_on(home.path()).unwrap();
        let ballast = std::fs::metadata(home.path().join(BALLAST)).unwrap();
        assert!(
            ballast.blocks() * 512 >= SIZE,
            "{} blocks",
            ballast.blocks()
        );
        release(home.path());
        release(home.path());
        assert!(!home.path().join(BALLAST).exists());
        assert_eq!(too_little(home.path()), None);
    }

    #[test]
    fn a_folder_in_memory_is_known() {
        assert_eq!(ground(Path::new("/dev/shm")), Ground::Memory);
    }
}
