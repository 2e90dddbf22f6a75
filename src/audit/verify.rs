//! Whether a chain is whole. Pure: rows and anchors come from wherever the caller has them.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::chain::{Anchor, row_hash};
use crate::db::{AuditHead, AuditRow};

/// Findings that are told one by one; beyond them they are counted.
const MAX_FINDINGS: usize = 100;

/// Removals by the retention that are told, the last ones.
const MAX_PRUNES: usize = 10;

/// Something in the chain that cannot be so unless someone tampered with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// A row's columns are not those that were hashed.
    Edited {
        /// The row.
        seq: i64,
    },
    /// A row was replaced with another, hashed anew: the next one was chained to something else.
    Replaced {
        /// The row.
        seq: i64,
    },
    /// Rows are gone.
    Removed {
        /// The first of them.
        first: i64,
        /// The last of them.
        last: i64,
    },
    /// A second row has this position.
    Inserted {
        /// The row.
        seq: i64,
    },
    /// The chain was made anew from some row behind `after` on: at `seq` it is not what was anchored.
    Rewritten {
        /// The last anchor that holds; 0: none does.
        after: i64,
        /// The first anchor that does not.
        seq: i64,
    },
    /// The newest rows are gone: the chain ends before what was anchored, or before its own head.
    Truncated {
        /// The last row that is there; 0: none.
        last: i64,
        /// The row that was there.
        expected: i64,
    },
    /// An anchor that was not made with this keyring's `audit.key`.
    ForgedAnchor {
        /// The position that it is of.
        seq: i64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { seq } => write!(
                f,
                "row {seq} was edited: its columns are not those that were hashed"
            ),
            Self::Replaced { seq } => write!(
                f,
                "row {seq} was replaced: the row after it was chained to another"
            ),
            Self::Removed { first, last } if first == last => write!(f, "row {first} was removed"),
            Self::Removed { first, last } => write!(f, "rows {first} to {last} were removed"),
            Self::Inserted { seq } => write!(f, "a second row {seq} was inserted"),
            Self::Rewritten { after, seq } => write!(
                f,
                "rows were changed, and all behind them hashed anew: somewhere from row {} to row {seq}, \
                 where the chain is not what was anchored",
                after + 1
            ),
            Self::Truncated { last, expected } => {
                write!(
                    f,
                    "the newest rows were removed: the chain ends at row {last}, and row {expected} was there"
                )
            }
            Self::ForgedAnchor { seq } => {
                write!(
                    f,
                    "the anchor of row {seq} was not made with this keyring's audit.key"
                )
            }
        }
    }
}

/// A row that says that the retention removed the rows before some position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prune {
    /// The row.
    pub seq: i64,
    /// When, by the row.
    pub at: Timestamp,
    /// The oldest row that was kept.
    pub first_kept: i64,
}

/// What became of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    /// The oldest row that is there; `None`: there is none.
    pub first: Option<i64>,
    /// The newest one.
    pub last: Option<i64>,
    /// How many were looked at.
    pub rows: u64,
    /// The newest anchor that holds: what was changed before it would have shown.
    pub anchored_to: Option<i64>,
    /// The last 10 rows that say what the retention removed: whoever owns the database can make one.
    pub prunes: Vec<Prune>,
    /// What is wrong; the first 100.
    pub findings: Vec<Finding>,
    /// How much is wrong in all.
    pub findings_total: u64,
}

impl ChainReport {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.findings_total == 0
    }
}

/// Looks at rows in the order of their positions.
#[derive(Debug)]
pub struct Verifier {
    anchors: BTreeMap<i64, Vec<Vec<u8>>>,
    last: Option<(i64, Vec<u8>)>,
    /// Whether the last row's own hash fits its columns.
    last_is_intact: bool,
    pruned_before: Option<i64>,
    report: ChainReport,
}

impl Verifier {
    /// With these genuine anchors; those that are not are named by `forged`.
    pub fn new(
        genuine: impl IntoIterator<Item = Anchor>,
        forged: impl IntoIterator<Item = i64>,
    ) -> Self {
        let mut anchors: BTreeMap<i64, Vec<Vec<u8>>> = BTreeMap::new();
        for anchor in genuine {
            anchors.entry(anchor.seq).or_default().push(anchor.hash);
        }
        let mut verifier = Self {
            anchors,
            last: None,
            last_is_intact: true,
            pruned_before: None,
            report: ChainReport {
                first: None,
                last: None,
                rows: 0,
                anchored_to: None,
                prunes: Vec::new(),
                findings: Vec::new(),
                findings_total: 0,
            },
        };
        for seq in forged {
            verifier.found(Finding::ForgedAnchor { seq });
        }
        verifier
    }

    fn found(&mut self, finding: Finding) {
        self.report.findings_total += 1;
        if self.report.findings.len() < MAX_FINDINGS {
            self.report.findings.push(finding);
        }
    }

    /// The next row.
    pub fn row(&mut self, row: &AuditRow) {
        self.report.rows += 1;
        self.report.first.get_or_insert(row.seq);
        let is_intact = row_hash(row)[..] == row.hash[..];
        if !is_intact {
            self.found(Finding::Edited { seq: row.seq });
        }
        if row.seq < 1 {
            self.found(Finding::Inserted { seq: row.seq });
        }
        if row.action == "Prune" && is_intact {
            self.pruned(row);
        }
        match self.last.take() {
            Some((seq, _)) if row.seq <= seq => self.found(Finding::Inserted { seq: row.seq }),
            Some((seq, _)) if row.seq > seq + 1 => self.found(Finding::Removed {
                first: seq + 1,
                last: row.seq - 1,
            }),
            // Where the former row does not fit its own hash, that is said already.
            Some((seq, hash)) if hash != row.previous_hash && self.last_is_intact => {
                self.found(Finding::Replaced { seq });
            }
            None if row.seq == 1 && row.previous_hash != [0; 32] => {
                self.found(Finding::Edited { seq: 1 });
            }
            _ => {}
        }
        self.at_anchor(row.seq, &row.hash);
        self.last = Some((row.seq, row.hash.clone()));
        self.last_is_intact = is_intact;
    }

    fn pruned(&mut self, row: &AuditRow) {
        let detail: Option<serde_json::Value> = serde_json::from_str(&row.detail).ok();
        let Some(first_kept) = detail.and_then(|detail| detail.get("first_kept")?.as_i64()) else {
            return;
        };
        self.pruned_before = self.pruned_before.max(Some(first_kept));
        if self.report.prunes.len() == MAX_PRUNES {
            self.report.prunes.remove(0);
        }
        self.report.prunes.push(Prune {
            seq: row.seq,
            at: row.at,
            first_kept,
        });
    }

    fn at_anchor(&mut self, seq: i64, hash: &[u8]) {
        let Some(anchored) = self.anchors.remove(&seq) else {
            return;
        };
        if anchored.iter().all(|anchored| anchored == hash) {
            self.report.anchored_to = Some(seq);
        } else {
            let after = self.report.anchored_to.unwrap_or(0);
            self.found(Finding::Rewritten { after, seq });
        }
    }

    /// All rows were there. `head` is what the database believes to be the newest one.
    pub fn end(mut self, head: &AuditHead) -> ChainReport {
        let last = self.last.as_ref().map_or(0, |(seq, _)| *seq);
        self.report.last = self.last.as_ref().map(|(seq, _)| *seq);
        // Rows that the retention removed are named by a row of the chain.
        let first_kept = self.pruned_before.unwrap_or(1);
        if let Some(first) = self.report.first.filter(|first| *first > first_kept) {
            self.found(Finding::Removed {
                first: first_kept,
                last: first - 1,
            });
        }
        let lost = self.anchors.keys().copied().filter(|seq| *seq > last).max();
        let expected = lost.unwrap_or(0).max(head.seq);
        if expected > last {
            self.found(Finding::Truncated { last, expected });
        } else if head.seq == last
            && self
                .last
                .as_ref()
                .is_some_and(|(_, hash)| *hash != head.hash)
        {
            self.found(Finding::Replaced { seq: last });
        } else if head.seq < last {
            self.found(Finding::Inserted { seq: head.seq + 1 });
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64, previous_hash: Vec<u8>) -> AuditRow {
        let mut row = AuditRow {
            at: Timestamp::from_second(seq).unwrap(),
            seq,
            action: "Disclose".to_owned(),
            result: "Disclosed".to_owned(),
            actor: format!("caller-{seq}"),
            actor_uid: None,
            actor_groups: vec!["a".to_owned()],
            pod: None,
            pod_uid: None,
            node: None,
            token_id: None,
            namespace: Some("team".to_owned()),
            kind: None,
            name: None,
            object_uid: None,
            credential_version: Some(1),
            fingerprint: None,
            purpose: None,
            count: 1,
            detail: "{}".to_owned(),
            previous_hash,
            hash: Vec::new(),
        };
        row.hash = row_hash(&row).to_vec();
        row
    }

    fn chain(length: i64) -> Vec<AuditRow> {
        let mut rows: Vec<AuditRow> = Vec::new();
        for seq in 1..=length {
            let previous = rows.last().map_or(vec![0; 32], |row| row.hash.clone());
            rows.push(row(seq, previous));
        }
        rows
    }

    /// Hashes all rows from here on anew, as who can edit them can.
    fn rehash(rows: &mut [AuditRow], from: usize) {
        for at in from..rows.len() {
            if at > 0 {
                rows[at].previous_hash = rows[at - 1].hash.clone();
            }
            rows[at].hash = row_hash(&rows[at]).to_vec();
        }
    }

    fn anchors(rows: &[AuditRow], at: &[usize]) -> Vec<Anchor> {
        at.iter()
            .map(|at| Anchor {
                seq: rows[*at].seq,
                hash: rows[*at].hash.clone(),
                mac: Vec::new(),
            })
            .collect()
    }

    fn report(rows: &[AuditRow], anchors: Vec<Anchor>, head: &AuditRow) -> ChainReport {
        let mut verifier = Verifier::new(anchors, []);
        for row in rows {
            verifier.row(row);
        }
        verifier.end(&AuditHead {
            seq: head.seq,
            hash: head.hash.clone(),
        })
    }

    fn found(rows: &[AuditRow], anchors: Vec<Anchor>) -> Vec<Finding> {
        report(rows, anchors, rows.last().unwrap()).findings
    }

    #[test]
    fn a_whole_chain_is_whole_and_says_how_far_it_is_anchored() {
        let rows = chain(9);
        let report = report(&rows, anchors(&rows, &[2, 6]), &rows[8]);
        assert!(report.is_whole(), "{:?}", report.findings);
        assert_eq!(report.anchored_to, Some(7));
        assert_eq!(
            (report.first, report.last, report.rows),
            (Some(1), Some(9), 9)
        );
    }

    #[test]
    fn each_row_that_was_edited_removed_or_inserted_is_named() {
        for at in 0..9 {
            let seq = at as i64 + 1;
            let mut edited = chain(9);
            edited[at].actor = "someone else".to_owned();
            assert_eq!(found(&edited, vec![]), [Finding::Edited { seq }]);

            let mut replaced = chain(9);
            let head = replaced[8].clone();
            replaced[at].purpose = Some("another".to_owned());
            replaced[at].hash = row_hash(&replaced[at]).to_vec();
            assert_eq!(
                report(&replaced, vec![], &head).findings,
                [Finding::Replaced { seq }]
            );

            let mut removed = chain(9);
            let head = removed[8].clone();
            removed.remove(at);
            let expected = match at {
                8 => Finding::Truncated {
                    last: 8,
                    expected: 9,
                },
                _ => Finding::Removed {
                    first: seq,
                    last: seq,
                },
            };
            assert_eq!(report(&removed, vec![], &head).findings, [expected]);

            let mut inserted = chain(9);
            let head = inserted[8].clone();
            let mut second = inserted[at].clone();
            second.actor = "someone else".to_owned();
            second.hash = row_hash(&second).to_vec();
            inserted.insert(at + 1, second);
            assert!(
                report(&inserted, vec![], &head)
                    .findings
                    .contains(&Finding::Inserted { seq })
            );
        }
    }

    #[test]
    fn a_chain_that_was_made_anew_shows_at_the_next_anchor() {
        let whole = chain(9);
        let mut rows = whole.clone();
        rows[4].actor = "someone else".to_owned();
        rehash(&mut rows, 4);
        assert_eq!(
            found(&rows, anchors(&whole, &[2, 6])),
            [Finding::Rewritten { after: 3, seq: 7 }]
        );
        // Behind the last anchor it cannot show; that is what is claimed, and no more.
        assert!(found(&rows, anchors(&whole, &[2])).is_empty());
    }

    #[test]
    fn rows_cut_off_show_by_an_anchor_also_where_the_head_was_moved() {
        let whole = chain(9);
        let rows = &whole[..5];
        assert_eq!(
            found(rows, anchors(&whole, &[7])),
            [Finding::Truncated {
                last: 5,
                expected: 8
            }]
        );
        assert_eq!(
            report(&[], anchors(&whole, &[7]), &row(0, vec![])).findings,
            [Finding::Truncated {
                last: 0,
                expected: 8
            }]
        );
    }

    #[test]
    fn what_the_retention_removed_is_told_from_what_someone_did() {
        let mut rows = chain(9);
        rows[8].action = "Prune".to_owned();
        rows[8].detail = r#"{"first_kept": 4, "removed_from": 1}"#.to_owned();
        rehash(&mut rows, 8);
        assert!(found(&rows[3..], vec![]).is_empty());
        assert_eq!(
            found(&rows[5..], vec![]),
            [Finding::Removed { first: 4, last: 5 }]
        );
        assert_eq!(
            found(&chain(9)[3..], vec![]),
            [Finding::Removed { first: 1, last: 3 }]
        );
    }

    #[test]
    fn a_forged_anchor_is_named() {
        let rows = chain(3);
        let mut verifier = Verifier::new([], [2]);
        rows.iter().for_each(|row| verifier.row(row));
        let head = AuditHead {
            seq: 3,
            hash: rows[2].hash.clone(),
        };
        assert_eq!(
            verifier.end(&head).findings,
            [Finding::ForgedAnchor { seq: 2 }]
        );
    }
}
