//! What a caller of the read API writes: the header, the token's own words, the query, the cursor.
#![no_main]

use std::cmp::Ordering;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use llmplane::api::{
    fuzzing::{
        CursorPlace as Place, Filters, FromQuery, ListFilters, ListParams, Query, bearer, read_cursor, sanity,
        write_cursor,
    },
    problem::Problem,
};

const NOW: i64 = 1_750_000_000;

// Lines: an Authorization header, a token's claims, a query, a cursor's JSON, another.
fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(5, |b| *b == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    header(line());
    claims(line());
    query(line());
    let (first, second) = (line(), line());
    cursors(first, second);
});

fn header(value: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value.clone());
    if let Ok(token) = bearer(&headers) {
        assert!(!token.is_empty() && token.trim() == token && token.len() <= 8 * 1024);
        if let Err(problem) = sanity(token, "llmplane", NOW) {
            refused(&problem, token);
        }
    }
    headers.append(AUTHORIZATION, value);
    assert!(bearer(&headers).is_err());
}

fn claims(claims: &[u8]) {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let token = format!(
        "{}.{}.{}",
        part(br#"{"alg":"RS256"}"#),
        part(claims),
        part(b"s")
    );
    match sanity(&token, "llmplane", NOW) {
        Err(problem) => refused(&problem, &token),
        Ok(end) => {
            assert!(end.is_none_or(|end| end >= NOW));
            // Text in claims that nobody reads here may be what JSON's strings cannot hold.
            let Ok(claims) = serde_json::from_slice::<serde_json::Value>(claims) else {
                return;
            };
            let holds = match &claims["aud"] {
                serde_json::Value::Array(many) => many.iter().any(|one| one == "llmplane"),
                one => one == "llmplane",
            };
            assert!(holds, "{claims}");
        }
    }
}

fn refused(problem: &Problem, secret: &str) {
    assert!(problem.detail.len() <= 2048);
    assert!(secret.len() < 32 || !problem.detail.contains(secret));
}

fn query(raw: &[u8]) {
    let Ok(raw) = std::str::from_utf8(raw) else {
        return;
    };
    let names = [ListFilters::names(), Filters::names()];
    let query = match Query::parse(Some(raw), &names) {
        Ok(query) => query,
        Err(problem) => return assert!(problem.detail.len() <= 2048),
    };
    match ListFilters::read(&query) {
        Ok(listing) => {
            assert!(
                listing
                    .limit
                    .is_none_or(|limit| (1..=1000).contains(&limit))
            );
            assert!(listing.min_revision.is_none_or(|revision| revision >= 0));
        }
        Err(problem) => assert!(problem.detail.len() <= 2048),
    }
    if let Err(problem) = Filters::read(&query) {
        assert!(problem.detail.len() <= 2048);
    }
    if let Err(problem) = ListParams::read(&query) {
        assert!(problem.detail.len() <= 2048);
    }
}

fn cursors(first: &[u8], second: &[u8]) {
    let read = |json: &[u8]| read_cursor::<Place>(&URL_SAFE_NO_PAD.encode(json)).ok();
    if let Ok(text) = std::str::from_utf8(first) {
        let _ = read_cursor::<Place>(text);
    }
    let Some(a) = read(first) else { return };
    assert_eq!(
        read_cursor::<Place>(&write_cursor(&a)).ok().as_ref(),
        Some(&a)
    );
    assert_eq!(a.order(&a), Ordering::Equal);
    if let Some(b) = read(second)
        && a.sort == b.sort
        && a.is_sound()
        && b.is_sound()
    {
        assert_eq!(a.order(&b), b.order(&a).reverse());
    }
}
