//! A database of its own for each test, migrated, with an address for each role.

use std::time::Duration;

use llmplane::db::{self, Db, DbOptions, Epoch};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use url::Url;
use uuid::Uuid;

/// A database on the tests' server.
pub struct TestDatabase {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// An empty database that belongs to `llmplane_owner`.
    pub async fn empty() -> Self {
        let server: Url = std::env::var("LLMPLANE_TEST_DATABASE_URL")
            .expect("LLMPLANE_TEST_DATABASE_URL names a server's superuser")
            .parse()
            .expect("a URL");
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(server.as_str()).await.unwrap();
        let statement = format!("CREATE DATABASE {name} OWNER llmplane_owner");
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
        Self { server, name }
    }

    /// A database with the whole schema.
    pub async fn migrated() -> Self {
        let database = Self::empty().await;
        db::migrate(&database.url("llmplane_owner")).await.unwrap();
        database
    }

    /// Its address for a role.
    pub fn url(&self, role: &str) -> String {
        let mut url = self.server.clone();
        url.set_username(role).unwrap();
        url.set_path(&self.name);
        url.to_string()
    }

    /// A connection of a role, for statements that the code under test does not make.
    pub async fn connect(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url(role)).await.unwrap()
    }

    /// The controller's handle.
    pub async fn controller(&self) -> Db {
        Db::connect(
            &self.url("llmplane_controller"),
            &DbOptions::new("test-controller"),
        )
        .await
        .unwrap()
    }

    /// The API's handle.
    pub async fn api(&self) -> Db {
        Db::connect(&self.url("llmplane_api"), &DbOptions::new("test-api"))
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
