//! Files that are complete or absent: written beside their place, then renamed into it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// How the name of a file begins that has no name of its own yet.
const WRITING: &str = ".writing-";

/// Writes `path` through `fill`; on any error, or a kill, the old content stays untouched.
///
/// Creates the parent folder. The file is synced before the rename, so a name that exists holds all its bytes.
///
/// # Errors
///
/// What `fill` returns, and the system's refusals: no permission, a full disk.
pub fn write<E: From<std::io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> Result<(), E>,
) -> Result<(), E> {
    let temporary = beside(path)?;
    let mut writer = BufWriter::new(temporary.as_file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    persist(temporary, path)?;
    Ok(())
}

/// Writes `value` as indented JSON, atomically.
///
/// # Errors
///
/// A value that has no form in JSON (a map whose keys are no strings), and the system's refusals.
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> std::io::Result<()> {
    write(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

/// A temporary file in the folder of `path`, which is created: for content that comes piece by piece, until
/// [`persist`] gives it its name.
///
/// # Errors
///
/// The folder, or a file in it, cannot be made.
pub fn beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    tempfile::Builder::new().prefix(WRITING).tempfile_in(folder)
}

/// Syncs a finished temporary file and gives it its name, readable like any file of the user's.
///
/// # Errors
///
/// The system cannot write, sync or rename it; what was at `path` is untouched.
pub fn persist(temporary: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    let file = temporary.as_file();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are private; artifacts are meant to be opened by other tools.
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

/// Removes what killed processes left of files that they were writing, in `folder` and below. For whoever knows that no
/// other process writes there.
///
/// # Errors
///
/// The system cannot list a folder or remove a file.
pub fn sweep(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sweep(&entry.path())?;
        } else if entry.file_name().to_string_lossy().starts_with(WRITING) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
