//! What depends on the server: TLS, and roles that are not there yet.

use llmplane::db::{self, Db, DbError, DbOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::support::database::TestDatabase;
use crate::support::postgres::PrivatePostgres;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

async fn connect(url: &str) -> Result<Db, DbError> {
    Db::connect(url, &DbOptions::new("test-tls")).await
}

#[tokio::test]
async fn verify_full_takes_the_right_server_and_no_other() {
    let ca = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    let files = [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let server = PrivatePostgres::start(&["ssl=on"], &files).await;
    let trusted = |name: &str, pem: String| {
        let path = server.folder().join(name);
        std::fs::write(&path, pem).unwrap();
        format!("?sslmode=verify-full&sslrootcert={}", path.display())
    };
    let right = trusted("right.crt", ca.pem());
    let wrong = trusted("wrong.crt", authority().pem());

    let db = connect(&server.url("localhost", "postgres", &right))
        .await
        .unwrap();
    let encrypted: bool = sqlx::query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(db.pool())
        .await
        .unwrap()
        .get(0);
    assert!(encrypted);
    db::migrate(&server.url("localhost", "postgres", &right))
        .await
        .unwrap();
    for (host, query) in [("localhost", &wrong), ("127.0.0.1", &right)] {
        let refused = connect(&server.url(host, "postgres", query)).await;
        assert!(
            matches!(refused, Err(DbError::Unavailable(_))),
            "{host}{query}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let server = PrivatePostgres::start(&[], &[]).await;
    let refused = connect(&server.url("localhost", "postgres", "?sslmode=require")).await;
    assert!(
        matches!(refused, Err(DbError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn databases_migrated_at_once_share_the_roles_that_they_make() {
    let server = PrivatePostgres::start(&[], &[]).await;
    let url = server.url("localhost", "postgres", "");
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let mut migrations = tokio::task::JoinSet::new();
    for name in ["one", "two", "three", "four"] {
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        admin.execute(create).await.unwrap();
        let url = format!("{}{name}", url.strip_suffix("postgres").unwrap());
        migrations.spawn(async move { db::migrate(&url).await });
    }
    for outcome in migrations.join_all().await {
        outcome.unwrap();
    }
    let roles: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'llmplane_%' AND NOT rolcanlogin",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(roles, 2);
}

#[tokio::test]
async fn an_owner_who_may_not_make_roles_is_told_which_one_is_missing_and_how_to_make_it() {
    let server = PrivatePostgres::start(&[], &[]).await;
    let mut admin = PgConnection::connect(&server.url("localhost", "postgres", ""))
        .await
        .unwrap();
    admin
        .execute("CREATE ROLE modest LOGIN; GRANT CREATE ON SCHEMA public TO modest")
        .await
        .unwrap();

    let refused = db::migrate(&server.url("localhost", "modest", "")).await;
    let message = refused.unwrap_err().to_string();
    for part in [
        "llmplane_controller does not exist",
        "as an administrator: CREATE ROLE llmplane_controller LOGIN",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains('\n'), "{message}");
}

#[tokio::test]
async fn what_an_administrator_migrates_belongs_to_the_owners_role() {
    let server = PrivatePostgres::start(&[], &[]).await;
    let url = server.url("localhost", "postgres", "");
    let mut admin = PgConnection::connect(&url).await.unwrap();
    admin
        .execute(
            "CREATE ROLE llmplane_owner NOLOGIN CREATEROLE;
             GRANT CREATE ON DATABASE postgres TO llmplane_owner;
             GRANT CREATE ON SCHEMA public TO llmplane_owner",
        )
        .await
        .unwrap();
    db::migrate(&url).await.unwrap();

    let owner: String = sqlx::query_scalar(
        "SELECT string_agg(DISTINCT relowner::regrole::text, ',') FROM pg_class
         WHERE relnamespace = 'public'::regnamespace",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(owner, "llmplane_owner");
}

/// A server that forgets what it said was committed would have let a key go without its row.
#[tokio::test]
async fn a_commit_that_is_told_of_is_on_the_disk_whatever_the_database_is_set_to() {
    let database = TestDatabase::migrated().await;
    let set = format!(
        "ALTER DATABASE {} SET synchronous_commit = off",
        database.name
    );
    let mut admin = database.connect("postgres").await;
    admin.execute(sqlx::AssertSqlSafe(set)).await.unwrap();
    let keys = llmplane::keys::disclose::ledger(&database.api_url).unwrap();
    for db in [database.controller().await, database.api().await, keys] {
        let setting: String = sqlx::query_scalar("SHOW synchronous_commit")
            .fetch_one(db.pool())
            .await
            .unwrap();
        assert_eq!(setting, "on");
    }
}
