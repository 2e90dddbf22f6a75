//! Colours, on a terminal alone.

use std::fmt::Display;
use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Style};

use super::objects::State;

/// Whether to use colours.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// For standard output. `NO_COLOR` in the environment switches colours off (no-color.org).
    pub fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(std::io::stdout().is_terminal() && !unwanted)
    }

    /// A text in the colour of a state.
    pub fn state(self, state: State, text: impl Display) -> String {
        let color = match state {
            State::Works => AnsiColor::Green,
            State::Waits => AnsiColor::Yellow,
            State::Fails | State::Broken => AnsiColor::Red,
        };
        self.styled(color.on_default(), text)
    }

    /// A text that one looks for.
    pub fn strong(self, text: impl Display) -> String {
        self.styled(Style::new().bold(), text)
    }

    /// A text that one passes over.
    pub fn faint(self, text: impl Display) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    fn styled(self, style: Style, text: impl Display) -> String {
        match self.0 {
            true => format!("{style}{text}{style:#}"),
            false => text.to_string(),
        }
    }
}
