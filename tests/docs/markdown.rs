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
    /// Its lines outside of blocks, with their numbers.
    pub prose: Vec<(usize, String)>,
}

impl Page {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut blocks, mut prose) = (Vec::<Block>::new(), Vec::new());
        let mut is_open = false;
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
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
                // Indented blocks are code too.
                (None, false) if line.starts_with("    ") => {}
                (None, false) => prose.push((number, line.to_owned())),
            }
        }
        assert!(!is_open, "{}: a block is not closed", path.display());
        Self {
            path: path.to_owned(),
            blocks,
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
