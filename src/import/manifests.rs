//! Manifests that a conversion makes, and whether the kube-apiserver would take them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Finding;
use crate::crd::model::parameters_out_of_bounds;
use crate::crd::{GROUP, Kind, VERSION, manifest};
use crate::lint::documents::{Objects, Source, parse};
use crate::lint::report::Severity;
use crate::lint::schema::Schemas;

/// An object that is to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Manifest {
    /// Its kind.
    #[serde(skip)]
    pub kind: Kind,
    /// The object.
    pub object: Value,
}

impl Manifest {
    /// An object of this kind.
    pub fn new(kind: Kind, namespace: Option<&str>, name: &str, spec: Map<String, Value>) -> Self {
        let mut metadata = json!({ "name": name });
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        Self {
            kind,
            object: json!({
                "apiVersion": format!("{GROUP}/{VERSION}"),
                "kind": kind.kubernetes(),
                "metadata": metadata,
                "spec": spec,
            }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// Its namespace, where it names one.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    fn metadata(&self, field: &str) -> Option<&str> {
        self.object.get("metadata")?.get(field)?.as_str()
    }

    /// What findings call it.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind.kubernetes(), self.name())
    }
}

/// All of them as YAML documents.
///
/// # Errors
/// Where one has no form in YAML.
pub fn to_yaml(manifests: &[Manifest]) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = String::new();
    for manifest in manifests {
        text.push_str("---\n");
        text.push_str(&manifest::to_yaml(manifest)?);
    }
    Ok(text)
}

/// Why a field of a kind's spec does not take a value, if it does not. Of the value it says nothing but
/// where it is of another type.
pub fn misfit(kind: Kind, field: &str, value: &Value) -> Option<String> {
    if ["modelId", "displayName"].contains(&field) && value.as_str().is_some_and(is_plain) {
        return None;
    }
    let mut spec = json!({
        "providerRef": { "name": "p" }, "type": "OpenAI", "secretRef": { "name": "s" }, "modelId": "m",
        "models": [{ "name": "m" }],
    });
    let has = match kind {
        Kind::Provider => ["type"].as_slice(),
        Kind::Endpoint => &["providerRef"],
        Kind::Credential => &["providerRef", "secretRef"],
        Kind::Model => &["providerRef", "modelId"],
        Kind::ModelClass => &["models"],
    };
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, _| has.contains(&&**name));
        fields.insert(field.to_owned(), value.clone());
    }
    let api_version = format!("{GROUP}/{VERSION}");
    let object = json!({
        "apiVersion": api_version, "kind": kind.kubernetes(), "metadata": { "name": "x" }, "spec": spec,
    });
    let schema = Schemas::generated().find(Some(&api_version), kind.kubernetes());
    let violations = schema.ok()?.violations(&object).into_iter();
    let at = format!("spec.{field}");
    let bounds = (field == "defaultParameters").then(|| parameters_out_of_bounds(&object["spec"]));
    let mut found = violations.filter(|it| it.field.starts_with(&at));
    found.next().map(|it| it.message).or(bounds.flatten())
}

/// Whether it is a short word of the characters that names have, which every field takes that takes a
/// line: a catalog has thousands of them, and all rules of a kind are dear.
fn is_plain(text: &str) -> bool {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(of_names)
}

/// What the kube-apiserver would not take, and which field of the source it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// For example `LlmModel/gpt-4o spec.displayName`.
    pub target: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The fields that it was made from.
    pub sources: Vec<String>,
}

/// What lint says of the manifests, errors alone: what they refer to may be in the cluster.
pub fn judge(manifests: &[Manifest], findings: &[Finding]) -> Vec<Refused> {
    let text = match to_yaml(manifests) {
        Ok(text) => text,
        Err(error) => {
            return vec![Refused {
                target: "the manifests".to_owned(),
                message: error.to_string(),
                sources: Vec::new(),
            }];
        }
    };
    let content: Objects = parse("manifests", &text);
    let report = crate::lint::lint(&[Source {
        file: "manifests".to_owned(),
        found: false,
        content,
    }]);
    let errors = (report.problems.into_iter()).filter(|it| it.severity == Severity::Error);
    errors
        .map(|problem| {
            let kind = problem.kind.unwrap_or_default();
            let title = format!("{kind}/{}", problem.name.unwrap_or_default());
            let target = format!("{title} {}", problem.field);
            let is_source = |finding: &&Finding| {
                let at = finding.target.as_deref();
                at.is_some_and(|at| {
                    at == title || (at.len() > title.len() && target.starts_with(at))
                })
            };
            let sources = findings.iter().filter(is_source);
            Refused {
                sources: sources.map(|finding| finding.path.clone()).collect(),
                target,
                message: problem.message,
            }
        })
        .collect()
}
