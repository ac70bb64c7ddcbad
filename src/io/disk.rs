//! The file system under a folder: how much room it has, and whether other machines share it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statfs, statvfs};

/// The room of one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still write.
    pub free: u64,
    /// The file system: folders with the same number share its room.
    pub device: u64,
}

/// The room under a folder that is there or will be made; `None` where the file system does not tell.
pub fn room(folder: &Path) -> io::Result<Option<Room>> {
    let existing = existing(folder)?;
    let stat = statvfs(&existing)?;
    let device = std::fs::metadata(existing)?.dev();
    Ok((stat.f_blocks > 0).then(|| Room { free: stat.f_bavail.saturating_mul(stat.f_frsize), device }))
}

/// Whether this process may make files and folders where a folder is or will be made.
pub fn takes_files(folder: &Path) -> io::Result<()> {
    let existing = existing(folder)?;
    if !existing.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(&existing, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// What is there already of the way to a folder.
fn existing(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    Ok(folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_owned())
}

/// The network file system that holds a folder, if it is one.
pub fn network(folder: &Path) -> io::Result<Option<&'static str>> {
    Ok(network_of(statfs(folder)?.f_type.cast_unsigned()))
}

/// The kind of a network file system by its magic number (statfs(2), linux/magic.h). FUSE and 9p are not among them:
/// both also carry local folders, into containers and virtual machines.
fn network_of(magic: u64) -> Option<&'static str> {
    // Some kernels extend the sign of a 32-bit number.
    match magic & 0xffff_ffff {
        0x6969 => Some("NFS"),
        0xff53_4d42 => Some("CIFS"),
        0x517b | 0xfe53_4d42 => Some("SMB"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x564c => Some("NCP"),
        0x00c3_6400 => Some("Ceph"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        0x7461_636f => Some("OCFS2"),
        0x0116_1970 => Some("GFS2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic() {
        let [nfs, cifs, extended] = [0x6969, 0xff53_4d42, 0xffff_ffff_ff53_4d42].map(network_of);
        assert_eq!((nfs, cifs, extended), (Some("NFS"), Some("CIFS"), Some("CIFS")));
        let local = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0x6573_5546];
        assert_eq!(local.map(network_of), [None; 7], "ext4, XFS, Btrfs, tmpfs, overlay, ZFS, FUSE");
        assert_eq!(network(Path::new("/proc")).unwrap(), None);
    }

    #[test]
    fn the_room_of_a_folder_that_will_be_made_is_that_of_its_file_system() {
        let base = tempfile::tempdir().unwrap();
        let now = room(base.path()).unwrap().unwrap();
        let later = room(&base.path().join("out/night")).unwrap().unwrap();
        assert_eq!(now.device, later.device);
        assert!(now.free > 0);
        assert_eq!(room(Path::new("/proc")).unwrap(), None, "it has no blocks to tell of");
    }

    #[test]
    fn a_file_is_no_place_for_a_folder() {
        let base = tempfile::tempdir().unwrap();
        takes_files(&base.path().join("out/night")).unwrap();
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(takes_files(&file.join("night")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
