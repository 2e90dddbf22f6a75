//! What the keyring folder promises.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

fn made() -> (tempfile::TempDir, PathBuf, KekId) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("keyring");
    let id = create(&dir).unwrap();
    (parent, dir, id)
}

fn fault(dir: &Path) -> String {
    let shown = dir.display().to_string();
    Keyring::load(dir)
        .unwrap_err()
        .to_string()
        .replace(&shown, "DIR")
}

#[test]
fn a_new_keyring_is_private_and_loads() {
    let (parent, dir, id) = made();
    assert_eq!(Keyring::load(&dir).unwrap().active(), id);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
}

#[test]
fn a_keyring_is_never_overwritten() {
    let (_parent, dir, id) = made();
    assert!(matches!(
        create(&dir),
        Err(KeyringError::AlreadyExists { .. })
    ));
    assert_eq!(Keyring::load(&dir).unwrap().active(), id);
}

#[test]
fn each_fault_of_the_folder_names_the_file() {
    let (_parent, dir, id) = made();
    assert!(fault(&dir.join("absent")).contains("does not exist"));
    assert!(fault(&dir.join("active")).contains("is not a folder"));
    fs::write(dir.join("active"), "0000000000000000").unwrap();
    assert!(fault(&dir).starts_with(&format!(
        "DIR/active names key 0000000000000000, but the folder holds {id}"
    )));
    fs::write(dir.join("active"), "sk-canary").unwrap();
    assert!(fault(&dir).starts_with("DIR/active holds no key id"));
    assert!(!fault(&dir).contains("canary"));
    fs::remove_file(dir.join("active")).unwrap();
    assert!(fault(&dir).starts_with("DIR/active is missing"));
    activate(&dir, &id).unwrap();
    fs::remove_file(dir.join("fingerprint.key")).unwrap();
    assert!(fault(&dir).starts_with("DIR/fingerprint.key is missing"));
    fs::write(dir.join("short.key"), [0; 33]).unwrap();
    assert_eq!(
        fault(&dir),
        "DIR/short.key is 33 bytes long, but a key is exactly 32 raw bytes: was a newline added at its end?"
    );
    fs::remove_file(dir.join("short.key")).unwrap();
    fs::remove_file(dir.join(format!("{id}.key"))).unwrap();
    assert!(fault(&dir).contains("holds no key-encryption key"));
}

#[test]
fn a_broken_new_state_keeps_the_old_keyring_until_it_is_mended() {
    let (_parent, dir, old) = made();
    let handle = KeyringHandle::open(&dir).unwrap();
    assert_eq!(handle.refresh_if_changed().unwrap(), Refresh::Unchanged);
    fs::write(dir.join("active"), "broken").unwrap();
    assert!(handle.refresh_if_changed().is_err());
    assert!(handle.refresh_if_changed().is_err());
    assert_eq!(handle.current().active(), old);
    let new = add(&dir).unwrap();
    activate(&dir, &new).unwrap();
    let reloaded = Refresh::Reloaded {
        active: new,
        active_changed: true,
    };
    assert_eq!(handle.refresh_if_changed().unwrap(), reloaded);
}

#[test]
fn another_fingerprint_key_is_refused_until_the_one_of_before_is_back() {
    let (_parent, dir, _) = made();
    let handle = KeyringHandle::open(&dir).unwrap();
    let check = handle.current().fingerprint_check();
    handle.expect(check.to_vec());
    let right = fs::read(dir.join(FINGERPRINT_KEY)).unwrap();
    fs::write(
        dir.join(FINGERPRINT_KEY),
        *b"another key of thirty-two bytes!",
    )
    .unwrap();
    let refused = handle.refresh_if_changed();
    assert!(matches!(
        refused,
        Err(KeyringError::OtherFingerprintKey { .. })
    ));
    assert!(
        handle.for_fingerprints().is_ok(),
        "the one of before is in use"
    );
    // A process that starts on it is held to the stored one, too.
    let started = KeyringHandle::open(&dir).unwrap();
    started.expect(check.to_vec());
    assert!(started.for_fingerprints().is_err());
    fs::write(dir.join(FINGERPRINT_KEY), right).unwrap();
    for handle in [handle, started] {
        handle.refresh_if_changed().unwrap();
        assert_eq!(
            handle.for_fingerprints().unwrap().fingerprint_check(),
            check
        );
    }
}

#[test]
fn a_key_that_a_row_names_is_looked_for_in_the_folder() {
    let (_parent, dir, _) = made();
    let handle = KeyringHandle::open(&dir).unwrap();
    let added = add(&dir).unwrap();
    assert!(handle.get_or_refresh(&added).unwrap().contains(&added));
    let unknown = "00000000000000ff".parse().unwrap();
    assert!(matches!(
        handle.get_or_refresh(&unknown),
        Err(KeyringError::UnknownKek { .. })
    ));
}

#[test]
fn a_mounted_secret_is_followed_when_its_link_moves_and_never_written() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path();
    let first = create(&dir.join("..one")).unwrap();
    let second = create(&dir.join("..two")).unwrap();
    std::os::unix::fs::symlink("..one", dir.join("..data")).unwrap();
    for name in ["active", "fingerprint.key", "audit.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), dir.join(name)).unwrap();
    }
    for id in [first, second] {
        let name = format!("{id}.key");
        std::os::unix::fs::symlink(format!("..data/{name}"), dir.join(name)).unwrap();
    }
    let handle = KeyringHandle::open(dir).unwrap();
    assert_eq!(handle.current().active(), first);
    std::os::unix::fs::symlink("..two", dir.join("..next")).unwrap();
    fs::rename(dir.join("..next"), dir.join("..data")).unwrap();
    handle.refresh_if_changed().unwrap();
    assert_eq!(handle.current().active(), second);
    assert!(matches!(add(dir), Err(KeyringError::Mounted { .. })));
}

#[test]
fn a_key_of_one_byte_over_and_over_is_refused() {
    for (byte, name) in [(0, "fingerprint.key"), (0, "audit.key"), (0xff, "more.key")] {
        let (_parent, dir, _) = made();
        fs::write(dir.join(name), [byte; 32]).unwrap();
        let said = format!("DIR/{name} holds the same byte 32 times, which is no key");
        assert!(fault(&dir).starts_with(&said), "{}", fault(&dir));
    }
}

#[test]
fn what_other_users_can_change_is_refused() {
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let (_parent, dir, id) = made();
    for mode in [0o777, 0o770, 0o702] {
        chmod(&dir, mode);
        let said =
            format!("DIR can be changed by other users (its mode is {mode:04o}): `chmod go-w`");
        assert!(fault(&dir).starts_with(&said), "{}", fault(&dir));
        assert!(add(&dir).is_err() && activate(&dir, &id).is_err());
    }
    chmod(&dir, 0o700);
    for name in [
        "active",
        "audit.key",
        "fingerprint.key",
        &format!("{id}.key"),
    ] {
        chmod(&dir.join(name), 0o620);
        let said = format!("DIR/{name} can be changed by other users (its mode is 0620)");
        assert!(fault(&dir).starts_with(&said), "{}", fault(&dir));
        chmod(&dir.join(name), 0o600);
    }
    assert!(Keyring::load(&dir).is_ok());
}

/// As a kubelet mounts a Secret, also with `fsGroup` and with `defaultMode`.
#[test]
fn the_modes_of_a_mounted_secret_are_taken() {
    for (folder, inner, file) in [
        (0o1777, 0o755, 0o644),
        (0o3777, 0o2755, 0o644),
        (0o3777, 0o2755, 0o440),
        (0o1777, 0o755, 0o400),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path();
        let id = create(&dir.join("..one")).unwrap();
        std::os::unix::fs::symlink("..one", dir.join("..data")).unwrap();
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for entry in fs::read_dir(dir.join("..one")).unwrap() {
            let name = entry.unwrap().file_name();
            std::os::unix::fs::symlink(Path::new("..data").join(&name), dir.join(&name)).unwrap();
            chmod(&dir.join(&name), file);
        }
        chmod(&dir.join("..one"), inner);
        chmod(dir, folder);
        assert_eq!(Keyring::load(dir).unwrap().active(), id);
        chmod(dir, 0o700);
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    for name in ["active", "fingerprint.key", "more.key"] {
        let (_parent, dir, _) = made();
        let _ = fs::remove_file(dir.join(name));
        nix::unistd::mkfifo(&dir.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let said = format!("DIR/{name} cannot be read by this process: it is a named pipe");
        assert!(fault(&dir).starts_with(&said), "{}", fault(&dir));
    }
}
