//! What the processes measure, and the table of it in docs/operations.md.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{metrics, read};

/// The samples of several `/metrics` by name, each with its labels and the values that these have.
pub type Samples = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

pub fn samples(texts: &[&String]) -> Samples {
    let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
    let mut found = Samples::new();
    let lines = texts.iter().flat_map(|text| text.lines());
    for line in lines.filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let labels = found.entry(line[..end].to_owned()).or_default();
        for pair in label.captures_iter(line) {
            let values = labels.entry(pair[1].to_owned()).or_default();
            values.insert(pair[2].to_owned());
        }
    }
    found
}

/// Metrics, each with its labels.
type Families = BTreeMap<String, BTreeSet<String>>;

fn families(texts: &[&String]) -> Families {
    let samples = samples(texts);
    let lines = texts.iter().flat_map(|text| text.lines());
    let types = lines.filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let families = types.map(|(name, kind)| {
        let (shown, parts) = match kind {
            "counter" => (format!("{name}_total"), vec!["_total"]),
            "histogram" => (name.to_owned(), vec!["_bucket", "_count"]),
            _ => (name.to_owned(), vec![""]),
        };
        let parts = parts
            .iter()
            .filter_map(|part| samples.get(&format!("{name}{part}")));
        let labels = parts.flat_map(|labels| labels.keys().cloned());
        // The bounds of a histogram's buckets.
        (shown, labels.filter(|label| label != "le").collect())
    });
    families.collect()
}

fn documented() -> Families {
    let page = read("docs/operations.md");
    let (_, table) = page.split_once("| Metric | Of | Alert when |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let metric = Regex::new(r"`(llmplane_[a-z_]+)(?:\{([a-z_,]+)\})?`").unwrap();
    let first = table.lines().filter_map(|line| line.split('|').nth(1));
    let named = first.flat_map(|cell| metric.captures_iter(cell));
    let families = named.map(|metric| {
        let labels = metric.get(2).map_or("", |labels| labels.as_str());
        let labels = labels.split(',').filter(|label| !label.is_empty());
        (metric[1].to_owned(), labels.map(str::to_owned).collect())
    });
    families.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_metrics_is_of_those_that_there_are() {
    let (controller, api) = metrics().await;
    assert_eq!(documented(), families(&[controller, api]));
}
