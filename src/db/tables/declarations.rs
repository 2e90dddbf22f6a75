//! What users declare of their objects: a column that no row is read with, for it is a large part of
//! one. It is read a page at a time, by the index of live names.

use sqlx::types::Json;

use crate::crd::Kind;
use crate::crd::manifest::Declaration;
use crate::db::{Db, DbError};

/// A live object that is in force, as it was declared.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclarationRow {
    /// Where it stands.
    pub place: DeclarationPlace,
    /// What is declared.
    pub declaration: Declaration,
}

/// Where an object stands in the order of namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclarationPlace {
    /// The object's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How many live objects of a kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeclarationCounts {
    /// Those that someone has declared.
    pub declared: i64,
    /// Those that model sync made and nobody has touched.
    pub generated: i64,
    /// Those of which no declaration is stored: no controller of this release has reconciled them.
    pub unknown: i64,
}

struct Stored {
    namespace: String,
    name: String,
    declaration: Json<Declaration>,
}

impl From<Stored> for DeclarationRow {
    fn from(stored: Stored) -> Self {
        Self {
            place: DeclarationPlace {
                namespace: stored.namespace,
                name: stored.name,
            },
            declaration: stored.declaration.0,
        }
    }
}

impl Db {
    /// The first `at_most` declared objects of a kind behind a place, in one namespace or in all.
    /// What is generated is not among them.
    pub async fn declarations(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        after: &DeclarationPlace,
        at_most: i64,
    ) -> Result<Vec<DeclarationRow>, DbError> {
        macro_rules! page {
            ($table:literal) => {
                match namespace {
                    Some(namespace) => {
                        sqlx::query_as!(
                            Stored,
                            r#"SELECT namespace, name, declaration AS "declaration: Json<Declaration>" FROM "#
                                + $table
                                + r#" WHERE deleted_at IS NULL AND namespace = $1 AND name > $2
                                      AND NOT declaration @> '{"generated": true}'
                                      ORDER BY namespace, name LIMIT $3"#,
                            namespace,
                            after.name,
                            at_most,
                        )
                        .fetch_all(&self.pool)
                        .await?
                    }
                    None => {
                        sqlx::query_as!(
                            Stored,
                            r#"SELECT namespace, name, declaration AS "declaration: Json<Declaration>" FROM "#
                                + $table
                                + r#" WHERE deleted_at IS NULL AND (namespace, name) > ($1, $2)
                                      AND NOT declaration @> '{"generated": true}'
                                      ORDER BY namespace, name LIMIT $3"#,
                            after.namespace,
                            after.name,
                            at_most,
                        )
                        .fetch_all(&self.pool)
                        .await?
                    }
                }
            };
        }
        let stored = self.in_time(async {
            Ok(match kind {
                Kind::Provider => page!("providers"),
                Kind::Endpoint => page!("endpoints"),
                Kind::Credential => page!("credentials"),
                Kind::Model => page!("models"),
                Kind::ModelClass => page!("model_classes"),
            })
        });
        Ok(stored.await?.into_iter().map(Into::into).collect())
    }

    /// How many live objects of a kind there are in one namespace or in all.
    pub async fn declaration_counts(
        &self,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Result<DeclarationCounts, DbError> {
        macro_rules! counts {
            ($table:literal) => {
                sqlx::query_as!(
                    DeclarationCounts,
                    r#"SELECT count(*) FILTER (WHERE NOT declaration @> '{"generated": true}') AS "declared!",
                              count(*) FILTER (WHERE declaration @> '{"generated": true}') AS "generated!",
                              count(*) FILTER (WHERE declaration ->> 'spec' IS NULL) AS "unknown!" FROM "#
                        + $table
                        + " WHERE deleted_at IS NULL AND ($1::text IS NULL OR namespace = $1)",
                    namespace,
                )
                .fetch_one(&self.pool)
                .await?
            };
        }
        self.in_time(async {
            Ok(match kind {
                Kind::Provider => counts!("providers"),
                Kind::Endpoint => counts!("endpoints"),
                Kind::Credential => counts!("credentials"),
                Kind::Model => counts!("models"),
                Kind::ModelClass => counts!("model_classes"),
            })
        })
        .await
    }
}
