//! PostgreSQL's programs on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::is_initialized;
use crate::local::error::{LocalError, Result};
use crate::local::state::State;

/// PostgreSQL's programs: those on the PATH, else the newest under `/usr/lib/postgresql`, where
/// Debian keeps them off the PATH.
///
/// # Errors
/// [`LocalError::NoPostgres`].
pub fn find() -> Result<PathBuf> {
    installed().next().ok_or(LocalError::NoPostgres)
}

/// The programs for a plane: those of the version that made its data, where it has any.
///
/// # Errors
/// [`LocalError::NoPostgres`], [`LocalError::OtherPostgres`].
pub(in crate::local) fn find_for(state: &State) -> Result<PathBuf> {
    let data = state.postgres_dir.join("data");
    if !is_initialized(state) {
        return find();
    }
    let path = data.join("PG_VERSION");
    let version = fs::read_to_string(&path).map_err(LocalError::io("read", path))?;
    let version = version.trim();
    find()?;
    installed()
        .find(|dir| major_version(dir).as_deref() == Some(version))
        .ok_or_else(|| LocalError::OtherPostgres {
            data,
            version: version.to_owned(),
        })
}

/// `15` of `postgres (PostgreSQL) 15.14 (Debian ...)`.
fn major_version(programs: &Path) -> Option<String> {
    let output = Command::new(programs.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_once("(PostgreSQL) ")?.1;
    let major = version.split(|char: char| !char.is_ascii_digit()).next()?;
    Some(major.to_owned())
}

fn installed() -> impl Iterator<Item = PathBuf> {
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    on_path
        .into_iter()
        .chain(debian_folders(Path::new("/usr/lib/postgresql")))
        .filter(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
}

fn debian_folders(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_tried_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "not-a-version", "17"] {
            fs::create_dir(root.path().join(version)).unwrap();
        }
        let expected = ["17", "15", "9"].map(|version| root.path().join(version).join("bin"));
        assert_eq!(debian_folders(root.path()), expected);
    }
}
