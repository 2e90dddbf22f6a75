//! What the chart's README documents is also run as pods.

use std::fs;

use regex::Regex;

#[test]
fn every_row_of_the_readme_is_shown_by_pods() {
    let page = fs::read_to_string("charts/llmplane/README.md").unwrap();
    let table = page
        .lines()
        .skip_while(|line| *line != "| You want | Values |");
    let rows: Vec<&str> = table
        .skip(2)
        .map_while(|line| line.strip_prefix("| "))
        .collect();
    assert!(!rows.is_empty());
    let run = fs::read_to_string("tests/cluster/combinations").unwrap();
    let shows = Regex::new(r"(?m)^ *shows '([^']+)'$").unwrap();
    let shown = shows
        .captures_iter(&run)
        .map(|it| it.get(1).unwrap().as_str());
    let mut left = rows.clone();
    for shown in shown {
        let before = left.len();
        left.retain(|row| !row.starts_with(shown));
        assert_eq!(before - left.len(), 1, "rows that begin with {shown:?}");
    }
    assert_eq!(left, [""; 0], "not shown by tests/cluster/combinations");
}
