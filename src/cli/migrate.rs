//! `llmplane migrate`.

use secrecy::{ExposeSecret, SecretString};

use crate::db::{DbError, migrate, revert};

/// Bring the database's schema up to date
#[derive(Clone, Debug, clap::Args)]
pub struct MigrateCommand {
    /// The owner's PostgreSQL URL; sslmode and sslrootcert in it are heeded
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: SecretString,
    /// Take back every migration newer than this one instead (0: all); what only they stored is lost
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(i64).range(0..))]
    pub revert_to: Option<i64>,
}

impl MigrateCommand {
    /// Does as the arguments say.
    pub fn run(self) -> Result<(), DbError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| DbError::Other(error.to_string()))?;
        let url = self.database_url.expose_secret();
        runtime.block_on(async {
            match self.revert_to {
                None => migrate(url).await,
                Some(version) => revert(url, version).await,
            }
        })
    }
}
