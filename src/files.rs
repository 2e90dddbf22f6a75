//! Files that users name, and that may be anything.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Something else than a regular file, by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {0}, and only regular files are read")]
pub struct NotRegular(&'static str);

/// Opens a regular file, or a link to one, for reading. A named pipe that nobody writes to, a
/// terminal or another device would keep its reader waiting for ever.
///
/// # Errors
/// [`NotRegular`], of kind `InvalidInput`, for anything else; otherwise what the system says.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Before it is opened, which can act on a device; and after, for it may have been replaced.
    check(std::fs::metadata(path)?.file_type())?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path)?;
    check(file.metadata()?.file_type())?;
    Ok(file)
}

fn check(found: FileType) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = if found.is_dir() {
        "a folder"
    } else if found.is_fifo() {
        "a named pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        NotRegular(what),
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_might_never_answer_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        for (name, what) in [
            ("pipe", "a named pipe"),
            ("socket", "a socket"),
            ("zero", "a device"),
            ("", "a folder"),
        ] {
            let error = open_regular(&at(name)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let said = format!("it is {what}, and only regular files are read");
            assert_eq!(error.to_string(), said);
        }
    }

    #[test]
    fn a_link_to_a_file_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        let mut text = String::new();
        let mut file = open_regular(&folder.path().join("link")).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }
}
