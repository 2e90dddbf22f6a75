//! A keyring in a folder, and whether it is the one that the database's fingerprints were made with.

use std::path::Path;

use super::report::Report;
use crate::db::Db;
use crate::encryption::KeyringHandle;

pub(super) async fn check(folder: &Path, db: Option<&Db>, report: &mut Report) {
    const CHECK: &str = "keyring";
    let keyring = match KeyringHandle::open(folder) {
        Ok(keyring) => keyring,
        Err(error) => {
            let remedy =
                "llmplane keyring new makes one; llmplane keyring verify says more of this one";
            return report.fail(CHECK, error.to_string(), remedy);
        }
    };
    let place = folder.display();
    let stored = match db {
        None => None,
        Some(db) => db.keyring_check().await.ok().flatten(),
    };
    match stored {
        None => report.ok(
            CHECK,
            format!("{place} is one; the database has none to compare it with"),
        ),
        Some(stored) => {
            keyring.expect(stored);
            match keyring.fingerprint_key() {
                Ok(_) => report.ok(
                    CHECK,
                    format!("{place} is the one that the database was used with"),
                ),
                Err(error) => report.fail(
                    CHECK,
                    error.to_string(),
                    "give the keyring that the database was used with, or another database",
                ),
            }
        }
    }
}
