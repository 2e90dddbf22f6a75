//! A file's bytes as text, and the text as documents, both as kubectl reads them: cli-runtime's
//! `FileVisitor` and apimachinery's `YAMLOrJSONDecoder`. One pass each.

use serde::de::IgnoredAny;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A file's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    /// Line, from 1, of the first character that was replaced because it could not be decoded.
    pub replaced: Option<u64>,
}

/// Decodes UTF-8, and UTF-16 that begins with a byte order mark. What cannot be decoded becomes
/// U+FFFD, without a word from kubectl.
pub fn decode(bytes: Vec<u8>) -> Text {
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: Vec<u8>) -> Text {
    match String::from_utf8(bytes) {
        Ok(text) => Text {
            text: text
                .strip_prefix(BYTE_ORDER_MARK)
                .map(str::to_owned)
                .unwrap_or(text),
            replaced: None,
        },
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let before = bytes
                .iter()
                .take(good)
                .filter(|byte| **byte == b'\n')
                .count();
            let text = String::from_utf8_lossy(&bytes);
            Text {
                text: text
                    .strip_prefix(BYTE_ORDER_MARK)
                    .unwrap_or(&text)
                    .to_owned(),
                replaced: Some(before as u64 + 1),
            }
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Text {
    let (units, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    let mut replaced = None;
    let mut line = 1;
    for decoded in char::decode_utf16(units.iter().map(|pair| unit(*pair))) {
        let char = decoded.unwrap_or_else(|_| {
            replaced.get_or_insert(line);
            char::REPLACEMENT_CHARACTER
        });
        line += u64::from(char == '\n');
        text.push(char);
    }
    if !rest.is_empty() {
        replaced.get_or_insert(line);
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Text { text, replaced }
}

/// One document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    pub text: &'a str,
    /// The line, from 1, on which it begins.
    pub line: u64,
}

/// Where kubectl stops reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something else than a comment stands after `---`.
    Separator,
    /// Something else than JSON stands after several JSON objects.
    AfterJson,
}

/// A text's documents, and the lines at which kubectl would stop.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split<'a> {
    pub chunks: Vec<Chunk<'a>>,
    pub faults: Vec<(u64, Fault)>,
}

/// Splits a text into documents: JSON objects one after the other where it begins with a brace, until
/// that fails after at most one of them; YAML between lines of `---` otherwise.
pub fn split(text: &str) -> Split<'_> {
    let mut split = Split::default();
    let mut lines = Lines::of(text);
    let yaml_from = match text.trim_start().starts_with('{') {
        true => split_json(&mut lines, &mut split),
        false => Some(0),
    };
    if let Some(from) = yaml_from {
        split_yaml(&mut lines, from, &mut split);
    }
    split
}

/// The place from which the text has to be read as YAML, if there is one.
fn split_json<'a>(lines: &mut Lines<'a>, split: &mut Split<'a>) -> Option<usize> {
    let text = lines.text;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut end = 0;
    loop {
        match values.next() {
            None => return None,
            Some(Ok(_)) => {
                let after = values.byte_offset();
                lines.push(end, after, split);
                end = after;
            }
            Some(Err(_)) => break,
        }
    }
    let blank = text[end..].len() - text[end..].trim_start().len();
    if split.chunks.len() > 1 {
        let line = lines.number(end + blank);
        split.faults.push((line, Fault::AfterJson));
        return None;
    }
    let line_end = text[end..end + blank].find('\n');
    Some(end + line_end.map_or(blank, |found| found + 1))
}

fn split_yaml<'a>(lines: &mut Lines<'a>, from: usize, split: &mut Split<'a>) {
    let text = lines.text;
    let (mut begin, mut at) = (from, from);
    for line in text[from..].split_inclusive('\n') {
        if let Some(rest) = line.strip_prefix("---") {
            lines.push(begin, at, split);
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                split.faults.push((lines.number(at), Fault::Separator));
            }
            begin = at + line.len();
        }
        at += line.len();
    }
    lines.push(begin, text.len(), split);
}

/// Numbers the lines of a text, from its beginning to its end.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line of a place that is not before the last one asked for. A line ends as YAML says, also
    /// with a carriage return.
    fn number(&mut self, place: usize) -> u64 {
        let bytes = self.text.as_bytes();
        let ends = (self.at..place).filter(|&at| match bytes[at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        self.line += ends.count() as u64;
        self.at = place;
        self.line
    }

    /// Adds a document, unless there is nothing in it.
    fn push(&mut self, begin: usize, end: usize, split: &mut Split<'a>) {
        let text = &self.text[begin..end];
        let marked = text.trim_start_matches(BYTE_ORDER_MARK);
        if marked.trim().is_empty() {
            return;
        }
        let line = self.number(begin);
        split.chunks.push(Chunk { text: marked, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &str) -> Vec<(u64, &str)> {
        let split = split(text);
        assert_eq!(split.faults, [], "{text:?}");
        let chunks = split.chunks.into_iter();
        chunks
            .map(|chunk| (chunk.line, chunk.text.trim()))
            .collect()
    }

    #[test]
    fn text_is_decoded_by_its_byte_order_mark() {
        let good = |text: &str| Text {
            text: text.to_owned(),
            replaced: None,
        };
        assert_eq!(
            decode(b"\xef\xbb\xbfa: \xc3\xa9\n".to_vec()),
            good("a: é\n")
        );
        assert_eq!(decode(b"\xff\xfea\0:\0=\xd8\0\xde".to_vec()), good("a:😀"));
        assert_eq!(decode(b"\xfe\xff\0a\0:\xd8=\xde\0".to_vec()), good("a:😀"));
        for (bytes, text, line) in [
            (&b"a: b\nc: d\xe9\n"[..], "a: b\nc: d\u{fffd}\n", 2),
            (b"\xff\xfea\0\n\0\0\xd8b\0", "a\n\u{fffd}b", 2),
            (b"\xff\xfea\0b", "a\u{fffd}", 1),
        ] {
            let decoded = decode(bytes.to_vec());
            assert_eq!(
                (decoded.text.as_str(), decoded.replaced),
                (text, Some(line))
            );
        }
    }

    #[test]
    fn yaml_is_split_at_its_separators() {
        let text = "---\n# c\na: 1\n--- # c\r\n\n---\r\nb: |\n  ---\n---\n\u{feff}c: 1";
        assert_eq!(
            chunks(text),
            [(2, "# c\na: 1"), (7, "b: |\n  ---"), (10, "c: 1")]
        );
        assert_eq!(
            chunks("a: 1\r---\rb: 1\n---\nc: 1"),
            [(1, "a: 1\r---\rb: 1"), (5, "c: 1")]
        );
    }

    #[test]
    fn json_objects_may_follow_each_other_at_once() {
        assert_eq!(
            chunks("\n{\"a\": {}}{\"b\": 1}\n\n {\"c\": 1}\n"),
            [(1, r#"{"a": {}}"#), (2, r#"{"b": 1}"#), (2, r#"{"c": 1}"#)]
        );
    }

    #[test]
    fn what_turns_out_to_be_yaml_is_read_so() {
        assert_eq!(
            chunks("{a: 1}\n---\n{\"b\": 1}{\"c\": 1}"),
            [(1, "{a: 1}"), (3, r#"{"b": 1}{"c": 1}"#)]
        );
        let one = "{\"a\": 1}\n\u{feff}{\"b\": 1}\n---\nc: 1\n";
        assert_eq!(
            chunks(one),
            [(1, r#"{"a": 1}"#), (2, r#"{"b": 1}"#), (4, "c: 1")]
        );
    }

    #[test]
    fn kubectl_stops_at_what_it_cannot_split() {
        let several = split("{\"a\": 1}\n{\"b\": 1}\n---\nc: 1\n");
        assert_eq!(several.chunks.len(), 2);
        assert_eq!(several.faults, [(3, Fault::AfterJson)]);
        for text in ["a: 1\n--- {b: 1}\n", "a: 1\n----\nb: 1"] {
            assert_eq!(split(text).faults, [(2, Fault::Separator)], "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_of_a_text_is_read_twice(text in "[{}a:\"\\n\\r -]{0,60}|(---|\\{\\}|\\n|a: 1){0,20}") {
            let split = split(&text);
            let length: usize = split.chunks.iter().map(|chunk| chunk.text.len()).sum();
            proptest::prop_assert!(length <= text.len());
            let lines = text.split(['\n', '\r']).count() as u64;
            proptest::prop_assert!(split.chunks.iter().all(|chunk| chunk.line <= lines));
        }
    }
}
