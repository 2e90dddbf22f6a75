//! Every command that the documentation shows is one: llmplane and its plugin take the words, make has the target,
//! and what is named of this repository is there. Those in blocks are run besides ([`super::run`]).

use std::path::Path;
use std::sync::LazyLock;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error};
use llmplane::cli::{Cli, KubectlLlm};
use regex::Regex;

use super::markdown::{Page, ROOT, pages_below};
use super::shell::commands;

/// Where a command stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a block, to be typed as it is.
    Block,
    /// In a sentence, which may leave the rest out.
    Sentence,
}

fn pages() -> Vec<Page> {
    let mut found = vec![
        Path::new(ROOT).join("README.md"),
        Path::new(ROOT).join("CONTRIBUTING.md"),
    ];
    for folder in ["docs", "charts", "examples", "clients"] {
        found.extend(pages_below(&Path::new(ROOT).join(folder)));
    }
    found.iter().map(|page| Page::read(page)).collect()
}

/// The commands among the lines of a block: all, or where there are prompts those behind one.
fn typed(lines: &[String], language: &str) -> String {
    let prompts = lines.iter().any(|line| line.trim_start().starts_with("$ "));
    let mut text = String::new();
    let mut goes_on = false;
    for line in lines {
        let trimmed = line.trim_start();
        let is_command = match (prompts, language) {
            (true, _) => trimmed.starts_with("$ "),
            (false, "" | "sh") => true,
            // Of a pipeline, or of a session whose other lines are output.
            (false, _) => PROGRAM.is_match(trimmed),
        };
        if is_command || goes_on {
            text += trimmed.strip_prefix("$ ").unwrap_or(trimmed);
            text.push('\n');
            goes_on = line.ends_with('\\');
        }
    }
    text
}

/// What begins with a program whose words can be judged.
static PROGRAM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(llmplane|kubectl llm|make) ").unwrap());

/// The texts of a page that hold commands, with their lines.
fn texts(page: &Page) -> Vec<(usize, Place, String)> {
    let span = Regex::new("`([^`]+)`").unwrap();
    let mut found = Vec::new();
    for block in &page.blocks {
        let language = block.words.first().map_or("", String::as_str);
        found.push((block.line, Place::Block, typed(&block.lines, language)));
    }
    for (line, lines) in &page.indented {
        found.push((*line, Place::Block, typed(lines, "")));
    }
    for (line, text) in &page.prose {
        for span in span.captures_iter(text) {
            if PROGRAM.is_match(&span[1]) {
                found.push((*line, Place::Sentence, span[1].to_owned()));
            }
        }
    }
    found
}

/// What a command runs of ours, without settings before it and what carries it elsewhere.
fn program(words: &[String]) -> &[String] {
    let is_setting = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_')
        }) || word == "sudo"
    };
    let begin = words.iter().position(|word| !is_setting(word));
    let words = &words[begin.unwrap_or(words.len())..];
    let inside = words.iter().position(|word| word == "--");
    match inside {
        Some(at) if words.get(at + 1).is_some_and(|it| it == "llmplane") => &words[at + 1..],
        _ => words,
    }
}

/// A word that stands for another.
fn is_placeholder(word: &str) -> bool {
    let capitals = |it: char| it.is_ascii_uppercase() || it == '-' || it == '_';
    let is_name = !word.is_empty() && word.chars().all(capitals);
    word.contains('$') || word.contains("...") || is_name
}

/// Whether an argument may come from the environment.
fn has_variable(command: &Command, shown: &str) -> bool {
    let mut arguments = command.get_arguments();
    arguments.any(|it| it.to_string() == shown && it.get_env().is_some())
        || command
            .get_subcommands()
            .any(|command| has_variable(command, shown))
}

fn is_refused(command: &Command, error: &Error, place: Place) -> bool {
    let strings = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => vec![word.clone()],
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => false,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let values = strings(ContextKind::InvalidValue);
            let is_missing = values.iter().all(String::is_empty);
            !(values.iter().any(|it| is_placeholder(it)) || is_missing && place == Place::Sentence)
        }
        ErrorKind::MissingRequiredArgument if place == Place::Block => {
            let missing = strings(ContextKind::InvalidArg);
            !missing.iter().all(|shown| has_variable(command, shown))
        }
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => place == Place::Block,
        _ => true,
    }
}

/// Why a command line is not one.
fn judge(mut command: Command, words: &[String], place: Place) -> Option<String> {
    command.build();
    let error = command.clone().try_get_matches_from(words).err()?;
    let said = error.to_string();
    is_refused(&command, &error, place).then(|| said.lines().next().unwrap_or_default().to_owned())
}

fn judge_make(words: &[String]) -> Option<String> {
    let makefile = std::fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    let has = |word: &str| match word.split_once('=') {
        Some((name, _)) => makefile.contains(name),
        None => makefile
            .lines()
            .any(|line| line.starts_with(&format!("{word}:"))),
    };
    let unknown = words[1..].iter().find(|word| !has(word))?;
    Some(format!("the Makefile has no {unknown}"))
}

/// A path of this repository among the words that is not there.
fn missing_path(words: &[String]) -> Option<String> {
    let is_there = |path: &str| {
        let (folder, _) = path.split_once('/').unwrap_or((path, ""));
        let ours = [
            "benches",
            "charts",
            "clients",
            "console",
            "crds",
            "docs",
            "examples",
            "fuzz",
            "manifests",
            "migrations",
            "packaging",
            "src",
            "tests",
        ];
        let is_ours = path.contains('/') && ours.contains(&folder);
        let is_pattern = is_placeholder(path) || path.contains(['*', '{', '<']);
        !is_ours || is_pattern || Path::new(ROOT).join(path).exists()
    };
    let mut paths = words.iter().map(|word| match word.rsplit_once('=') {
        Some((_, path)) => path,
        None => word.as_str(),
    });
    let missing = paths.find(|path| !is_there(path))?;
    Some(format!("{missing} is not there"))
}

/// Forms of a synopsis (`a FILE... [--b|-c]`), or the text itself.
fn forms(text: &str) -> Vec<String> {
    let group = Regex::new(r"\[([^\]]*)\]").unwrap();
    if !PROGRAM.is_match(text) || !group.is_match(text) {
        return vec![text.to_owned()];
    }
    let bare = group.replace_all(text, "").into_owned();
    let mut found = vec![bare.clone()];
    for group in group.captures_iter(text) {
        for option in group[1].split(" | ") {
            let (flag, values) = option.rsplit_once(' ').unwrap_or(("", option));
            found.extend(
                values
                    .split('|')
                    .map(|value| format!("{bare} {flag} {value}")),
            );
        }
    }
    found
}

#[test]
fn every_command_of_the_documentation_is_one() {
    let (mut wrong, mut judged) = (Vec::new(), 0);
    for page in pages() {
        for (line, place, text) in texts(&page) {
            let forms = text.lines().any(|it| it.contains('[')).then(|| {
                let lines = text.lines().flat_map(forms);
                lines.collect::<Vec<_>>().join("\n")
            });
            for words in commands(&forms.unwrap_or(text)) {
                let words = program(&words);
                let refusal = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                    ["llmplane", ..] => judge(Cli::command(), words, place),
                    ["kubectl", "llm", ..] => judge(KubectlLlm::command(), &words[1..], place),
                    ["make", ..] => judge_make(words),
                    _ => None,
                };
                judged += 1;
                for why in refusal.into_iter().chain(missing_path(words)) {
                    let path = page.path.strip_prefix(ROOT).unwrap().display();
                    wrong.push(format!("{path}:{line}: {}: {why}", words.join(" ")));
                }
            }
        }
    }
    assert!(judged > 200, "{judged}");
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn what_is_no_command_is_found() {
    let judged = |text: &str, place| {
        let words = commands(text).remove(0);
        let words = program(&words);
        let is_ours = words.first().is_some_and(|word| word == "llmplane");
        let refusal = is_ours.then(|| judge(Cli::command(), words, place));
        refusal.flatten().or_else(|| missing_path(words))
    };
    for wrong in [
        "llmplane nothing",
        "llmplane migrate --no-such-flag",
        "llmplane export --format nothing",
        "DATABASE_URL=... llmplane keyring activate",
        "kubectl -n x exec deploy/y -- llmplane keyring nothing",
        "kubectl apply -k manifests/nowhere",
    ] {
        assert!(judged(wrong, Place::Block).is_some(), "{wrong}");
    }
    for right in [
        "DATABASE_URL=... llmplane migrate",
        "llmplane keyring activate ./keyring NEW-ID",
        "kubectl apply -k manifests/base",
    ] {
        assert_eq!(judged(right, Place::Block), None, "{right}");
    }
    assert_eq!(judged("llmplane keyring activate", Place::Sentence), None);
    assert!(judged("llmplane keyring nothing", Place::Sentence).is_some());
    let make = |text: &str| judge_make(&commands(text)[0]);
    assert!(make("make nothing").is_some());
    assert_eq!(make("make down PURGE=1"), None);
    assert_eq!(
        forms("llmplane export [-n NAMESPACE | -A] [--format yaml|json]")[1..],
        [
            "llmplane export   -n NAMESPACE",
            "llmplane export    -A",
            "llmplane export   --format yaml",
            "llmplane export   --format json"
        ]
    );
}
