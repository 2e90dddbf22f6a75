//! Standard output of the commands that print, and text that is fit for it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, StdoutLock, Write};

/// Standard output, to which a reader that went away (`llmplane crds | head`) is no error: what
/// nobody reads is dropped.
#[derive(Debug)]
pub struct Output(StdoutLock<'static>);

/// Standard output, locked.
pub fn stdout() -> Output {
    Output(io::stdout().lock())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

/// One line of text for a terminal: names, paths and values of a user's with every character escaped
/// that would act on the terminal, end the line, or stand there unseen.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, acts_or_hides)
}

/// The same for text of several lines, whose line ends and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |char| {
        !matches!(char, '\n' | '\t') && acts_or_hides(char)
    })
}

/// JSON for a terminal: what JSON itself does not escape. Such characters stand within strings alone.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(|char| char != '\n' && acts_or_hides(char)) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        if char == '\n' || !acts_or_hides(char) {
            out.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

fn escaped(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' if acts(char) => out.extend(char.escape_default()),
            _ if acts(char) => out.extend(char.escape_unicode()),
            _ => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// Control characters, and those of Unicode that turn the direction of text or take no room.
fn acts_or_hides(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_or_hides_is_escaped() {
        let text = "a\u{1b}[31m\u{9b}31m\r\nb\tc\u{7f}\u{202e}d\u{feff}é";
        assert_eq!(
            printable(text),
            r"a\u{1b}[31m\u{9b}31m\r\nb\tc\u{7f}\u{202e}d\u{feff}é"
        );
        assert_eq!(printable_lines("a\u{1b}\n\tb\r"), "a\\u{1b}\n\tb\\r");
        assert!(matches!(printable("plain, ü"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same_when_it_is_printable() {
        let value = serde_json::json!({"a\u{1b}": "\u{9b}\u{7f}\u{202e}\u{e0001}é\n"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = printable_json(&text);
        assert!(!shown.contains(|char| char != '\n' && acts_or_hides(char)));
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, value);
    }
}
