//! What a caller posts to `/resolve`: the body is read, or refused with a problem that is bounded and
//! names a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmplane::api::{fuzzing::read_resolve_request, problem::ProblemType};
use llmplane::resolve::Wanted;

fuzz_target!(|body: &[u8]| {
    match read_resolve_request(body) {
        Ok(read) => match read.asked.wanted {
            Wanted::Named(name) => {
                assert!((1..=256).contains(&name.chars().count()));
                assert!(!name.chars().any(char::is_control));
            }
            Wanted::Need(need) => {
                assert!(need.min_score.is_none_or(|score| (1..=5).contains(&score)));
                assert!(need.min_score.is_none() || !need.capabilities.is_empty());
                let limited = need.max_input_price.is_some() || need.max_output_price.is_some();
                assert!(!limited || need.currency.is_some());
                assert!(need.exclude.len() <= 100 && need.selector.len() <= 100);
            }
        },
        Err(problem) => {
            assert_eq!(problem.kind, ProblemType::InvalidBody);
            assert!(problem.detail.len() <= 2048);
        }
    }
});
