//! What the keyring folder promises.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::super::super::envelope::{open, seal};
use super::super::super::types::{Binding, Payload, SecretFields};
use super::super::KeyringHandle;
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

#[tokio::test]
async fn a_broken_new_state_keeps_the_old_keyring_until_it_is_mended() {
    let (_parent, dir, old) = made();
    let folder = Folder::open(&dir).unwrap();
    let active = async || folder.active().await.unwrap().id;
    folder.refresh().await.unwrap();
    fs::write(dir.join("active"), "broken").unwrap();
    for _ in 0..2 {
        let refused = folder.refresh().await.unwrap_err();
        assert!(matches!(refused, KekError::Unavailable(_)), "{refused}");
    }
    assert_eq!(active().await, old);
    let new = add(&dir).unwrap();
    activate(&dir, &new).unwrap();
    folder.refresh().await.unwrap();
    assert_eq!(active().await, new);
}

#[tokio::test]
async fn a_half_written_key_stops_nothing_that_was_known_before() {
    let (_parent, dir, old) = made();
    let folder = Folder::open(&dir).unwrap();
    let row = seal(&folder, &binding(), &payload()).await.unwrap();
    for length in [0, 16, 31, 33] {
        fs::write(dir.join("late.key"), vec![7; length]).unwrap();
        let said = folder.refresh().await.unwrap_err().to_string();
        assert!(
            said.contains(&format!("late.key is {length} bytes long")),
            "{said}"
        );
        assert_eq!(folder.active().await.unwrap().id, old);
        open(&folder, &binding(), &row).await.unwrap();
    }
    let whole: Vec<u8> = (0..32).collect();
    fs::write(dir.join("late.key"), &whole).unwrap();
    folder.refresh().await.unwrap();
    assert_eq!(folder.ids().await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_active_key_is_known_as_such_since_it_became_so() {
    let (_parent, dir, _) = made();
    let folder = Folder::open(&dir).unwrap();
    let before = folder.active().await.unwrap();
    let added = add(&dir).unwrap();
    folder.refresh().await.unwrap();
    let later = folder.active().await.unwrap();
    assert!(
        later.known_for >= before.known_for,
        "a key that is added changes nothing"
    );
    let until = std::time::Instant::now();
    activate(&dir, &added).unwrap();
    folder.refresh().await.unwrap();
    let active = folder.active().await.unwrap();
    assert_eq!(active.id, added);
    assert!(active.known_for <= until.elapsed());
}

#[tokio::test]
async fn another_fingerprint_key_is_refused_until_the_one_of_before_is_back() {
    let (_parent, dir, _) = made();
    let handle = KeyringHandle::open(&dir).unwrap();
    let check = handle.fingerprint_check();
    handle.expect(check.to_vec());
    let right = fs::read(dir.join(FINGERPRINT_KEY)).unwrap();
    fs::write(
        dir.join(FINGERPRINT_KEY),
        *b"another key of thirty-two bytes!",
    )
    .unwrap();
    let refused = handle.refresh().await.unwrap_err().to_string();
    assert!(
        refused.contains("is not the key that the stored fingerprints"),
        "{refused}"
    );
    assert!(
        handle.fingerprint_key().is_ok(),
        "the one of before is in use"
    );
    // A process that starts on it is held to the stored one, too.
    let started = KeyringHandle::open(&dir).unwrap();
    started.expect(check.to_vec());
    assert!(started.fingerprint_key().is_err());
    fs::write(dir.join(FINGERPRINT_KEY), right).unwrap();
    for handle in [handle, started] {
        handle.refresh().await.unwrap();
        assert_eq!(handle.fingerprint_key().unwrap().check(), check);
    }
}

#[tokio::test]
async fn a_key_that_is_delivered_late_is_found_by_the_first_row_that_needs_it() {
    let (_parent, dir, _) = made();
    let late = Folder::open(&dir).unwrap();
    let added = add(&dir).unwrap();
    let file = dir.join(format!("{added}.key"));
    let elsewhere = dir.parent().unwrap().join("elsewhere");
    activate(&dir, &added).unwrap();
    let early = Folder::open(&dir).unwrap();
    let row = seal(&early, &binding(), &payload()).await.unwrap();
    assert_eq!(row.kek_id, added);
    // Not delivered: neither the file nor what names it.
    fs::rename(&file, &elsewhere).unwrap();
    let lacks = open(&late, &binding(), &row).await.unwrap_err();
    assert_eq!(lacks.reason(), "kek-unavailable", "{lacks}");
    let first = late.active().await.unwrap().id;
    activate(&dir, &first).unwrap();
    let lacks = open(&late, &binding(), &row).await.unwrap_err();
    assert_eq!(lacks.reason(), "kek-missing", "{lacks}");
    assert!(lacks.to_string().contains(&added.to_string()), "{lacks}");
    fs::rename(&elsewhere, &file).unwrap();
    open(&late, &binding(), &row).await.unwrap();
}

#[test]
fn the_active_key_is_never_removed_and_another_is_with_every_copy() {
    let (_parent, dir, first) = made();
    let second = add(&dir).unwrap();
    fs::copy(dir.join(format!("{second}.key")), dir.join("copy.key")).unwrap();
    assert!(matches!(
        remove(&dir, &first),
        Err(KeyringError::ActiveNotRemoved { .. })
    ));
    assert!(matches!(
        remove(&dir, &"00000000000000ff".parse().unwrap()),
        Err(KeyringError::UnknownKek { .. })
    ));
    remove(&dir, &second).unwrap();
    assert_eq!(
        Keyring::load(&dir).unwrap().ids().collect::<Vec<_>>(),
        [first]
    );
    assert!(!dir.join("copy.key").exists());
}

fn binding() -> Binding<'static> {
    Binding {
        namespace: "team-a",
        name: "openai",
        uid: uuid::Uuid::nil(),
        version: 1,
    }
}

fn payload() -> Payload {
    Payload {
        fields: SecretFields {
            api_key: Some("sk-canary".into()),
            ..SecretFields::default()
        },
        provider_type: "OpenAI".into(),
        allowed_hosts: Vec::new(),
    }
}

#[tokio::test]
async fn a_mounted_secret_is_followed_when_its_link_moves_and_never_written() {
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
    let folder = Folder::open(dir).unwrap();
    assert_eq!(folder.active().await.unwrap().id, first);
    std::os::unix::fs::symlink("..two", dir.join("..next")).unwrap();
    fs::rename(dir.join("..next"), dir.join("..data")).unwrap();
    folder.refresh().await.unwrap();
    assert_eq!(folder.active().await.unwrap().id, second);
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

#[test]
fn a_survey_tells_of_each_file_by_itself() {
    let (_parent, dir, id) = made();
    let whole = Survey::of(&dir).unwrap();
    assert!(whole.faults().is_empty());
    assert_eq!((whole.active_kek(), whole.has(&id)), (Some(id), true));
    assert!(whole.fingerprint_key().is_some());

    fs::write(dir.join("short.key"), [7; 31]).unwrap();
    fs::write(dir.join("active"), "0000000000000000").unwrap();
    fs::remove_file(dir.join("fingerprint.key")).unwrap();
    let survey = Survey::of(&dir).unwrap();
    assert!(survey.has(&id), "what is whole can be used");
    assert_eq!(survey.active_kek(), None);
    assert!(survey.fingerprint_key().is_none());
    let faults = survey.faults();
    for (said, what) in faults
        .iter()
        .zip(["short.key", "active", "fingerprint.key"])
    {
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(faults.len(), 3);
    assert!(Survey::of(&dir.join("absent")).is_err());
}
