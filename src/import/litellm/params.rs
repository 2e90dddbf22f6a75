//! What a deployment's parameters say of how it is called.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::settings::Defaults;
use crate::crd::Kind;
use crate::import::plan::Call;
use crate::import::secret_headers;
use crate::import::source::Field;
use crate::import::vendor::Vendor;

/// A deployment's parameters, and those of the credential that it names.
pub struct Params<'a> {
    pub own: Field<'a>,
    /// `credential_values`, and the entry that they are of.
    pub shared: Option<(Field<'a>, Field<'a>)>,
}

impl<'a> Params<'a> {
    /// A parameter: the deployment's own comes first.
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        let shared = || self.shared.as_ref()?.0.get(name);
        self.own.get(name).or_else(shared)
    }

    /// The first of these that is there.
    pub fn any(&self, names: &[&str]) -> Option<Field<'a>> {
        names.iter().find_map(|name| self.get(name))
    }
}

const ADDRESS: [&str; 2] = ["api_base", "base_url"];
const TIMEOUT: [&str; 2] = ["timeout", "request_timeout"];
const RETRIES: [&str; 2] = ["max_retries", "num_retries"];
const REGION: [&str; 2] = ["aws_region_name", "region_name"];
const HEADERS: [&str; 2] = ["extra_headers", "headers"];
/// Largest number of retries that an endpoint may name.
const MOST_RETRIES: i64 = 10;

/// The address as it is written.
pub fn address<'a>(params: &Params<'a>) -> Option<&'a str> {
    params.any(&ADDRESS)?.text()
}

/// How the deployment is called; none where it has an address that cannot be carried over: its key is
/// for whoever answers there, and not for the vendor.
pub fn call(params: &Params<'_>, vendor: &Vendor, defaults: &Defaults) -> Option<Call> {
    let address = params.any(&ADDRESS);
    let base_url = address.as_ref().and_then(Field::url);
    if address.is_some() && base_url.is_none() {
        return None;
    }
    let text = |field: Option<Field<'_>>, name: &str| {
        let field = field?;
        let value = field.fitting(Kind::Endpoint, name, field.plain_text()?.into())?;
        value.as_str().map(str::to_owned)
    };
    let timeout = params.any(&TIMEOUT).and_then(|it| it.integer(1, 3600));
    let retries = params
        .any(&RETRIES)
        .and_then(|it| it.integer(0, MOST_RETRIES));
    let priority = params.get("order").and_then(|it| it.integer(0, 1_000_000));
    Some(Call {
        base_url: base_url.or_else(|| vendor.base_url.map(str::to_owned)),
        api_version: text(params.get("api_version"), "apiVersion"),
        region: text(params.any(&REGION), "region"),
        headers: headers(params),
        read_timeout: timeout.or(defaults.timeout),
        retries: retries.or(defaults.retries),
        priority,
        name: None,
    })
}

/// Headers that every call needs. What may be a key is told of and left out.
fn headers(params: &Params<'_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    if let Some(field) = params.get("organization")
        && let Some(text) = field.plain_text()
    {
        headers.insert("OpenAI-Organization".to_owned(), text.to_owned());
    }
    for given in HEADERS.iter().filter_map(|name| params.get(name)) {
        for (name, field) in given.entries() {
            if let Some(text) = header(name, &field) {
                headers.insert(name.to_owned(), text);
            }
        }
    }
    headers
}

/// A header's value, where it may be carried over.
pub fn header(name: &str, field: &Field<'_>) -> Option<String> {
    if secret_headers::is_secret_name(name) {
        field.manual("left out: by its name this header holds a key; put it into a Secret, and name that in an LlmCredential");
        return None;
    }
    let value = match field.value() {
        Value::Number(number) => number.to_string(),
        _ => field.plain_text()?.to_owned(),
    };
    if secret_headers::may_hold_key(name, &value) {
        field.manual("left out: this header may hold a key, and manifests hold none; if it holds none, add it to the LlmEndpoint by hand");
        return None;
    }
    let header = json!([{ "name": name, "value": value }]);
    field.fitting(Kind::Endpoint, "headers", header)?;
    Some(value)
}

/// Says where the parameters of an endpoint went.
pub fn tell_endpoint(params: &Params<'_>, title: &str) {
    let told = |fields: &[&str], target: &str| {
        for field in fields.iter().filter_map(|name| params.get(name)) {
            if !field.is_told() {
                field.exact(format!("{title} {target}"));
            }
        }
    };
    told(&ADDRESS, "spec.baseUrl");
    told(&["api_version"], "spec.apiVersion");
    told(&REGION, "spec.region");
    told(&TIMEOUT, "spec.readTimeoutSeconds");
    told(&RETRIES, "spec.retry.count");
    told(&["organization"], "spec.headers");
    for given in HEADERS.iter().filter_map(|name| params.get(name)) {
        for (_, field) in given.entries().iter().filter(|(_, field)| !field.is_told()) {
            field.exact(format!("{title} spec.headers"));
        }
    }
    if let Some(order) = params.get("order").filter(|order| !order.is_told()) {
        order.approximate(
            format!("{title} spec.priority"),
            "it orders the provider's endpoints, for all models that they serve",
        );
    }
}
