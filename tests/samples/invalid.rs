//! The samples of `invalid/`: what their first lines say of them, and what lint finds.

use std::fs;

use llmplane::lint::documents::{Document, ReadError, parse};
use llmplane::lint::schema::{Schemas, Violation};

use super::folder;

/// What a sample's first line says of it.
#[derive(Clone, Debug)]
pub enum Expected {
    Taken,
    Refused(Refusal),
    /// Where it takes the place of the sample before it.
    RefusedAsUpdate(Refusal),
    /// It is no YAML, or has a key twice.
    Unreadable {
        line: u64,
        /// kubectl reads a key that is there twice, and sends the last of the two.
        by_kubectl: bool,
    },
}

/// The field that is wrong, and something of what is said of it.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub field: String,
    pub says: String,
}

impl Refusal {
    fn of(line: &str) -> Self {
        let (field, says) = match line.split_once(" contains ") {
            Some((field, says)) => (field, serde_json::from_str(says).unwrap()),
            None => (line, String::new()),
        };
        Self {
            field: field.to_owned(),
            says,
        }
    }

    /// Whether this message on this field is the one.
    pub fn is_said_by(&self, field: &str, message: &str) -> bool {
        let message = message.to_lowercase();
        field == self.field && message.contains(&self.says.to_lowercase())
    }

    /// Whether this is the field, or one below it.
    pub fn covers(&self, field: &str) -> bool {
        let below = field.strip_prefix(self.field.as_str());
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

pub struct Sample {
    /// Its file, and which of the documents there it is.
    pub place: String,
    pub expected: Expected,
    pub text: String,
    pub object: Result<Document, ReadError>,
}

impl Sample {
    /// Its kind, also where the text cannot be read as YAML.
    pub fn kind(&self) -> &str {
        let kind = self.text.lines().find_map(|l| l.strip_prefix("kind: "));
        kind.unwrap_or_else(|| panic!("{}: it has no kind", self.place))
    }

    /// The object of one that can be read.
    pub fn object(&self) -> &Document {
        let object = self.object.as_ref();
        object.unwrap_or_else(|error| panic!("{}: {error}", self.place))
    }
}

/// Each document of `invalid/` with what its first line says.
pub fn invalid_samples() -> Vec<Sample> {
    let entries = fs::read_dir(folder("invalid")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut samples = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for (index, text) in text.split("\n---\n").enumerate() {
            let file = path.file_name().unwrap().to_string_lossy();
            let place = format!("{file}:{}", index + 1);
            let mut objects = parse(&place, text);
            let read = objects.documents.len() + objects.errors.len();
            assert_eq!(read, 1, "{place}");
            let object = match objects.errors.pop() {
                Some(error) => Err(error),
                None => Ok(objects.documents.remove(0)),
            };
            samples.push(Sample {
                expected: expectation(&place, text.lines().next().unwrap()),
                text: text.to_owned(),
                object,
                place,
            });
        }
    }
    assert!(samples.len() > 330, "only {} samples", samples.len());
    samples
}

fn expectation(place: &str, line: &str) -> Expected {
    let says = |prefix| line.strip_prefix(prefix);
    let number = |line: &str| line.parse().unwrap();
    if line == "# taken" {
        Expected::Taken
    } else if let Some(rest) = says("# refused as an update: ") {
        Expected::RefusedAsUpdate(Refusal::of(rest))
    } else if let Some(rest) = says("# refused: ") {
        Expected::Refused(Refusal::of(rest))
    } else if let Some(rest) = says("# unreadable: line ") {
        Expected::Unreadable {
            line: number(rest),
            by_kubectl: true,
        }
    } else if let Some(rest) = says("# unreadable but for kubectl: line ") {
        Expected::Unreadable {
            line: number(rest),
            by_kubectl: false,
        }
    } else {
        panic!("{place}: the first line has to say `# refused: <field>`, not {line:?}")
    }
}

/// What lint finds in each sample that can be read; the one before is what an update starts from.
pub fn judged(samples: &[Sample]) -> Vec<Vec<Violation>> {
    let mut before: Option<&Document> = None;
    let mut all = Vec::new();
    for sample in samples {
        let Ok(object) = &sample.object else {
            all.push(Vec::new());
            continue;
        };
        let schema = Schemas::generated().find(object.api_version(), sample.kind());
        let old = match sample.expected {
            Expected::RefusedAsUpdate(_) => Some(&before.unwrap().value),
            _ => None,
        };
        all.push(schema.unwrap().violations_of_update(&object.value, old));
        before = Some(object);
    }
    all
}
