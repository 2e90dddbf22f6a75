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

/// Breaks of the chain that wait for what the retention says; beyond them each is told as if it said nothing.
const MAX_RUNS: usize = 100_000;

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
    /// A row is there that no chain has there: behind its head, before what the retention kept, or beside another.
    Inserted {
        /// The row.
        seq: i64,
        /// Whether another one has its position.
        is_second: bool,
    },
    /// The head of the chain was set back: rows behind it were anchored.
    HeadMoved {
        /// Where it is.
        head: i64,
        /// The newest row that was anchored.
        anchored: i64,
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

impl Finding {
    /// Where in the chain it is.
    fn place(&self) -> i64 {
        match self {
            Self::Edited { seq }
            | Self::Replaced { seq }
            | Self::Inserted { seq, .. }
            | Self::Rewritten { seq, .. } => *seq,
            Self::Removed { first, .. } => *first,
            Self::Truncated { .. } | Self::HeadMoved { .. } => i64::MAX,
            Self::ForgedAnchor { .. } => i64::MIN,
        }
    }
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
            Self::Inserted {
                seq,
                is_second: true,
            } => write!(f, "a second row {seq} was inserted"),
            Self::Inserted { seq, .. } => write!(f, "row {seq} was inserted"),
            Self::HeadMoved { head, anchored } => write!(
                f,
                "the head of the chain was set back to row {head}: row {anchored} was anchored"
            ),
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
    head: AuditHead,
    /// No chain is longer, by its head and by the anchors: rows behind were inserted.
    end: i64,
    /// The oldest row that can be of the chain.
    first: Option<i64>,
    /// Rows that are chained to each other, but for the last ones.
    runs: Vec<Run>,
    last: Option<Run>,
    position: Option<Position>,
    pruned_before: Option<i64>,
    report: ChainReport,
}

/// Rows from one position to another, each chained to the one before.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: i64,
    last: i64,
}

/// The rows of a position: one, where nobody inserted another.
#[derive(Debug)]
struct Position {
    seq: i64,
    hashes: Vec<Vec<u8>>,
    /// Whether the hash of each fits its columns.
    is_intact: bool,
}

impl Verifier {
    /// With these genuine anchors; those that are not are named by `forged`. `head` is what the database believes to be
    /// the newest row.
    pub fn new(
        genuine: impl IntoIterator<Item = Anchor>,
        forged: impl IntoIterator<Item = i64>,
        head: &AuditHead,
    ) -> Self {
        let mut anchors: BTreeMap<i64, Vec<Vec<u8>>> = BTreeMap::new();
        for anchor in genuine {
            anchors.entry(anchor.seq).or_default().push(anchor.hash);
        }
        let anchored = anchors.keys().next_back().copied().unwrap_or(0);
        let mut verifier = Self {
            anchors,
            head: head.clone(),
            end: head.seq.max(anchored),
            first: None,
            runs: Vec::new(),
            last: None,
            position: None,
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
        self.report.last = Some(row.seq);
        // What cannot be read was not written so, whatever else the row says.
        let is_intact = row.unreadable.is_empty() && row_hash(row)[..] == row.hash[..];
        if !is_intact {
            self.found(Finding::Edited { seq: row.seq });
        }
        if row.seq < 1 || row.seq > self.end {
            self.found(Finding::Inserted {
                seq: row.seq,
                is_second: false,
            });
            return;
        }
        self.first.get_or_insert(row.seq);
        if row.action == "Prune" && is_intact {
            self.pruned(row);
        }
        if let Some(position) = &mut self.position
            && position.seq == row.seq
        {
            position.hashes.push(row.hash.clone());
            position.is_intact &= is_intact;
            self.found(Finding::Inserted {
                seq: row.seq,
                is_second: true,
            });
            return;
        }
        let before = self.close();
        let is_chained = match &before {
            // Where the former row does not fit its own hash, that is said already.
            Some(before) if before.seq + 1 == row.seq => {
                !before.is_intact || before.hashes.contains(&row.previous_hash)
            }
            _ => false,
        };
        if row.seq == 1 && row.previous_hash != [0; 32] {
            self.found(Finding::Edited { seq: 1 });
        }
        match &mut self.last {
            Some(run) if is_chained => run.last = row.seq,
            last => {
                let new = Run {
                    first: row.seq,
                    last: row.seq,
                };
                let ended = last.replace(new);
                self.runs.extend(ended);
            }
        }
        if self.runs.len() >= MAX_RUNS {
            self.tell_breaks(i64::MIN);
        }
        self.position = Some(Position {
            seq: row.seq,
            hashes: vec![row.hash.clone()],
            is_intact,
        });
    }

    /// The rows of the last position are known: compares them with its anchors.
    fn close(&mut self) -> Option<Position> {
        let position = self.position.take()?;
        let Some(anchored) = self.anchors.remove(&position.seq) else {
            return Some(position);
        };
        if anchored.iter().all(|hash| position.hashes.contains(hash)) {
            self.report.anchored_to = Some(position.seq);
        } else {
            let after = self.report.anchored_to.unwrap_or(0);
            let seq = position.seq;
            self.found(Finding::Rewritten { after, seq });
        }
        Some(position)
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

    /// Tells of what is between the rows that are chained to each other, from the oldest row that was kept on.
    fn tell_breaks(&mut self, first_kept: i64) {
        let runs = std::mem::take(&mut self.runs);
        for (place, run) in runs.iter().enumerate() {
            let next = runs.get(place + 1).or(self.last.as_ref()).copied();
            if run.last < first_kept {
                // Of what was removed nothing is left: these came later.
                for seq in run.first..=run.last {
                    self.found(Finding::Inserted {
                        seq,
                        is_second: false,
                    });
                }
            }
            let Some(next) = next else { continue };
            let gap = (run.last + 1).max(first_kept)..next.first;
            if !gap.is_empty() {
                self.found(Finding::Removed {
                    first: gap.start,
                    last: gap.end - 1,
                });
            } else if run.last + 1 == next.first && run.last >= first_kept {
                self.found(Finding::Replaced { seq: run.last });
            }
        }
    }

    /// All rows were there.
    pub fn end(mut self) -> ChainReport {
        let last = self.close();
        // Rows that the retention removed are named by a row of the chain.
        let first_kept = self.pruned_before.unwrap_or(1);
        if let Some(first) = self.first.filter(|first| *first > first_kept) {
            self.found(Finding::Removed {
                first: first_kept,
                last: first - 1,
            });
        }
        self.tell_breaks(first_kept);
        let end = last.as_ref().map_or(0, |position| position.seq);
        if self.end > end {
            self.found(Finding::Truncated {
                last: end,
                expected: self.end,
            });
        } else if self.head.seq < end {
            self.found(Finding::HeadMoved {
                head: self.head.seq,
                anchored: end,
            });
        } else if let Some(position) = last
            && !position.hashes.contains(&self.head.hash)
        {
            self.found(Finding::Replaced { seq: end });
        }
        self.report.findings.sort_by_key(Finding::place);
        self.report
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
