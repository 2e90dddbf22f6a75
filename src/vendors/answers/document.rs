//! A vendor's JSON, read as a stream and within bounds: a document of any size and shape costs no
//! more than what is kept of it. Nobody else in [`vendors`](crate::vendors) parses an answer.
//!
//! [`excerpt`] keeps the beginning of everything, which is enough for errors and single objects.
//! [`entries`] shows the entries of a list one by one to a driver's function.

use std::{collections::BTreeMap, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::error_body::{ErrorBody, Form};
use crate::vendors::http::client::Response;

/// Levels of nesting that are kept.
const MAX_DEPTH: usize = 8;
/// Items of one array, and fields of one object, that are kept.
const MAX_ITEMS: usize = 64;
/// Values that are kept below one field of a document, or in one entry of a list.
const MAX_VALUES: usize = 512;
/// Bytes that are kept of one text.
const MAX_TEXT_BYTES: usize = 4096;
/// Entries that are read of a list, over all its pages. Vendors list 500 at most (facts, 7).
pub const MAX_LIST_ENTRIES: usize = 10_000;

/// Why a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vendors) enum Unreadable {
    /// There is nothing.
    Empty,
    /// It is something else, or breaks off.
    NotJson,
    /// Its list is longer than any that is kept.
    TooManyEntries,
    /// Its list's ids and names are longer than any list's that is kept.
    TooMuchText,
}

impl From<Unreadable> for &'static str {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::Empty => "it is empty",
            Unreadable::NotJson => "it is not JSON",
            Unreadable::TooManyEntries => {
                "it lists more than 10,000 models, the most that are read"
            }
            Unreadable::TooMuchText => {
                "its ids and names are larger than 1 MiB together, the most that is read"
            }
        }
    }
}

/// A list's entries, as a driver read them, and the document around the list.
#[derive(Debug)]
pub(in crate::vendors) struct Entries<T> {
    /// What the driver's function made of each entry; `None` where there is no list.
    pub entries: Option<Vec<T>>,
    /// The document's excerpt, with an empty array in the list's place.
    pub document: Value,
}

/// The beginning of a document: of arrays and objects the first 64 items, of texts the first 4 KiB,
/// eight levels deep, at most 512 values below each of the document's own fields.
///
/// # Errors
/// When it is empty or not JSON.
pub(in crate::vendors) fn excerpt(body: &[u8]) -> Result<Value, Unreadable> {
    parse(body, None, &mut { MAX_VALUES })
}

/// Shows each entry of a list to `read`, within the bounds of [`excerpt`] but for their number. The
/// list is the document itself, or else stands at the first of these paths at which there is one.
///
/// # Errors
/// When the document is empty or not JSON, or there are more than [`MAX_LIST_ENTRIES`].
pub(in crate::vendors) fn entries<T>(
    body: &[u8],
    paths: &[&[&str]],
    mut read: impl FnMut(&Value) -> T,
) -> Result<Entries<T>, Unreadable> {
    let mut lists: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    let mut count = 0;
    let paths: Vec<_> = paths.iter().copied().enumerate().collect();
    let document = parse(
        body,
        Some(Lists {
            paths: &paths,
            show: &mut |path, entry| {
                let list = lists.entry(path).or_default();
                if let Some(entry) = entry {
                    count += 1;
                    if count <= MAX_LIST_ENTRIES {
                        list.push(read(entry));
                    }
                }
                count <= MAX_LIST_ENTRIES
            },
        }),
        &mut { MAX_VALUES },
    );
    match document {
        Ok(document) => Ok(Entries {
            entries: lists.into_values().next(),
            document,
        }),
        Err(_) if count > MAX_LIST_ENTRIES => Err(Unreadable::TooManyEntries),
        Err(error) => Err(error),
    }
}

/// An answer's JSON, as far as [`excerpt`] keeps it, or what it is in the place of it.
pub(in crate::vendors) fn json(answer: &Response) -> Result<Value, String> {
    excerpt(without_mark(answer)).map_err(|why| said(why, answer))
}

/// As [`entries`], of an answer.
pub(in crate::vendors) fn list<T>(
    answer: &Response,
    paths: &[&[&str]],
    read: impl FnMut(&Value) -> T,
) -> Result<Entries<T>, String> {
    entries(without_mark(answer), paths, read).map_err(|why| said(why, answer))
}

/// The body without a byte-order mark.
fn without_mark(answer: &Response) -> &[u8] {
    let body = &answer.body;
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn said(why: Unreadable, answer: &Response) -> String {
    let form = match why {
        Unreadable::NotJson => ErrorBody::read(answer).form,
        _ => Form::Json,
    };
    match form {
        Form::Empty => "it is empty",
        Form::Page => "it is a web page",
        _ => why.into(),
    }
    .to_owned()
}

/// What keeps an answer from being read; `None` for a JSON object that has one of these fields, or
/// any object where none is named.
pub(in crate::vendors) fn unreadable(answer: &Response, fields: &[&str]) -> Option<String> {
    match json(answer) {
        Err(what) => Some(what),
        Ok(Value::Object(object)) => {
            let has_one = fields.is_empty() || fields.iter().any(|f| object.contains_key(*f));
            (!has_one).then(|| format!("it has no `{}`", fields.join("` or `")))
        }
        Ok(_) => Some("it is not a JSON object".to_owned()),
    }
}

fn parse<'r>(
    body: &[u8],
    list: Option<Lists<'r>>,
    values: &'r mut usize,
) -> Result<Value, Unreadable> {
    if body.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let document = Reader {
        is_document: true,
        list,
        depth: MAX_DEPTH,
        values,
    };
    let document = document.deserialize(&mut reader);
    let document = document.and_then(|document| reader.end().map(|()| document));
    document.map_err(|_| Unreadable::NotJson)
}

/// Where in a document a list may stand, and who is told of one that begins there, and of each of
/// its entries; that one answers whether to go on. The document itself has the number 0 too.
struct Lists<'r> {
    paths: &'r [(usize, &'r [&'r str])],
    show: &'r mut dyn FnMut(usize, Option<&Value>) -> bool,
}

/// Reads one value.
struct Reader<'r> {
    /// It is the whole document.
    is_document: bool,
    /// The lists that may stand in it, or that it is.
    list: Option<Lists<'r>>,
    /// Levels that may be kept below it.
    depth: usize,
    /// Values that may be kept yet.
    values: &'r mut usize,
}

impl Reader<'_> {
    /// Takes room for one more value.
    fn has_room(&mut self, items: usize) -> bool {
        let has_room = self.depth > 0 && items < MAX_ITEMS && *self.values > 0;
        *self.values -= usize::from(has_room);
        has_room
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(cut(text).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        if let Some(lists) = self.list.take() {
            let here = lists.paths.iter().find(|(_, path)| path.is_empty());
            let here = here.map(|(number, _)| *number);
            if let Some(number) = here.or(self.is_document.then_some(0)) {
                return show_each(number, lists.show, items);
            }
        }
        let mut kept = Vec::new();
        while self.has_room(kept.len()) {
            let item = Reader {
                is_document: false,
                list: None,
                depth: self.depth - 1,
                values: self.values,
            };
            match items.next_element_seed(item)? {
                Some(item) => kept.push(item),
                None => return Ok(kept.into()),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = fields.next_key_seed(Name)? {
            let paths: Vec<(usize, &[&str])> = (self.list.iter())
                .flat_map(|lists| lists.paths)
                .filter_map(|(number, path)| {
                    let (first, rest) = path.split_first()?;
                    (*first == name).then_some((*number, rest))
                })
                .collect();
            let list = match &mut self.list {
                Some(lists) if !paths.is_empty() => Some(Lists {
                    paths: &paths,
                    show: &mut *lists.show,
                }),
                _ => None,
            };
            // What the document itself has is found, however much stands before it.
            let mut afresh = MAX_VALUES;
            let is_apart = self.is_document || list.is_some();
            let has_room = match is_apart {
                true => list.is_some() || kept.len() < MAX_ITEMS,
                false => self.depth > 0 && kept.len() < MAX_ITEMS && *self.values > 0,
            };
            if !has_room {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let values = match is_apart {
                true => &mut afresh,
                false => &mut *self.values,
            };
            *values -= 1;
            let value = Reader {
                is_document: false,
                list,
                depth: self.depth - 1,
                values,
            };
            let value = fields.next_value_seed(value)?;
            kept.insert(name, value);
        }
        Ok(kept.into())
    }
}

fn show_each<'de, A: SeqAccess<'de>>(
    number: usize,
    show: &mut dyn FnMut(usize, Option<&Value>) -> bool,
    mut items: A,
) -> Result<Value, A::Error> {
    show(number, None);
    loop {
        let entry = Reader {
            is_document: false,
            list: None,
            depth: MAX_DEPTH,
            values: &mut { MAX_VALUES },
        };
        match items.next_element_seed(entry)? {
            None => return Ok(Value::Array(Vec::new())),
            Some(entry) if show(number, Some(&entry)) => {}
            Some(_) => return Err(A::Error::custom("no further entries are read")),
        }
    }
}

/// A field's name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<String, E> {
        Ok(cut(name).to_owned())
    }
}

/// The text, or its first bytes.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::vendors::answers::refusal::testing::answer;

    #[test]
    fn what_is_missing_is_named() {
        let said = |body: &str, fields: &[&str]| unreadable(&answer(200, body), fields);
        assert_eq!(said(r#"{"data":null}"#, &["data"]), None);
        assert_eq!(said("{}", &[]), None);
        assert_eq!(said("", &[]).as_deref(), Some("it is empty"));
        assert_eq!(said("<html>", &[]).as_deref(), Some("it is a web page"));
        assert_eq!(said("{", &[]).as_deref(), Some("it is not JSON"));
        assert_eq!(said("[1]", &[]).as_deref(), Some("it is not a JSON object"));
        assert_eq!(
            said("{}", &["id", "name"]).as_deref(),
            Some("it has no `id` or `name`")
        );
    }

    fn ids(body: &str, path: &[&str]) -> Result<Option<Vec<Value>>, Unreadable> {
        let list = entries(body.as_bytes(), &[path], |entry| entry["id"].clone());
        list.map(|list| list.entries)
    }

    #[test]
    fn a_list_is_read_where_it_stands_and_the_rest_is_kept() {
        let body = r#"{"success":true,"output":{"models":[{"id":"a"},{"id":"b"}],"total":2}}"#;
        let path = ["output", "models"];
        let both = vec![json!("a"), json!("b")];
        assert_eq!(ids(body, &path), Ok(Some(both)));
        let list = entries(body.as_bytes(), &[&path], |_| ()).expect("a list");
        let around = json!({ "success": true, "output": { "models": [], "total": 2 } });
        assert_eq!(list.document, around);
        let one = Ok(Some(vec![json!("a")]));
        assert_eq!(ids(r#"[{"id":"a"}]"#, &["data"]), one);
        assert_eq!(ids(r#"{"other":[{"id":"a"}]}"#, &["data"]), Ok(None));
        assert_eq!(ids(r#"{"data":[]}"#, &["data"]), Ok(Some(vec![])));
        for no_json in ["{\"data\":[{}", "{} {}", "[1, 2", "<html>"] {
            assert_eq!(
                ids(no_json, &["data"]),
                Err(Unreadable::NotJson),
                "{no_json}"
            );
        }
    }

    #[test]
    fn of_several_lists_the_first_path_counts() {
        let body = br#"{"models":{"data":[1]},"items":[2],"data":[3]}"#;
        let read = |paths: &[&[&str]]| {
            let list = entries(body, paths, Value::clone).expect("a list");
            list.entries.expect("a list")[0].clone()
        };
        assert_eq!(read(&[&["data"], &["items"]]), 3);
        assert_eq!(read(&[&["items"], &["data"]]), 2);
        assert_eq!(read(&[&["none"], &["models", "data"], &["data"]]), 1);
    }

    #[test]
    fn a_list_that_is_too_long_is_left_at_its_limit() {
        let list = |count: usize| format!(r#"{{"data":[{}]}}"#, vec!["[0]"; count].join(","));
        let read = |count| ids(&list(count), &["data"]).map(|ids| ids.map_or(0, |ids| ids.len()));
        assert_eq!(read(MAX_LIST_ENTRIES), Ok(MAX_LIST_ENTRIES));
        assert_eq!(read(MAX_LIST_ENTRIES + 1), Err(Unreadable::TooManyEntries));
        // What stands after the limit is not even looked at.
        let broken = format!("{}<", &list(MAX_LIST_ENTRIES + 1).trim_end_matches("]}"));
        assert_eq!(ids(&broken, &["data"]), Err(Unreadable::TooManyEntries));
    }

    /// Values in a document, itself included.
    fn size(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(fields) => fields.values().map(size).sum(),
            _ => 0,
        }
    }

    #[test]
    fn of_a_document_of_any_shape_little_is_kept() {
        let many = |part: &str| vec![part; 1 << 17].join(",");
        let shapes = [
            format!("[{}]", many("[0]")),
            format!("[{}]", many("{}")),
            format!(r#"{{"error":[{}]}}"#, many("[[0,0],[0,0]]")),
            format!(r#"{{"error":{{{}}}}}"#, many(r#""a":{"b":[0]}"#)),
            format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20)),
            format!(r#"{{"error":"{}"}}"#, "x".repeat(1 << 20)),
        ];
        for shape in shapes {
            let kept = excerpt(shape.as_bytes()).expect("JSON");
            assert!(size(&kept) <= 2 * MAX_VALUES, "{}", &shape[..40]);
            assert!(
                kept.to_string().len() <= 4 * MAX_TEXT_BYTES,
                "{}",
                &shape[..40]
            );
        }
    }

    #[test]
    fn what_stands_behind_much_else_is_found_among_the_documents_fields() {
        let body = format!(
            r#"{{"data":[{}],"has_more":true}}"#,
            vec![r#"{"a":[1,2,3]}"#; 5000].join(",")
        );
        assert_eq!(excerpt(body.as_bytes()).expect("JSON")["has_more"], true);
    }

    proptest! {
        #[test]
        fn a_small_document_is_kept_whole(
            numbers in prop::collection::vec(any::<i64>(), 0..20), text in ".{0,200}", name in "[a-z]{1,9}",
        ) {
            let document = json!({ name: { "numbers": numbers, "text": text }, "none": null });
            prop_assert_eq!(excerpt(document.to_string().as_bytes()), Ok(document));
        }

        #[test]
        fn what_is_json_to_others_is_json_here(body in r#"[\[\]{},:"0-9a-z ]{0,40}"#) {
            let whole = serde_json::from_str::<Value>(&body);
            prop_assert_eq!(excerpt(body.as_bytes()).is_ok(), whole.is_ok());
        }
    }
}
