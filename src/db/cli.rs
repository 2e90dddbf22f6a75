//! `llmplane migrate`.

use super::{DbError, migrate, revert};

/// Brings the database's schema up to date.
#[derive(Clone, clap::Args)]
pub struct MigrateArgs {
    /// The owner's PostgreSQL URL (sslmode and sslrootcert are understood).
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: String,
    /// Takes back every migration newer than this one instead (0: all of them). What only they
    /// stored is lost.
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(i64).range(0..))]
    pub revert_to: Option<i64>,
}

/// Does as the arguments say.
pub async fn run(args: MigrateArgs) -> Result<(), DbError> {
    match args.revert_to {
        None => migrate(&args.database_url).await,
        Some(version) => revert(&args.database_url, version).await,
    }
}
