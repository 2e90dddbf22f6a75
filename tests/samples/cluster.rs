//! The samples as users send them: their text to a real apiserver, and through a real kubectl.

use std::{fs, path::Path, process::Output};

use http::{Method, Request};
use llmplane::crd::Kind;
use serde_json::Value;

use crate::support::plane::Plane;

use super::folder;
use super::invalid::{Expected, Sample, invalid_samples};

/// What kubectl says where a user applies a folder.
async fn applied(plane: &Plane, namespace: &str, folder: &Path) -> Output {
    let folder = folder.to_str().unwrap();
    let args = ["apply", "--validate=strict", "-n", namespace, "-f", folder];
    plane.kubectl(&args).await
}

#[tokio::test]
async fn the_apiserver_takes_every_valid_sample() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("valid").await;
    let applied = applied(plane, &namespace.name, &folder("valid")).await;
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(applied.status.success(), "{said}");
    assert!(!said.contains("Warning"), "{said}");
}

/// As Flux and Argo CD apply. It is told of more than a client-side apply is: of nulls, for one.
#[tokio::test]
async fn a_server_side_apply_takes_every_valid_sample() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("valid-ssa").await;
    let (folder, namespace) = (folder("valid"), namespace.name.as_str());
    let folder = folder.to_str().unwrap();
    let args = [
        "apply",
        "--server-side",
        "--validate=strict",
        "-n",
        namespace,
        "-f",
        folder,
    ];
    let applied = plane.kubectl(&args).await;
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(applied.status.success(), "{said}");
    assert!(!said.contains("Warning"), "{said}");
}

#[tokio::test]
async fn the_apiserver_refuses_every_invalid_sample_on_the_same_field() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("invalid").await;
    let client = plane.client().await;
    let mut wrong = Vec::new();
    for sample in invalid_samples() {
        let answer = send(&client, &namespace.name, &sample).await;
        if let Err(difference) = as_expected(&sample.expected, answer) {
            wrong.push(format!("{}: {difference}", sample.place));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends a sample's text as it stands, strictly: an unknown field is an error.
async fn send(client: &kube::Client, namespace: &str, sample: &Sample) -> kube::Result<Value> {
    let kind = Kind::ALL
        .into_iter()
        .find(|it| it.kubernetes() == sample.kind());
    let plural = kind.map_or("", Kind::plural);
    let path = format!("/apis/llmplane.dev/v1alpha1/namespaces/{namespace}/{plural}");
    let (method, path, content) = match sample.expected {
        Expected::RefusedAsUpdate(_) => {
            let name = sample.object().name().unwrap();
            let path = format!("{path}/{name}?fieldManager=test&force=true");
            (Method::PATCH, path, "application/apply-patch+yaml")
        }
        _ => (Method::POST, format!("{path}?"), "application/yaml"),
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("{path}&fieldValidation=Strict"))
        .header("Content-Type", content)
        .body(sample.text.clone().into_bytes())
        .unwrap();
    client.request(request).await
}

/// Whether the apiserver's answer is the one that the sample's first line says.
fn as_expected(expected: &Expected, answer: kube::Result<Value>) -> Result<(), String> {
    if let Expected::Taken = expected {
        return answer.map(drop).map_err(|e| e.to_string());
    }
    let status = match answer {
        Err(kube::Error::Api(status)) => status,
        Err(other) => return Err(other.to_string()),
        Ok(_) => return Err("taken".to_owned()),
    };
    let causes = status.details.map(|d| d.causes).unwrap_or_default();
    let as_expected = match expected {
        Expected::Taken => false,
        Expected::Unreadable { line, .. } => {
            status.code == 400 && status.message.contains(&format!("line {line}:"))
        }
        Expected::Refused(refusal) | Expected::RefusedAsUpdate(refusal) => {
            let unknown = format!("unknown field \"{}\"", refusal.field);
            let named = causes
                .iter()
                .any(|c| refusal.is_said_by(&c.field, &c.message));
            // Where an object is malformed the apiserver adds that it looked at no rule, on no field.
            let elsewhere = causes
                .iter()
                .any(|c| !refusal.covers(&c.field) && c.field != "<nil>");
            (status.code == 400 && status.message.contains(&unknown))
                || (status.code == 422 && named && !elsewhere)
        }
    };
    if as_expected {
        return Ok(());
    }
    let shown: String = status.message.chars().take(600).collect();
    Err(format!(
        "expected {expected:?}, got {}: {shown}",
        status.code
    ))
}

#[tokio::test]
async fn kubectl_shows_what_the_apiserver_refuses_in_every_invalid_sample() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("kubectl").await;
    let files = tempfile::tempdir().unwrap();
    let samples = invalid_samples();
    // In order, for an update comes after what it changes.
    let named = |index: usize| format!("sample-{index:04}.yaml");
    for (index, sample) in samples.iter().enumerate() {
        fs::write(files.path().join(named(index)), &sample.text).unwrap();
    }
    let applied = applied(plane, &namespace.name, files.path()).await;
    assert!(!applied.status.success());
    let said = String::from_utf8_lossy(&applied.stderr);
    let errors = errors(&said);
    let mut wrong = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let error = errors.iter().find(|error| error.contains(&named(index)));
        if !shown_as_expected(&sample.expected, error.map(String::as_str)) {
            let shown: Option<String> = error.map(|e| e.chars().take(600).collect());
            let (place, expected) = (&sample.place, &sample.expected);
            wrong.push(format!("{place}: expected {expected:?}, got {shown:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One error each; some go over several lines.
fn errors(said: &str) -> Vec<String> {
    let mut errors: Vec<String> = Vec::new();
    for line in said.lines() {
        match errors.last_mut() {
            Some(last) if !line.to_lowercase().starts_with("error") => {
                last.push('\n');
                last.push_str(line);
            }
            _ => errors.push(line.to_owned()),
        }
    }
    errors
}

fn shown_as_expected(expected: &Expected, error: Option<&str>) -> bool {
    let Some(error) = error else {
        return matches!(
            expected,
            Expected::Taken
                | Expected::Unreadable {
                    by_kubectl: false,
                    ..
                }
        );
    };
    match expected {
        Expected::Taken => false,
        Expected::Unreadable { line, by_kubectl } => {
            *by_kubectl && error.contains(&format!("line {line}:"))
        }
        Expected::Refused(refusal) | Expected::RefusedAsUpdate(refusal) => {
            let (field, says) = (&refusal.field, refusal.says.to_lowercase());
            let unknown = error.contains(&format!("unknown field \"{field}\""));
            let named = error.contains(&format!("{field}: "));
            unknown || (named && error.to_lowercase().contains(&says))
        }
    }
}
