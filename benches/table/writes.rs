//! What the kube-apiserver has counted of writes to llmplane's resources.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::plane::Plane;

/// Requests that change nothing.
const READS: [&str; 3] = ["GET", "LIST", "WATCH"];

/// Writes of `llmplane.dev`, by resource, subresource and verb.
#[derive(Clone, Debug, Default)]
pub struct Writes(BTreeMap<String, u64>);

impl Writes {
    /// As they stand now.
    pub async fn now(plane: &Plane) -> Result<Self> {
        let mut writes = BTreeMap::new();
        for line in plane.apiserver_metrics().await?.lines() {
            let Some((labels, value)) = counted(line, "apiserver_request_total{") else {
                continue;
            };
            let verb = label(labels, "verb");
            if label(labels, "group") != "llmplane.dev" || READS.contains(&verb) {
                continue;
            }
            let (resource, sub) = (label(labels, "resource"), label(labels, "subresource"));
            *writes
                .entry(format!("{verb} {resource}/{sub} {}", label(labels, "code")))
                .or_default() += value as u64;
        }
        Ok(Self(writes))
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many there are since an earlier count, by what they were.
    pub fn since(&self, before: &Self) -> Self {
        let more = self.0.iter().filter_map(|(what, count)| {
            let more = count - before.0.get(what).copied().unwrap_or(0);
            (more > 0).then(|| (what.clone(), more))
        });
        Self(more.collect())
    }
}

impl std::fmt::Display for Writes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, count) in &self.0 {
            writeln!(f, "  {count:6} {what}")?;
        }
        Ok(())
    }
}

/// The sum of a metric over its labels.
pub fn sum(metrics: &str, name: &str) -> f64 {
    let named = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
    };
    let value = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|word| word.parse::<f64>().ok())
    };
    metrics.lines().filter(named).filter_map(value).sum::<f64>()
}

/// Calls about callers that the kube-apiserver has answered: TokenReviews, SubjectAccessReviews.
pub async fn reviews(plane: &Plane) -> Result<u64> {
    let mut reviews = 0.0;
    for line in plane.apiserver_metrics().await?.lines() {
        if let Some((labels, value)) = counted(line, "apiserver_request_total{")
            && ["tokenreviews", "subjectaccessreviews"].contains(&label(labels, "resource"))
        {
            reviews += value;
        }
    }
    Ok(reviews as u64)
}

fn counted<'l>(line: &'l str, name: &str) -> Option<(&'l str, f64)> {
    let (labels, value) = line.strip_prefix(name)?.rsplit_once("} ")?;
    Some((labels, value.parse().ok()?))
}

fn label<'l>(labels: &'l str, name: &str) -> &'l str {
    labels
        .split("\",")
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""))
        .map_or("", |value| value.trim_end_matches('"'))
}
