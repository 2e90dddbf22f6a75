//! To whom a credential's key was given, counted from the audit.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::audit_log::{AuditAction, AuditFilter, AuditRow};
use crate::db::{Db, DbError};

/// How often a caller was given a key for one purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenKey {
    /// The user name of the caller.
    pub actor: String,
    /// Name of the endpoint that the key was for; none: it was not recorded.
    pub endpoint: Option<String>,
    /// Name of the model that it was for; none: it was not recorded.
    pub model: Option<String>,
    /// How often.
    pub count: i64,
    /// The last time.
    pub last_at: Timestamp,
}

/// To whom a key was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenKeys {
    /// By caller, endpoint and model, the latest first.
    pub groups: Vec<GivenKey>,
    /// Groups beyond those that were asked for.
    pub left_out: usize,
    /// Whether it was given more often than the rows that were looked at tell.
    pub is_cut: bool,
}

/// How much of the audit is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBounds {
    /// Days, today (UTC) among them.
    pub days: i32,
    /// The newest rows that tell of the credential's key, at most so many.
    pub rows: usize,
    /// Groups, at most so many.
    pub groups: usize,
}

/// A caller, and what it was given the key for: endpoint and model, where the audit names them.
type Group = (String, Option<String>, Option<String>);

/// By group: how often, and the last time.
#[derive(Default)]
struct Gathered(BTreeMap<Group, (i64, Timestamp)>);

impl Db {
    /// To whom the key of a credential was given in the last days: read a page of the audit after the other, so that no
    /// statement looks at more rows than a page does. For the API's account.
    pub async fn given_keys(
        &self,
        credential: Uuid,
        within: GivenBounds,
    ) -> Result<GivenKeys, DbError> {
        let filter = AuditFilter {
            action: Some(AuditAction::Disclose.as_str().to_owned()),
            result: Some("Disclosed".to_owned()),
            object_uid: Some(credential),
            since: Some(self.first_moment(within.days).await?),
            ..AuditFilter::default()
        };
        let page = self.audit_page(&filter, None, within.rows, Duration::MAX);
        let page = page.await?;
        let mut gathered = Gathered::default();
        gathered.extend(page.rows);
        Ok(gathered.latest(within.groups, page.next.is_some()))
    }

    /// When so many days (UTC) began, by the database's clock.
    async fn first_moment(&self, days: i32) -> Result<Timestamp, DbError> {
        self.in_time(async {
            let moment = sqlx::query_scalar!(
                r#"SELECT ((now() AT TIME ZONE 'UTC')::date - $1::integer + 1)::timestamp AT TIME ZONE 'UTC'
                       AS "moment!: jiff_sqlx::Timestamp""#,
                days,
            );
            Ok(moment.fetch_one(&self.pool).await?.into())
        })
        .await
    }
}

impl Gathered {
    fn extend(&mut self, rows: Vec<AuditRow>) {
        for row in rows {
            let detail: Value = serde_json::from_str(&row.detail).unwrap_or_default();
            let named = |field: &str| detail[field].as_str().map(str::to_owned);
            let group = (row.actor, named("endpoint"), named("model"));
            let given = self.0.entry(group).or_insert((0, row.at));
            given.0 += i64::from(row.count);
            given.1 = given.1.max(row.at);
        }
    }

    /// The latest groups, at most so many.
    fn latest(self, limit: usize, is_cut: bool) -> GivenKeys {
        let groups = self.0.into_iter();
        let mut groups: Vec<GivenKey> = groups
            .map(|((actor, endpoint, model), (count, last_at))| GivenKey {
                actor,
                endpoint,
                model,
                count,
                last_at,
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.last_at));
        let left_out = groups.len().saturating_sub(limit);
        groups.truncate(limit);
        GivenKeys {
            groups,
            left_out,
            is_cut,
        }
    }
}
