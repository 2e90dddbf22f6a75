//! The commands of a page, in the order in which a reader meets them.
//!
//! Commands are the lines of a block ```` ```sh ````, and those behind `$ ` in a block ```` ```console ````, in one without a
//! language, and in an indented one; an indented one without any `$ ` holds commands alone. What follows a command behind `$ ` is what it
//! prints: `...` stands for anything in a line, and alone in a line for any lines. A command's comment may say how it ends:
//! `# ends with N`, `# Ctrl-C ends it`, or `# within a minute`, of one that is asked again until it prints what is shown.
//! A block ```` ```yaml file=NAME ```` is a file. A comment `<!-- run ... -->` holds commands that make what the page takes for granted,
//! and `<!-- run on an empty cluster -->` says where those behind it run.

use std::sync::LazyLock;

use regex::Regex;

use super::markdown::{Block, Page};

/// Where a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// On what `make up` leaves.
    Samples,
    /// On one that has nothing of llmplane's.
    Empty,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By itself, and what it tells may take a moment.
    Eventually,
    /// When its user has seen enough.
    Interrupted,
}

/// A command, and what it prints.
#[derive(Debug)]
pub struct Step {
    pub line: usize,
    pub command: String,
    /// None where the page does not show it.
    pub output: Option<Vec<String>>,
    pub cluster: Cluster,
    /// Readers see it.
    pub is_shown: bool,
}

static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\s+# (.*)$").unwrap());
static HERE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[^<]<<'?(\w+)'?(?:\s|$)").unwrap());

impl Step {
    pub fn end(&self) -> End {
        let last = self.command.lines().last().unwrap_or_default();
        match COMMENT.captures(last).map(|it| it.extract::<1>().1[0]) {
            Some("Ctrl-C ends it") => End::Interrupted,
            Some("within a minute") => End::Eventually,
            Some(text) => match text.strip_prefix("ends with ") {
                Some(code) => End::Code(code.parse().expect("a code")),
                None => End::Code(0),
            },
            None => End::Code(0),
        }
    }

    /// Its words with one space between them, without its comment.
    pub fn plain(&self) -> String {
        let joined = self.command.replace("\\\n", " ");
        let bare = COMMENT.replace(&joined, "");
        bare.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Reads lines one after the other; true as long as they belong to the last command.
fn goes_on(command: &str) -> bool {
    let here = HERE.captures(command).map(|it| it[1].to_owned());
    let is_open = |word: &String| !command.lines().any(|line| line == word);
    command.ends_with('\\') || here.as_ref().is_some_and(is_open)
}

/// The commands of lines that hold nothing else.
fn bare(first: usize, lines: &[String]) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for (offset, line) in lines.iter().enumerate() {
        match steps.last_mut().filter(|step| goes_on(&step.command)) {
            Some(step) => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            None if line.trim().is_empty() || line.starts_with('#') => {}
            None => steps.push(step(first + offset, line)),
        }
    }
    steps
}

/// The commands behind prompts, with what they print.
fn session(first: usize, lines: &[String]) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for (offset, line) in lines.iter().enumerate() {
        let last = steps.last_mut();
        let is_silent = |step: &&mut Step| step.output.as_ref().is_some_and(Vec::is_empty);
        match line.strip_prefix("$ ") {
            Some(command) => {
                let mut step = step(first + offset, command);
                step.output = Some(Vec::new());
                steps.push(step);
            }
            None => {
                let step = last.expect("a session begins with a command");
                if Some(&mut *step).filter(is_silent).is_some() && goes_on(&step.command) {
                    step.command.push('\n');
                    step.command.push_str(line);
                } else {
                    step.output.get_or_insert_default().push(line.clone());
                }
            }
        }
    }
    steps
}

fn step(line: usize, command: &str) -> Step {
    Step {
        line,
        command: command.to_owned(),
        output: None,
        cluster: Cluster::Samples,
        is_shown: true,
    }
}

fn has_prompts(lines: &[String]) -> bool {
    lines.first().is_some_and(|line| line.starts_with("$ "))
}

/// The commands of a fenced block.
fn of_block(block: &Block) -> Vec<Step> {
    let words: Vec<&str> = block.words.iter().map(String::as_str).collect();
    let first = block.line + 1;
    match words[..] {
        ["sh"] => bare(first, &block.lines),
        [] | ["console"] => {
            assert!(
                has_prompts(&block.lines),
                "line {}: no `$ ` begins it; if it shows no commands, name its language, or `text`",
                block.line
            );
            session(first, &block.lines)
        }
        ["text" | "yaml" | "json" | "sql" | "python"] => Vec::new(),
        ["yaml", file] => {
            let name = file.strip_prefix("file=").expect("a file's name");
            let text = block.lines.join("\n");
            let write = format!("cat >{name} <<'END_OF_FILE'\n{text}\nEND_OF_FILE");
            vec![Step {
                is_shown: false,
                ..step(block.line, &write)
            }]
        }
        _ => panic!("line {}: no such block: {words:?}", block.line),
    }
}

/// All commands of a page.
pub fn steps(page: &Page) -> Vec<Step> {
    let mut found = Vec::new();
    for block in &page.blocks {
        found.extend(of_block(block));
    }
    for (line, lines) in &page.indented {
        let lines: Vec<String> = lines.iter().map(|line| line[4..].to_owned()).collect();
        match has_prompts(&lines) {
            true => found.extend(session(*line, &lines)),
            false => found.extend(bare(*line, &lines)),
        }
    }
    let mut empty_from = usize::MAX;
    for (line, lines) in &page.comments {
        let first = lines[0].trim();
        if first == "run on an empty cluster" {
            empty_from = *line;
        } else if first == "run" {
            let hidden = bare(line + 1, &lines[1..]).into_iter();
            found.extend(hidden.map(|step| Step {
                is_shown: false,
                ..step
            }));
        }
    }
    found.sort_by_key(|step| step.line);
    for step in &mut found {
        if step.line > empty_from {
            step.cluster = Cluster::Empty;
        }
    }
    found
}

/// What differs from run to run though it is the same: times, ages, and the ports of this machine.
fn same(line: &str) -> String {
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap());
    static PORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"127\.0\.0\.1:\d+").unwrap());
    static AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d+[smhd])+$").unwrap());
    let line = TIME.replace_all(line, "TIME");
    let line = PORT.replace_all(&line, "127.0.0.1:PORT");
    let words = line
        .split_whitespace()
        .map(|word| AGE.replace(word, "AGE").into_owned());
    words.collect::<Vec<_>>().join(" ")
}

/// Whether what was printed is what the page shows. Columns may be of other widths.
pub fn shows(shown: &[String], printed: &str) -> bool {
    let printed = printed.lines().map(same).filter(|line| !line.is_empty());
    let text: String = printed.map(|line| line + "\n").collect();
    let shown = shown.iter().map(|line| same(line));
    let pattern: String = shown
        .filter(|line| !line.is_empty())
        .map(|line| match line.as_str() {
            "..." => "(?:.*\n)*?".to_owned(),
            line => regex::escape(line).replace(r"\.\.\.", ".*") + "\n",
        })
        .collect();
    Regex::new(&format!("^{pattern}$")).unwrap().is_match(&text)
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn output_that_differs_is_told_from_output_that_is_shown() {
    assert!(shows(
        &lines(&["a  ... c", "...", "end"]),
        "a b c\n\nx\ny\nend\n"
    ));
    assert!(shows(&lines(&["..."]), ""));
    assert!(shows(&[], "\n"));
    assert!(!shows(&[], "something"));
    assert!(!shows(&lines(&["a"]), "a\nb"));
    assert!(!shows(&lines(&["a.b"]), "axb"));
    assert!(shows(
        &lines(&["x 18s", "at 2026-11-23T05:25:18Z on http://127.0.0.1:1/v1"]),
        "x 2m5s\nat 2031-01-01T00:00:00.25Z on http://127.0.0.1:45123/v1\n"
    ));
    assert!(!shows(&lines(&["x 18s"]), "x 18 s"));
    assert!(!shows(&lines(&["10.0.0.1:80"]), "10.0.0.1:81"));
}

#[test]
fn commands_are_told_from_what_they_print() {
    let steps = session(
        8,
        &lines(&["$ one \\", "  two", "out", "$ three # ends with 2"]),
    );
    assert_eq!(steps[0].command, "one \\\n  two");
    assert_eq!(steps[0].plain(), "one two");
    assert_eq!(steps[0].output.as_deref(), Some(&lines(&["out"])[..]));
    assert_eq!(steps[0].end(), End::Code(0));
    assert_eq!((steps[1].line, steps[1].end()), (11, End::Code(2)));
    let steps = bare(
        3,
        &lines(&[
            "# nothing",
            "a \\",
            "  b   # why",
            "",
            "cat >x <<EOF",
            "$ c",
            "EOF",
            "d  # Ctrl-C ends it",
        ]),
    );
    let read: Vec<(usize, String)> = steps.iter().map(|it| (it.line, it.plain())).collect();
    assert_eq!(
        read,
        [
            (4, "a b".to_owned()),
            (7, "cat >x <<EOF $ c EOF".to_owned()),
            (10, "d".to_owned())
        ]
    );
    assert_eq!(steps[2].end(), End::Interrupted);
    assert!(steps.iter().all(|step| step.output.is_none()));
}
