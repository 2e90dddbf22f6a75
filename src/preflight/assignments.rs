//! Values that are given on the command line, as Helm's `--set` and `--set-string` read them: `a.b=c,d[0]=e,f={g,h}`.
//! Behind a backslash a comma, a dot, a bracket or a brace is part of a name or of a text.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value};

/// Most items of a list, as Helm has it.
const MAX_INDEX: usize = 65_536;

/// Why assignments cannot be read. What they say is not repeated, for it may hold passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// There is no `=`.
    #[error("one of them has no value: write NAME=VALUE, and a comma within a value as \\,")]
    MissingValue,
    /// A part of a name is empty.
    #[error("a part of a name is empty: write a.b=VALUE")]
    EmptyName,
    /// What is in brackets is no place in a list.
    #[error(
        "what stands in brackets is no place in a list: write a[0]=VALUE, and a bracket within a name as \\["
    )]
    InvalidIndex,
    /// A list does not end, or goes on behind its end.
    #[error("a list does not end with }}: write a={{b,c}}, and a brace that begins a text as \\{{")]
    UnendedList,
    /// A name leads through what is a text, a number, or another kind of collection.
    #[error(
        "a name leads into a value that has no parts, or is a list where a table is meant or the reverse"
    )]
    OtherKind,
}

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As `--set` does: a number, `true`, `false` and `null` are what they look like.
    Typed,
    /// As `--set-string` does: everything is a text.
    Text,
}

/// A part of a name.
enum Part {
    Key(String),
    Index(usize),
}

/// Puts what these assignments say into the values.
///
/// # Errors
/// Where they cannot be read, or lead through what has no parts.
pub fn assign(values: &mut Value, text: &str, reading: Reading) -> Result<(), AssignmentError> {
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let path = path(&mut rest)?;
        let value = value(&mut rest, reading)?;
        put(values, &path, value)?;
    }
    Ok(())
}

/// The text up to one of these, which is not taken.
fn until(rest: &mut Peekable<Chars<'_>>, ends: &[char]) -> String {
    let mut text = String::new();
    while let Some(next) = rest.next_if(|next| !ends.contains(next)) {
        match next {
            '\\' => text.extend(rest.next()),
            next => text.push(next),
        }
    }
    text
}

/// A name with its `=`.
fn path(rest: &mut Peekable<Chars<'_>>) -> Result<Vec<Part>, AssignmentError> {
    let mut path = Vec::new();
    loop {
        let key = until(rest, &['.', '[', '=', ',']);
        if key.is_empty() {
            return Err(AssignmentError::EmptyName);
        }
        path.push(Part::Key(key));
        while rest.next_if_eq(&'[').is_some() {
            let index = until(rest, &[']', '=', ',']).parse();
            let index = index.ok().filter(|index| *index < MAX_INDEX);
            let ends = rest.next_if_eq(&']').is_some();
            let index = index
                .filter(|_| ends)
                .ok_or(AssignmentError::InvalidIndex)?;
            path.push(Part::Index(index));
        }
        match rest.next() {
            Some('.') => {}
            Some('=') => return Ok(path),
            Some(',') | None => return Err(AssignmentError::MissingValue),
            Some(_) => return Err(AssignmentError::InvalidIndex),
        }
    }
}

/// A value, and the comma behind it.
fn value(rest: &mut Peekable<Chars<'_>>, reading: Reading) -> Result<Value, AssignmentError> {
    if rest.next_if_eq(&'{').is_none() {
        let text = until(rest, &[',']);
        rest.next();
        return Ok(read(text, reading));
    }
    let mut items = Vec::new();
    loop {
        let item = until(rest, &[',', '}']);
        let end = rest.next().ok_or(AssignmentError::UnendedList)?;
        if !(end == '}' && item.is_empty() && items.is_empty()) {
            items.push(read(item, reading));
        }
        if end == '}' {
            break;
        }
    }
    match rest.next() {
        None | Some(',') => Ok(items.into()),
        Some(_) => Err(AssignmentError::UnendedList),
    }
}

fn read(text: String, reading: Reading) -> Value {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    // What begins with a zero is no number to Helm, but for zero itself.
    let is_number = text == "0" || !text.starts_with('0');
    let number = || text.parse::<i64>().ok().filter(|_| is_number);
    match reading {
        Reading::Text => text.into(),
        Reading::Typed if is("true") => true.into(),
        Reading::Typed if is("false") => false.into(),
        Reading::Typed if is("null") => Value::Null,
        Reading::Typed => number().map_or_else(|| text.clone().into(), Value::from),
    }
}

/// Tables and lists on the way are made where there are none.
fn put(into: &mut Value, path: &[Part], value: Value) -> Result<(), AssignmentError> {
    let Some((part, rest)) = path.split_first() else {
        *into = value;
        return Ok(());
    };
    if into.is_null() {
        *into = match part {
            Part::Key(_) => Map::new().into(),
            Part::Index(_) => Vec::<Value>::new().into(),
        };
    }
    let place = match (into, part) {
        (Value::Object(table), Part::Key(key)) => table.entry(key).or_insert(Value::Null),
        (Value::Array(list), Part::Index(index)) => {
            list.resize(list.len().max(index + 1), Value::Null);
            &mut list[*index]
        }
        _ => return Err(AssignmentError::OtherKind),
    };
    put(place, rest, value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assigned(text: &str, reading: Reading) -> Result<Value, AssignmentError> {
        let mut values = json!({ "t": "text", "l": ["x"], "m": { "k": 1 } });
        assign(&mut values, text, reading)?;
        Ok(values)
    }

    #[test]
    fn what_helm_reads_is_read_alike() {
        for (text, place, wanted) in [
            ("a=b", "/a", json!("b")),
            ("a.b.c=d,e=f", "/a/b/c", json!("d")),
            ("a=b,e=f", "/e", json!("f")),
            ("a=b=c", "/a", json!("b=c")),
            ("a=", "/a", json!("")),
            ("a=true", "/a", json!(true)),
            ("a=False", "/a", json!(false)),
            ("a=-3", "/a", json!(-3)),
            ("a=0", "/a", json!(0)),
            ("a=007", "/a", json!("007")),
            ("a=1.5", "/a", json!("1.5")),
            ("m.k=null", "/m/k", Value::Null),
            ("a={x,2}", "/a", json!(["x", 2])),
            ("a={},b=c", "/a", json!([])),
            ("a={x},b=c", "/b", json!("c")),
            ("a[1]=v", "/a", json!([null, "v"])),
            ("a[0].b=v,a[0].c=w", "/a", json!([{ "b": "v", "c": "w" }])),
            ("a[0][0]=v", "/a", json!([["v"]])),
            ("l[1]=y", "/l", json!(["x", "y"])),
            ("m.n=2", "/m", json!({ "k": 1, "n": 2 })),
            ("t=other", "/t", json!("other")),
            (r"a\.b.c=d", "/a.b/c", json!("d")),
            (r"a=b\,c", "/a", json!("b,c")),
            (r"a={b\,c,\}}", "/a", json!(["b,c", "}"])),
            (r"a=\{b}", "/a", json!("{b}")),
            (r"a\[0]=b", "/a[0]", json!("b")),
        ] {
            let values = assigned(text, Reading::Typed).unwrap();
            assert_eq!(values.pointer(place), Some(&wanted), "{text}");
        }
        for text in ["true", "null", "7"] {
            let values = assigned(&format!("a={text},b={{{text}}}"), Reading::Text).unwrap();
            assert_eq!((&values["a"], &values["b"]), (&json!(text), &json!([text])));
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_content() {
        use AssignmentError::*;
        for (text, wanted) in [
            ("canary", MissingValue),
            ("a=b,canary", MissingValue),
            ("=canary", EmptyName),
            ("a..b=canary", EmptyName),
            ("a=b,,c=canary", EmptyName),
            ("a[canary]=b", InvalidIndex),
            ("a[-1]=canary", InvalidIndex),
            ("a[65536]=canary", InvalidIndex),
            ("a[0=canary", InvalidIndex),
            ("a[0]b=canary", InvalidIndex),
            ("a={canary", UnendedList),
            ("a={canary}b", UnendedList),
            ("t.canary=b", OtherKind),
            ("t[0]=canary", OtherKind),
            ("m[0]=canary", OtherKind),
            ("l.canary=b", OtherKind),
        ] {
            let refused = assigned(text, Reading::Typed).unwrap_err();
            assert_eq!(refused, wanted, "{text}");
            assert!(!refused.to_string().contains("canary"), "{refused}");
        }
    }
}
