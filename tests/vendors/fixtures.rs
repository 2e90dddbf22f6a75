//! What the fakes answer from.

use std::path::Path;

use crate::support::vendors::Fixture;

/// Whether `docs/vendor-facts.md` has a section of this number, for example `3` or `3.3`.
fn is_a_section(number: &str) -> bool {
    let page = include_str!("../../docs/vendor-facts.md");
    let number = number.trim_end_matches('.');
    let begins = [
        format!("## {number}. "),
        format!("**{number} "),
        format!("**{number}. "),
    ];
    (page.lines()).any(|line| begins.iter().any(|begin| line.starts_with(begin)))
}

/// Numbers of sections after each `facts, ` of a text.
fn sections_named(text: &str) -> Vec<String> {
    let after = text.split("(facts, ").skip(1);
    let named = after.filter_map(|rest| rest.split_once(')'));
    let words = named.flat_map(|(words, _)| words.split([',', ' ']));
    (words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_fact_that_the_drivers_name_is_on_the_page() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vendors")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                for number in sections_named(&std::fs::read_to_string(&path).unwrap()) {
                    assert!(is_a_section(&number), "{}: {number}", path.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 30, "{found}");
}

#[test]
fn every_fixture_says_where_it_is_from() {
    let all = Fixture::all();
    assert!(all.len() > 100, "{}", all.len());
    for (vendor, name, fixture) in all {
        for fact in fixture.facts.split("; ") {
            let number = fact.split(' ').next().unwrap();
            assert!(is_a_section(number), "{vendor}/{name}: `{fact}`");
        }
        assert!(!fixture.sources.is_empty(), "{vendor}/{name}");
        for source in &fixture.sources {
            assert!(source.starts_with("https://"), "{vendor}/{name}: {source}");
        }
    }
}
