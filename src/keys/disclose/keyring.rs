//! The keyring of a process that serves much else: it may come late, and be replaced while it runs.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::encryption::KeyringHandle;

/// Time between two looks at the keyring.
const LOOK: Duration = Duration::from_secs(5);

/// A keyring that is opened as soon as it can be; a clone shares it.
#[derive(Clone, Debug)]
pub struct LateKeyring {
    dir: Arc<PathBuf>,
    opened: Arc<OnceLock<KeyringHandle>>,
}

impl LateKeyring {
    /// The keyring in this folder, opened if it can be opened now. What is wrong with it is logged:
    /// a folder that is delivered late is found by [`Self::run`].
    pub fn new(dir: PathBuf) -> Self {
        let late = Self {
            dir: Arc::new(dir),
            opened: Arc::default(),
        };
        if let Err(error) = late.open() {
            tracing::error!(%error, "the keyring cannot be opened yet; no key is given out until it can");
        }
        late
    }

    /// The keyring, once it was opened.
    pub fn get(&self) -> Option<&KeyringHandle> {
        self.opened.get()
    }

    fn open(&self) -> Result<(), crate::encryption::KeyringError> {
        let handle = KeyringHandle::open(&self.dir)?;
        // Nobody else sets it.
        let _ = self.opened.set(handle);
        Ok(())
    }

    /// Opens it, and follows its changes, until the token is cancelled.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = String::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            let looked = match self.get() {
                Some(keyring) => keyring.refresh().await.map_err(|error| error.to_string()),
                None => self.open().map_err(|error| error.to_string()),
            };
            match looked {
                Ok(()) if said.is_empty() => {}
                Ok(()) => {
                    tracing::info!("the keyring can be read again");
                    said.clear();
                }
                Err(error) if error == said => {}
                Err(error) => {
                    tracing::error!(%error, "the keyring cannot be read; the keys known so far stay in use");
                    said = error;
                }
            }
        }
    }
}
