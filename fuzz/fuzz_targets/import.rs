//! `llmplane import` on any text, read as any format: whatever comes out is what the apiserver takes, the
//! same each time, and a finding stands at a line that exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmplane::import::{Format, convert, judge};
use llmplane::lint::documents::{Document, parse};

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let objects = parse("f", text);
    let documents: Vec<&Document> = objects.documents.iter().collect();
    let format = Format::ALL.get(usize::from(*first)).copied();
    let Ok(conversion) = convert(&documents, format, None) else {
        return;
    };
    let lines = text.split(['\n', '\r']).count() as u64 + 1;
    for finding in &conversion.findings {
        assert!(finding.line <= lines, "line {} of {lines}", finding.line);
        assert!(!finding.text().trim_end().contains('\r'));
    }
    // Manifests of ours are judged as they are, before they are applied.
    if conversion.format != Format::Llmplane {
        assert_eq!(judge(&conversion.manifests, &conversion.findings), []);
    }
    assert_eq!(Ok(conversion), convert(&documents, format, None));
});
