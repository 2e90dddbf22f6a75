//! As much of a shell's grammar as the documentation uses.

use std::iter::Peekable;
use std::str::Chars;

/// The commands of a text, each by its words, also those of a pipe and in `$(...)`. What is redirected where,
/// and comments, are left out; what is substituted is `$`.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let mut reader = Reader {
        rest: text.chars().peekable(),
        found: Vec::new(),
    };
    reader.list(false);
    reader.found
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    found: Vec<Vec<String>>,
}

/// A command that is being read.
#[derive(Default)]
struct Pending {
    words: Vec<String>,
    word: Option<String>,
    /// The next word is a file.
    redirects: bool,
}

impl Pending {
    fn push(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end_word(&mut self) {
        match self.word.take() {
            Some(_) if self.redirects => self.redirects = false,
            Some(word) => self.words.push(word),
            None => {}
        }
    }

    fn end(&mut self) -> Option<Vec<String>> {
        self.end_word();
        self.redirects = false;
        let words = std::mem::take(&mut self.words);
        (!words.is_empty()).then_some(words)
    }
}

impl Reader<'_> {
    /// Commands up to the end, or up to the bracket that closes a substitution.
    fn list(&mut self, in_brackets: bool) {
        let mut pending = Pending::default();
        while let Some(char) = self.rest.next() {
            match char {
                ')' if in_brackets => break,
                '\\' => match self.rest.next() {
                    Some('\n') | None => {}
                    Some(char) => pending.push(&char.to_string()),
                },
                '\'' => {
                    pending.push("");
                    while let Some(char) = self.rest.next_if(|it| *it != '\'') {
                        pending.push(&char.to_string());
                    }
                    self.rest.next();
                }
                '"' => self.quoted(&mut pending),
                '$' => self.substituted(&mut pending),
                '#' if pending.word.is_none() => {
                    while self.rest.next_if(|it| *it != '\n').is_some() {}
                }
                '<' | '>' => {
                    let is_number = pending.word.as_ref().is_some_and(|word| {
                        !word.is_empty() && word.chars().all(|it| it.is_ascii_digit())
                    });
                    if is_number {
                        pending.word = None;
                    }
                    pending.end_word();
                    while self.rest.next_if(|it| "<>&|".contains(*it)).is_some() {}
                    pending.redirects = true;
                }
                '\n' | ';' | '|' | '&' | '(' | ')' => self.found.extend(pending.end()),
                char if char.is_whitespace() => pending.end_word(),
                char => pending.push(&char.to_string()),
            }
        }
        self.found.extend(pending.end());
    }

    fn quoted(&mut self, pending: &mut Pending) {
        pending.push("");
        while let Some(char) = self.rest.next() {
            match char {
                '"' => return,
                '\\' => pending.push(&self.rest.next().map(String::from).unwrap_or_default()),
                '$' => self.substituted(pending),
                char => pending.push(&char.to_string()),
            }
        }
    }

    fn substituted(&mut self, pending: &mut Pending) {
        pending.push("$");
        if self.rest.next_if_eq(&'(').is_some() {
            self.list(true);
        }
    }
}

#[test]
fn commands_are_told_apart() {
    let read = |text: &str| {
        let commands = commands(text);
        let joined = commands.iter().map(|words| words.join(" "));
        joined.collect::<Vec<_>>()
    };
    assert_eq!(
        read("a --b 'c d' | e \"f $(g h) i\" > file 2>&1 && j  # k"),
        ["a --b c d", "g h", "e f $ i", "j"]
    );
    assert_eq!(
        read("A=1 a \\\n  b\nc <in; d=$(e \"$F\") &"),
        ["A=1 a b", "c", "e $F", "d=$"]
    );
    assert_eq!(read("a '' \"\"")[0], "a  ");
    assert_eq!(read("# nothing"), [""; 0]);
}
