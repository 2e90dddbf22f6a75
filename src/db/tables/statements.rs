//! The statements of a table of objects, made from its columns.

use super::object::{Columns, DeclaredRow};

/// Columns that the database writes beside what is declared and found.
const MARKS: [&str; 3] = ["updated_at", "deleted_at", "revision"];

/// The statements of one table.
pub(in crate::db) struct Statements {
    /// Every column.
    pub columns: Vec<&'static str>,
    /// The rows of these objects; `$1`: their UIDs.
    pub by_uid: String,
    /// The live rows of these providers' children; `$1`: the providers' UIDs. Empty for providers.
    pub of_providers: String,
    /// All rows; `$1`: deleted ones too.
    pub all: String,
    /// Stores a row; the parameters are the declared columns, in their order.
    pub upsert: String,
    /// Marks live rows as deleted and forgets what was found; `$1`: their UIDs. Answers whose they were.
    pub delete: String,
    /// Empties the columns of a row that may be unreadable; `$1`: its UID. Answers whose it is.
    pub reset: String,
}

impl Statements {
    /// Those of a kind's table.
    pub fn of<D: DeclaredRow>() -> Self {
        let (table, found) = (D::TABLE, D::Found::names());
        let columns = [D::names(), found.clone(), MARKS.to_vec()].concat();
        let unread = D::unread();
        let read = columns.iter().filter(|name| !unread.contains(name));
        let read: Vec<&str> = read.copied().collect();
        let select = format!("SELECT {} FROM {table} WHERE ", read.join(", "));
        let live = "coalesce(deleted_at, 'infinity') = 'infinity'";
        let of_providers = match D::names().contains(&"provider_uid") {
            true => format!("{select}provider_uid = ANY ($1) AND {live}"),
            false => String::new(),
        };
        let forgotten: String = found
            .iter()
            .map(|name| format!(", {name} = NULL"))
            .collect();
        let emptied: String = [D::emptied(), D::Found::emptied()]
            .concat()
            .iter()
            .map(|(name, to)| format!(", {name} = {to}"))
            .collect();
        Self {
            by_uid: format!("{select}uid = ANY ($1)"),
            of_providers,
            all: format!("{select}$1 OR deleted_at IS NULL"),
            upsert: upsert::<D>(),
            delete: format!(
                "UPDATE {table} SET deleted_at = now(), updated_at = now(), is_active = false{forgotten}
                 WHERE uid = ANY ($1) AND {live} RETURNING uid"
            ),
            reset: format!(
                "UPDATE {table} SET updated_at = now(){emptied}
                 WHERE uid = $1 RETURNING uid, namespace, name"
            ),
            columns,
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<&str> {
        let all = [
            &self.by_uid,
            &self.of_providers,
            &self.all,
            &self.upsert,
            &self.delete,
            &self.reset,
        ];
        let all = all.into_iter().map(String::as_str);
        all.filter(|statement| !statement.is_empty()).collect()
    }
}

/// One statement: namesakes go, rivals are switched off, and only then the row is inserted or, where it
/// differs in any column, updated.
fn upsert<D: DeclaredRow>() -> String {
    let (table, names) = (D::TABLE, D::names());
    let each = |of: &dyn Fn(&str) -> String| -> String {
        let parts: Vec<String> = names.iter().map(|name| of(name)).collect();
        parts.join(", ")
    };
    let columns = each(&str::to_owned);
    let values: Vec<String> = (1..=names.len()).map(|place| format!("${place}")).collect();
    let value_of = |name: &str| match names.iter().position(|column| *column == name) {
        Some(place) => &*values[place],
        None => unreachable!("{table} has no column {name}"),
    };
    let [uid, namespace, name, is_active] = ["uid", "namespace", "name", "is_active"].map(value_of);
    let rivals: String = (D::ONE_ACTIVE_BY.iter())
        .map(|column| format!(" AND {column} = {}", value_of(column)))
        .collect();
    let displaced = match D::ONE_ACTIVE_BY {
        [] => "SELECT NULL::uuid AS uid, NULL::text AS name WHERE false".to_owned(),
        _ => format!(
            "UPDATE {table} SET is_active = false, updated_at = now()
             WHERE {is_active}{rivals} AND uid <> {uid}
                 AND is_active AND deleted_at IS NULL AND (namespace, name) <> ({namespace}, {name})
             RETURNING uid, name"
        ),
    };
    format!(
        "WITH gone AS (
             UPDATE {table} SET deleted_at = now(), updated_at = now(), is_active = false
             WHERE namespace = {namespace} AND name = {name} AND uid <> {uid} AND deleted_at IS NULL
             RETURNING uid
         ), displaced AS (
             {displaced}
         ), stored AS (
             INSERT INTO {table} AS t ({columns})
             SELECT {values}
             FROM (SELECT count(*) AS count FROM gone) AS namesakes,
                  (SELECT count(*) AS count FROM displaced) AS rivals
             WHERE namesakes.count >= 0 AND rivals.count >= 0
             ON CONFLICT (uid) DO UPDATE SET {updates}, updated_at = now(), deleted_at = NULL
             WHERE ({stored}, t.deleted_at) IS DISTINCT FROM ({excluded}, NULL::timestamptz)
             RETURNING 1
         )
         SELECT EXISTS (SELECT FROM stored) AS changed,
                ARRAY (SELECT uid FROM gone) AS replaced,
                ARRAY (SELECT uid FROM displaced) AS displaced,
                ARRAY (SELECT name FROM displaced) AS displaced_names",
        values = values.join(", "),
        updates = each(&|column| format!("{column} = excluded.{column}")),
        stored = each(&|column| format!("t.{column}")),
        excluded = each(&|column| format!("excluded.{column}")),
    )
}
