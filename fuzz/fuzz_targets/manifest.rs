//! `llmplane lint` on any text: a verdict at a place that exists, the same each time, and no value
//! of a Secret in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmplane::lint::{
    documents::{self, Document, Source},
    lint,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let read = || Source {
        found: false,
        file: "f.yaml".to_owned(),
        content: documents::parse("f.yaml", text),
    };
    let source = read();
    // A carriage return alone ends a line too, in YAML.
    let lines = text.split(['\n', '\r']).count() as u64 + 1;
    let report = lint(std::slice::from_ref(&source));
    for problem in &report.problems {
        let line = problem.line.unwrap_or(1);
        assert!((1..=lines).contains(&line), "line {line} of {lines}");
        assert!(!problem.message.is_empty());
    }
    let shown = report.text();
    for document in source.content.documents.iter().filter(|d| d.is_secret()) {
        for secret in secrets(document).filter(|s| text.matches(*s).count() == 1) {
            assert!(!shown.contains(secret), "a Secret's value is shown");
        }
    }
    assert_eq!(report, lint(&[read()]));
});

/// Values of a Secret that are long enough to be keys.
fn secrets(document: &Document) -> impl Iterator<Item = &str> {
    ["data", "stringData"]
        .into_iter()
        .filter_map(|field| document.value.get(field)?.as_object())
        .flat_map(|entries| entries.values())
        .filter_map(|value| value.as_str())
        .filter(|value| value.len() >= 16)
}
