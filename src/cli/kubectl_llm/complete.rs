//! What kubectl asks for when its user presses TAB after `kubectl llm`: it runs `kubectl_complete-llm` from
//! the PATH with the words that stand there, the last one perhaps empty. The same binary under that name.

use std::ffi::OsString;
use std::io::Write;

use clap::Command;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};

use crate::output::{printable, stdout};

/// Cobra's words for the shell, which are added up: no space follows, and no files are offered.
const NO_SPACE: u8 = 2;
const NO_FILES: u8 = 4;

/// Prints what may stand in the last word's place, one a line with what it is for, and last what the shell
/// is to do with it.
///
/// # Errors
/// Where standard output does not take it.
pub fn run(command: Command, words: impl Iterator<Item = OsString>) -> std::io::Result<()> {
    let mut out = stdout();
    let candidates = candidates(command, words.collect());
    for candidate in &candidates {
        write!(out, "{}", printable(&value(candidate)))?;
        let help = candidate.get_help().map(ToString::to_string);
        match help.as_deref().and_then(|help| help.lines().next()) {
            Some(help) => writeln!(out, "\t{}", printable(help))?,
            None => writeln!(out)?,
        }
    }
    // A folder is no whole path yet.
    let goes_on = |candidate| value(candidate).ends_with('/');
    let goes_on = !candidates.is_empty() && candidates.iter().all(goes_on);
    writeln!(out, ":{}", NO_FILES + if goes_on { NO_SPACE } else { 0 })?;
    out.flush()
}

/// Words that a flag's value may be, where others judge it.
pub fn words<const N: usize>(words: [&'static str; N]) -> ArgValueCandidates {
    ArgValueCandidates::new(move || words.map(CompletionCandidate::new).into())
}

fn value(candidate: &CompletionCandidate) -> String {
    candidate.get_value().to_string_lossy().into_owned()
}

/// None where the words before make no sense.
fn candidates(mut command: Command, words: Vec<OsString>) -> Vec<CompletionCandidate> {
    let mut all = vec![OsString::from(command.get_name())];
    all.extend(words);
    if all.len() == 1 {
        all.push(OsString::new());
    }
    let last = all.len() - 1;
    let asks_for_flags = all[last].to_string_lossy().starts_with('-');
    let folder = std::env::current_dir().ok();
    let mut found = complete(&mut command, all, last, folder.as_deref()).unwrap_or_default();
    // As kubectl does it: flags are for who types a dash.
    found.retain(|candidate| asks_for_flags || !value(candidate).starts_with('-'));
    found
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::kubectl_llm::KubectlLlm;

    fn offered(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        let found = candidates(KubectlLlm::command(), words);
        found.iter().map(value).collect()
    }

    #[test]
    fn what_is_offered_fits_the_words_before() {
        assert_eq!(offered(&["st"]), ["status"]);
        assert_eq!(offered(&["-n", "team-a", "ro"]), ["rotate"]);
        assert_eq!(
            offered(&["status", "-o", ""]),
            ["text", "json", "yaml", "name"]
        );
        assert_eq!(offered(&["rotate", "c", "--output=y"]), ["--output=yaml"]);
        assert_eq!(offered(&["resolve", "--min-c"]), ["--min-context-window"]);
        assert_eq!(
            offered(&["resolve", "--prefer", ""]),
            ["price", "score", "context"]
        );
        assert_eq!(offered(&["completion", "z"]), ["zsh"]);
        // A name that is not known here.
        assert_eq!(offered(&["why", ""]), [""; 0]);
        assert_eq!(offered(&["status", "--nonsense", "x", "y", ""]), [""; 0]);
    }

    #[test]
    fn flags_are_offered_to_who_types_a_dash() {
        let commands = offered(&[]);
        assert!(commands.contains(&"rotate".to_owned()), "{commands:?}");
        assert!(!commands.iter().any(|one| one.starts_with('-')));
        let flags = offered(&["status", "--"]);
        for flag in ["--output", "--namespace", "--all-namespaces", "--context"] {
            assert!(flags.contains(&flag.to_owned()), "{flag}: {flags:?}");
        }
        assert!(!flags.contains(&"--force".to_owned()), "{flags:?}");
    }
}
