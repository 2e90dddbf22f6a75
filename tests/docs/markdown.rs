//! As much of Markdown as the documentation uses.

use std::path::{Path, PathBuf};

use regex::Regex;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A fenced block.
pub struct Block {
    /// What stands behind the fence, word by word: the language first.
    pub words: Vec<String>,
    pub lines: Vec<String>,
    /// Line of the fence, counted from 1.
    pub line: usize,
}

/// A page, taken apart.
pub struct Page {
    pub path: PathBuf,
    pub blocks: Vec<Block>,
    /// Indented blocks, each with the number of its first line.
    pub indented: Vec<(usize, Vec<String>)>,
    /// Comments, which no reader sees, each with the number of its first line.
    pub comments: Vec<(usize, Vec<String>)>,
    /// Its lines outside of blocks, with their numbers.
    pub prose: Vec<(usize, String)>,
}

impl Page {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut blocks, mut prose) = (Vec::<Block>::new(), Vec::new());
        let mut indented = Vec::<(usize, Vec<String>)>::new();
        let mut comments = Vec::<(usize, Vec<String>)>::new();
        let (mut is_open, mut in_comment, mut blank) = (false, false, 0);
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            if in_comment || !is_open && line.starts_with("<!--") {
                if !in_comment {
                    comments.push((number, Vec::new()));
                }
                in_comment = !line.ends_with("-->");
                let text = line.trim_start_matches("<!--").trim_end_matches("-->");
                comments.last_mut().unwrap().1.push(text.to_owned());
                continue;
            }
            match (line.strip_prefix("```"), is_open) {
                (Some(_), true) => is_open = false,
                (Some(info), false) => {
                    is_open = true;
                    blocks.push(Block {
                        words: info.split_whitespace().map(str::to_owned).collect(),
                        lines: Vec::new(),
                        line: number,
                    });
                }
                (None, true) => blocks.last_mut().unwrap().lines.push(line.to_owned()),
                // Indented blocks are code too, and go on behind blank lines.
                (None, false) if line.starts_with("    ") => {
                    let before = indented.last_mut();
                    let next = |(first, lines): &&mut (usize, Vec<String>)| {
                        *first + lines.len() + blank == number
                    };
                    match before.filter(next) {
                        Some((_, lines)) => {
                            lines.extend(vec![" ".repeat(4); blank]);
                            lines.push(line.to_owned());
                        }
                        None => indented.push((number, vec![line.to_owned()])),
                    }
                }
                (None, false) => prose.push((number, line.to_owned())),
            }
            blank = if line.trim().is_empty() { blank + 1 } else { 0 };
        }
        let is_whole = !is_open && !in_comment;
        assert!(is_whole, "{}: a block is not closed", path.display());
        Self {
            path: path.to_owned(),
            blocks,
            indented,
            comments,
            prose,
        }
    }

    /// Where links lead, each with its line.
    pub fn links(&self) -> Vec<(usize, String)> {
        let code = Regex::new("`[^`]*`").unwrap();
        let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
        let mut found = Vec::new();
        // A link's text may go over a line's end; its target does not.
        for (number, line) in &self.prose {
            let line = code.replace_all(line, "");
            let targets = link.captures_iter(&line).map(|it| it[1].to_owned());
            found.extend(targets.map(|target| (*number, target)));
        }
        found
    }

    /// The anchors of its headings.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.prose.iter().filter_map(|(_, line)| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len() && text.starts_with(' ')).then(|| anchor(text.trim()))
        });
        headings.collect()
    }
}

/// As GitHub and mdBook make them.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|char| match char {
        ' ' => Some('-'),
        '-' | '_' => Some(char),
        _ if char.is_alphanumeric() => Some(char.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// Every Markdown file below a folder.
pub fn pages_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}
