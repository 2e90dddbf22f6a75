//! Who connects to a test's database, and as what.

use std::time::Duration;

use llmplane::db::{Db, DbOptions, Epoch};
use sqlx::{Connection, PgConnection};

use super::plane::Plane;
pub use super::plane::TestDatabase;

impl TestDatabase {
    /// An empty database on the shared plane.
    pub async fn empty() -> Self {
        Plane::shared().await.empty_database().await
    }

    /// A database with the whole schema on the shared plane.
    pub async fn migrated() -> Self {
        Plane::shared().await.database().await
    }

    /// A connection of a role, for statements that the code under test does not make.
    pub async fn connect(&self, role: &str) -> PgConnection {
        let url = match role {
            "llmplane_owner" => &self.owner_url,
            "llmplane_controller" => &self.controller_url,
            "llmplane_api" => &self.api_url,
            _ => &self.superuser_url,
        };
        PgConnection::connect(url).await.unwrap()
    }

    /// The controller's handle.
    pub async fn controller(&self) -> Db {
        Db::connect(&self.controller_url, &DbOptions::new("test-controller"))
            .await
            .unwrap()
    }

    /// The API's handle.
    pub async fn api(&self) -> Db {
        Db::connect(&self.api_url, &DbOptions::new("test-api"))
            .await
            .unwrap()
    }

    /// The controller's handle, leading.
    pub async fn leader(&self) -> (Db, Epoch) {
        let db = self.controller().await;
        let epoch = db.lead("test").await.unwrap();
        (db, epoch)
    }
}

/// Waits for something to happen that must happen soon.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("it happens within 20 s")
}
