//! PostgreSQL, as each role finds it.

use secrecy::{ExposeSecret, SecretString};

use super::Urls;
use super::report::Report;
use crate::db::{Db, DbError, DbOptions, ROLES, SchemaState, ServerFacts};

/// Whose URL it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    Controller,
    Api,
    Owner,
}

impl Account {
    fn check(self) -> &'static str {
        match self {
            Self::Controller => "database/controller",
            Self::Api => "database/api",
            Self::Owner => "database/owner",
        }
    }

    /// The role whose rights it must have.
    fn role(self) -> &'static str {
        match self {
            Self::Owner => ROLES[0],
            Self::Controller => ROLES[1],
            Self::Api => ROLES[2],
        }
    }
}

/// The database of the controller's URL, or of the API's, where one can be used. `migrates`: whether the chart brings
/// the schema up to date.
pub(super) async fn check(
    urls: &Urls,
    migrates: bool,
    cluster_uid: Option<&str>,
    report: &mut Report,
) -> Option<Db> {
    let mut usable = None;
    for (account, url) in [
        (Account::Owner, &urls.owner),
        (Account::Controller, &urls.controller),
        (Account::Api, &urls.api),
    ] {
        let Some(url) = url else {
            if account != Account::Owner || migrates {
                report.warn(
                    account.check(),
                    "not looked at, for no URL is known",
                    "make the Secret that holds it, or give the URL (see --help)",
                );
            }
            continue;
        };
        let Some(db) = connect(account, url, report).await else {
            continue;
        };
        if account == Account::Owner {
            db.close().await;
            continue;
        }
        schema(account, &db, migrates, report).await;
        if usable.is_some() {
            db.close().await;
            continue;
        }
        if let Some(uid) = cluster_uid {
            belongs(&db, uid, report).await;
        }
        usable = Some(db);
    }
    usable
}

/// A database that can be reached, of which the account was looked at.
async fn connect(account: Account, url: &SecretString, report: &mut Report) -> Option<Db> {
    let mut options = DbOptions::new("llmplane-preflight");
    options.max_connections = 1;
    let connected = Db::connect(url.expose_secret(), &options).await;
    let facts = match connected {
        Ok(db) => db.server_facts().await.map(|facts| (db, facts)),
        Err(error) => Err(error),
    };
    match facts {
        Ok((db, facts)) => {
            judge(account, &facts, report);
            writes(account, &db, report).await;
            Some(db)
        }
        Err(error) => {
            let remedy = match &error {
                DbError::Url(_) => {
                    "correct the URL; it is not repeated here, for it holds a password"
                }
                DbError::Unavailable(_) => {
                    "look at the URL's host, port and sslmode, and whether the network lets this place reach it"
                }
                _ => "look at the URL's user, password and database",
            };
            report.fail(account.check(), error.to_string(), remedy);
            None
        }
    }
}

fn judge(account: Account, facts: &ServerFacts, report: &mut Report) {
    let (check, role) = (account.check(), account.role());
    if facts.version_number < ServerFacts::LEAST_VERSION {
        return report.fail(
            check,
            format!("PostgreSQL {} is too old", facts.version()),
            "use PostgreSQL 15 or later",
        );
    }
    let missing: Vec<&str> = ROLES
        .into_iter()
        .filter(|role| !facts.roles.iter().any(|it| it == role))
        .collect();
    // The owner may have another name; whoever it is makes the other two where it may make roles.
    let missing: Vec<&str> = missing.into_iter().filter(|it| *it != ROLES[0]).collect();
    if !missing.is_empty() {
        let make = missing
            .iter()
            .map(|role| format!("CREATE ROLE {role} LOGIN PASSWORD '...';"));
        return report.fail(
            check,
            format!("the server has no role {}", missing.join(", ")),
            format!(
                "as an administrator: {}",
                make.collect::<Vec<_>>().join(" ")
            ),
        );
    }
    let has = |role: &str| facts.own_roles.iter().any(|it| it == role);
    let user = &facts.user;
    if account == Account::Owner && !facts.may_create {
        return report.fail(
            check,
            format!("{user} may not make the schema"),
            format!("ALTER DATABASE ... OWNER TO {user}, or give the owner's URL"),
        );
    }
    if account != Account::Owner && !has(role) {
        return report.fail(
            check,
            format!("{user} has not the rights of {role}"),
            format!("give a URL of {role}, or: GRANT {role} TO {user}"),
        );
    }
    let found = format!("PostgreSQL {} as {user}", facts.version());
    let beyond = ROLES.into_iter().find(|other| {
        let less =
            account == Account::Api || (account == Account::Controller && *other == ROLES[0]);
        *other != role && less && has(other)
    });
    if account != Account::Owner && facts.is_superuser {
        let remedy = format!(
            "give a URL of {role}: what a role may not do is part of what keeps keys and audit safe"
        );
        report.warn(check, format!("{found}, a superuser"), remedy);
    } else if let Some(other) = beyond {
        let remedy = format!("give a URL of {role}, which has the rights of that role alone");
        report.warn(
            check,
            format!("{found}, which has the rights of {other} too"),
            remedy,
        );
    } else if facts.is_remote && !facts.is_encrypted {
        let remedy = "write sslmode=verify-full into the URL: keys and rows cross the network";
        report.warn(check, format!("{found}, not encrypted"), remedy);
    } else {
        report.ok(check, found);
    }
}

async fn writes(account: Account, db: &Db, report: &mut Report) {
    if let Err(error) = db.takes_writes().await {
        let remedy = "name the primary in the URL, or reset default_transaction_read_only";
        report.fail(account.check(), error.to_string(), remedy);
    }
}

async fn schema(account: Account, db: &Db, migrates: bool, report: &mut Report) {
    let check = match account {
        Account::Api => "schema/api",
        _ => "schema/controller",
    };
    match db.schema_state().await {
        Ok(SchemaState::Current) => report.ok(check, "it is this release's"),
        Ok(state @ (SchemaState::Absent | SchemaState::Behind(_))) if migrates => {
            let found = format!("{}; the chart's Job brings it up to date", state.in_words());
            report.ok(check, found);
        }
        Ok(state @ (SchemaState::Absent | SchemaState::Behind(_))) => report.fail(
            check,
            state.in_words(),
            "DATABASE_URL=<the owner's> llmplane migrate, or give the chart database.owner",
        ),
        Ok(state) => report.fail(check, state.in_words(), state.remedy()),
        Err(error) => report.fail(
            check,
            format!("it cannot be read: {error}"),
            "DATABASE_URL=<the owner's> llmplane migrate gives the roles their rights",
        ),
    }
}

/// A database knows one cluster. One without a schema is nobody's.
async fn belongs(db: &Db, uid: &str, report: &mut Report) {
    const CHECK: &str = "database's cluster";
    let Ok(state) = db.feed_state().await else {
        return;
    };
    match state.cluster_uid {
        None => report.ok(CHECK, "none yet; the controller claims the database"),
        Some(_) if uid.is_empty() => report.warn(
            CHECK,
            "whether the database is this cluster's cannot be found out",
            "let the account get namespace kube-system",
        ),
        Some(recorded) if recorded == uid => report.ok(CHECK, "the database is this cluster's"),
        Some(recorded) => report.fail(
            CHECK,
            format!("the database belongs to the cluster {recorded}, and this is {uid}"),
            "use another database, or start the controller once with LLMPLANE_ADOPT_CLUSTER=true",
        ),
    }
}
