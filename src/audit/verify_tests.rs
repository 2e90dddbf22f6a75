use super::*;

fn row(seq: i64, previous_hash: Vec<u8>) -> AuditRow {
    let mut row = AuditRow {
        at: Timestamp::from_second(seq.clamp(0, 1 << 30)).unwrap(),
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
        unreadable: Vec::new(),
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

fn head_of(row: &AuditRow) -> AuditHead {
    AuditHead {
        seq: row.seq,
        hash: row.hash.clone(),
    }
}

fn report(rows: &[AuditRow], anchors: Vec<Anchor>, head: &AuditRow) -> ChainReport {
    let mut verifier = Verifier::new(anchors, [], &head_of(head));
    for row in rows {
        verifier.row(row);
    }
    verifier.end()
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
        let is_second = true;
        for others in [vec![], anchors(&chain(9), &[at])] {
            assert_eq!(
                report(&inserted, others, &head).findings,
                [Finding::Inserted { seq, is_second }]
            );
        }
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
    let mut verifier = Verifier::new([], [2], &head_of(&rows[2]));
    rows.iter().for_each(|row| verifier.row(row));
    assert_eq!(verifier.end().findings, [Finding::ForgedAnchor { seq: 2 }]);
}

fn inserted(seq: i64) -> Finding {
    Finding::Inserted {
        seq,
        is_second: false,
    }
}

#[test]
fn a_row_behind_the_head_was_inserted_and_nothing_before_it_removed() {
    let whole = chain(9);
    let head = &whole[8];
    for seq in [10, 1000, i64::MAX] {
        for previous in [vec![1; 32], head.hash.clone()] {
            let mut rows = whole.clone();
            rows.push(row(seq, previous));
            assert_eq!(report(&rows, vec![], head).findings, [inserted(seq)]);
        }
    }
    for seq in [0, -5, i64::MIN] {
        let mut rows = whole.clone();
        rows.insert(0, row(seq, vec![0; 32]));
        assert_eq!(report(&rows, vec![], head).findings, [inserted(seq)]);
    }
}

#[test]
fn rows_before_what_the_retention_kept_were_inserted() {
    let mut rows = chain(9);
    rows[8].action = "Prune".to_owned();
    rows[8].detail = r#"{"first_kept": 6}"#.to_owned();
    rehash(&mut rows, 8);
    let kept = &rows[5..];
    for positions in [&[2][..], &[5], &[2, 5], &[1, 2, 4]] {
        let false_ones = positions.iter().map(|seq| row(*seq, vec![0; 32]));
        let all: Vec<_> = false_ones.chain(kept.iter().cloned()).collect();
        let wanted: Vec<_> = positions.iter().map(|seq| inserted(*seq)).collect();
        assert_eq!(found(&all, vec![]), wanted);
    }
    // Rows that are chained to what was kept are those that were there.
    assert!(found(&rows[3..], vec![]).is_empty());
    let mut lacking = rows.clone();
    lacking.drain(5..7);
    assert_eq!(
        found(&lacking[..], vec![])[5..],
        [Finding::Removed { first: 6, last: 7 }]
    );
}

#[test]
fn a_head_that_was_set_back_shows_by_an_anchor() {
    let rows = chain(9);
    assert_eq!(
        report(&rows, anchors(&rows, &[8]), &rows[4]).findings,
        [Finding::HeadMoved {
            head: 5,
            anchored: 9
        }]
    );
    let behind: Vec<_> = (6..=9).map(inserted).collect();
    assert_eq!(report(&rows, vec![], &rows[4]).findings, behind);
}

#[test]
fn a_row_that_cannot_be_read_was_edited() {
    let mut rows = chain(9);
    // Hashed as it reads: what it reads as is not what is stored.
    rows[3].unreadable = vec!["at"];
    assert_eq!(found(&rows, vec![]), [Finding::Edited { seq: 4 }]);
}
