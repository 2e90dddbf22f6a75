//! A well-formed list, however it is cut into pages and whatever its ids are, is read to just the
//! ids that can be ids, each once and in order.
#![no_main]

use std::collections::HashSet;

use arbitrary::Arbitrary;
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use llmplane::crd::ProviderType;
use llmplane_fuzz::vendor::{Ask, Case, KEY, Said, answer, list_holds};
use serde_json::{Value, json};

#[derive(Arbitrary, Debug)]
struct Lists {
    provider: u8,
    pages: Vec<Vec<Entry>>,
    null_for_empty: bool,
}

#[derive(Arbitrary, Debug)]
struct Entry {
    id: Id,
    number: Option<i64>,
    flag: bool,
    word: String,
}

#[derive(Arbitrary, Debug)]
enum Id {
    Missing,
    Number(i64),
    Text(String),
    Long(u16),
    ListParams(u8),
}

impl Id {
    fn to_json(&self) -> Value {
        match self {
            Self::Missing => Value::Null,
            Self::Number(n) => json!(n),
            Self::Text(text) => json!(text),
            Self::Long(length) => json!("é".repeat(usize::from(*length) % 600)),
            Self::ListParams(n) => json!(format!("model-{}", n % 8)),
        }
    }
}

fuzz_target!(|lists: Lists| {
    let provider = ProviderType::ALL[usize::from(lists.provider) % ProviderType::ALL.len()];
    let mut pages: Vec<&[Entry]> = lists.pages.iter().map(Vec::as_slice).collect();
    pages.truncate(if paged(provider) { 8 } else { 1 });
    if provider == ProviderType::DashScope {
        // An empty page ends this vendor's list.
        pages.retain(|page| !page.is_empty());
    }
    if pages.is_empty() {
        pages.push(&[]);
    }
    let total = pages.iter().map(|page| page.len()).sum();
    let mut answers: Vec<_> = (0..pages.len())
        .map(|number| {
            let body = page(provider, &pages, number, total, lists.null_for_empty);
            answer(200, HeaderMap::new(), body.to_string())
        })
        .collect();
    if provider == ProviderType::Bedrock {
        // Base models are a list of their own, and not paged.
        let models = json!({ "modelSummaries": [] });
        answers.insert(0, answer(200, HeaderMap::new(), models.to_string()));
    }
    let case = Case {
        provider,
        ask: Ask::List,
        key: 0,
        model: 0,
        answers,
    };
    let Some(said) = case.run() else { return };
    let Said::List(Ok(list)) = said else {
        panic!("a well-formed list is refused: {said:?}");
    };
    list_holds(&list);
    let read: Vec<_> = list.models.iter().map(|model| model.id.as_str()).collect();
    let (ids, skipped) = expected(&pages);
    assert_eq!(read, ids);
    assert_eq!(list.skipped, skipped);
});

fn paged(provider: ProviderType) -> bool {
    use ProviderType as P;
    matches!(provider, P::Anthropic | P::DashScope | P::Bedrock | P::Gemini)
}

fn expected(pages: &[&[Entry]]) -> (Vec<String>, usize) {
    let mut seen = HashSet::new();
    let (mut ids, mut skipped) = (Vec::new(), 0);
    for entry in pages.iter().copied().flatten() {
        let id = entry.id.to_json();
        match id.as_str() {
            Some(id) if is_an_id(id) => {
                // What a vendor repeats of the key is never read.
                let id = id.replace(KEY, &"*".repeat(KEY.len()));
                if seen.insert(id.clone()) {
                    ids.push(id);
                }
            }
            _ => skipped += 1,
        }
    }
    (ids, skipped)
}

fn is_an_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= 256 && !id.chars().any(char::is_control)
}

/// A page as the vendor writes it (the facts' shapes).
fn page(
    provider: ProviderType,
    pages: &[&[Entry]],
    number: usize,
    total: usize,
    null_for_empty: bool,
) -> Value {
    use ProviderType as P;
    let entries: Vec<_> = pages[number].iter().map(|e| entry(provider, e)).collect();
    let more = number + 1 < pages.len();
    let items = match entries.is_empty() && null_for_empty {
        true => Value::Null,
        false => Value::Array(entries),
    };
    match provider {
        P::Anthropic => {
            json!({ "data": items, "has_more": more, "first_id": "f", "last_id": format!("p{number}") })
        }
        P::DashScope => json!({
            "success": true, "request_id": "r",
            "output": { "total": total, "page_no": number + 1, "page_size": 100, "models": items },
        }),
        P::Ollama => json!({ "models": items }),
        P::Gemini => {
            let token = more.then(|| format!("t{number}"));
            json!({ "models": items, "nextPageToken": token })
        }
        P::Bedrock => {
            let token = more.then(|| format!("t{number}"));
            json!({ "inferenceProfileSummaries": items, "nextToken": token })
        }
        _ => json!({ "object": "list", "data": items }),
    }
}

fn entry(provider: ProviderType, entry: &Entry) -> Value {
    use ProviderType as P;
    let Entry {
        number, flag, word, ..
    } = entry;
    let id = entry.id.to_json();
    match provider {
        P::Anthropic => json!({
            "id": id, "type": "model", "display_name": word, "max_input_tokens": number,
            "max_tokens": number,
            "capabilities": { "image_input": { "supported": flag }, "thinking": { "supported": flag } },
        }),
        P::DashScope => json!({
            "model": id, "name": word, "capabilities": ["TG", word, "Reasoning", "Reasoning", "VU"],
            "inference_metadata": { "request_modality": ["Text", word] },
            "model_info": { "context_window": number, "max_output_tokens": number },
            "prices": [{ "range_name": word, "prices": [{ "type": "input_token", "price": word }] }],
        }),
        P::Ollama => json!({
            "model": id, "details": { "context_length": number },
            "capabilities": ["completion", word, "tools", "tools"],
        }),
        P::Bedrock => json!({
            "inferenceProfileId": id, "inferenceProfileName": word, "status": "ACTIVE",
            "type": "SYSTEM_DEFINED", "models": [{ "modelArn": word }],
        }),
        P::Gemini => {
            let name = id.as_str().map(|id| format!("models/{id}"));
            json!({
                "name": name, "displayName": word, "inputTokenLimit": number, "thinking": flag,
                "supportedGenerationMethods": ["generateContent", word],
            })
        }
        P::VLLM => json!({ "id": id, "root": word, "max_model_len": number, "permission": [] }),
        _ => json!({ "id": id, "object": "model", "owned_by": word, "created": number }),
    }
}
