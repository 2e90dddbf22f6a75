//! What the fakes answer from.

use crate::support::vendors::Fixture;

#[test]
fn every_fixture_says_where_it_is_from() {
    let all = Fixture::all();
    assert!(all.len() > 100, "{}", all.len());
    for (vendor, name, fixture) in all {
        let section = fixture.facts.split('.').next().unwrap();
        let numbered = section.parse::<u8>().is_ok_and(|n| (2..=10).contains(&n));
        assert!(
            numbered,
            "{vendor}/{name}: `{}` names no section",
            fixture.facts
        );
        assert!(!fixture.sources.is_empty(), "{vendor}/{name}");
        for source in &fixture.sources {
            assert!(source.starts_with("https://"), "{vendor}/{name}: {source}");
        }
    }
}
