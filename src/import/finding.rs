//! What is said of a field of the source.

use std::fmt::Write;

use serde::Serialize;
use utoipa::ToSchema;

use crate::output::printable;

/// How a field came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it is.
    Exact,
    /// In a way that means nearly the same.
    Approximate,
    /// Not without somebody's hand: the message says what to do.
    Manual,
    /// Not at all: llmplane has no such thing.
    Unsupported,
}

impl Level {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Approximate => "approximate",
            Self::Manual => "manual",
            Self::Unsupported => "unsupported",
        }
    }

    /// What a command ends with whose worst finding this is.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Exact => 0,
            Self::Approximate => 10,
            Self::Manual => 11,
            Self::Unsupported => 12,
        }
    }
}

/// One field of the source, or a part of it, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// How it came over.
    pub level: Level,
    /// The file, as it was named.
    pub file: String,
    /// Which of the file's documents that are not empty, from 1.
    pub document: usize,
    /// Line in the file, from 1.
    pub line: u64,
    /// The field, for example `model_list[3].litellm_params.api_base`. It stands for all below it.
    pub path: String,
    /// Where it went, for example `LlmModel/gpt-4o spec.contextWindow`.
    pub target: Option<String>,
    /// What was changed, or what to do.
    pub message: String,
    /// Commands that do it.
    pub commands: Vec<String>,
}

impl Finding {
    /// One line, and one for each command.
    pub fn text(&self) -> String {
        let (file, level) = (&self.file, self.level.as_str());
        let mut text = format!("{file}:{}:{}: {level}", self.document, self.line);
        if !self.path.is_empty() {
            let _ = write!(text, " {}", self.path);
        }
        if let Some(target) = &self.target {
            let _ = write!(text, " -> {target}");
        }
        if !self.message.is_empty() {
            let _ = write!(text, ": {}", self.message);
        }
        let mut text = printable(&text).into_owned();
        for command in &self.commands {
            let _ = write!(text, "\n    {}", printable(command));
        }
        text.push('\n');
        text
    }
}
