//! What a namespace may be called, and names that come near one that was not found, for "did you
//! mean".

/// How many names are offered.
const OFFERED: usize = 3;

/// The candidates that come near `name`, nearest first, at most three.
///
/// Near means: a third of the letters at most are added, left out, changed or swapped, or one is
/// the beginning of the other. Upper and lower case count as the same.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let other = lower.chars().count();
            let allowed = (length.max(other) / 3).max(1);
            let extends = !wanted.is_empty()
                && !lower.is_empty()
                && (lower.starts_with(&wanted) || wanted.starts_with(&lower));
            // The measure is dear, and a list may be long.
            if length.abs_diff(other) > allowed && !extends {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&wanted, &lower);
            (distance <= allowed || extends).then_some((distance, candidate))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .take(OFFERED)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// Whether a namespace may be called so: an RFC 1123 label.
pub fn is_namespace(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `; did you mean "a" or "b"?`, or nothing where no candidate comes near.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    question(name, candidates).map_or_else(String::new, |question| format!("; {question}"))
}

/// `did you mean "a" or "b"?`, or `else_do` where no candidate comes near.
pub fn hint<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    else_do: &str,
) -> String {
    question(name, candidates).unwrap_or_else(|| else_do.to_owned())
}

fn question<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    Some(match nearest(name, candidates).as_slice() {
        [] => return None,
        [one] => format!("did you mean {one:?}?"),
        [others @ .., last] => {
            let others: Vec<String> = others.iter().map(|o| format!("{o:?}")).collect();
            format!("did you mean {} or {last:?}?", others.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found() {
        let names = ["openai", "anthropic", "openai-eu", "azure"];
        assert_eq!(nearest("opnai", names), ["openai"]);
        assert_eq!(nearest("OpenAI", names), ["openai", "openai-eu"]);
        assert_eq!(nearest("open", names), ["openai", "openai-eu"]);
        assert_eq!(nearest("azrue", names), ["azure"]);
    }

    #[test]
    fn what_is_far_off_is_not_offered() {
        assert!(nearest("bedrock", ["openai", "vllm"]).is_empty());
        assert!(nearest("", ["openai"]).is_empty());
    }

    #[test]
    fn the_sentence_lists_what_is_near() {
        assert_eq!(did_you_mean("x", ["openai"]), "");
        assert_eq!(hint("x", ["openai"], "create it"), "create it");
        assert_eq!(
            did_you_mean("opnai", ["openai"]),
            r#"; did you mean "openai"?"#
        );
        assert_eq!(
            did_you_mean("open", ["openai", "openai-eu"]),
            r#"; did you mean "openai" or "openai-eu"?"#
        );
    }
}
