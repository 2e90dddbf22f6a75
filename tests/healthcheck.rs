//! `llmplane healthcheck`: what the image has instead of a shell and curl.

use std::process::Output;
use std::time::Duration;

use llmplane::crd::ProviderType;
use tokio::process::Command;

use crate::support::vendors::certificates::{Certificate, authority_pem};
use crate::support::vendors::{Fake, Fault};

async fn healthcheck(args: &[&str]) -> (Option<i32>, String) {
    let command = Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .arg("healthcheck")
        .args(args)
        .env_clear()
        .output();
    let output: Output = tokio::time::timeout(Duration::from_secs(30), command)
        .await
        .expect("it ends by itself")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// Has a server answer everybody from now on.
fn answers(server: &Fake) {
    server.fail(Fault::Body("{}".to_owned()));
}

#[tokio::test]
async fn it_ends_with_0_where_the_url_answers_and_says_why_where_it_does_not() {
    let server = Fake::of(ProviderType::OpenAI).await;
    let url = format!("{}/openapi.json", server.root());
    answers(&server);
    assert_eq!(healthcheck(&[&url]).await, (Some(0), String::new()));
    server.mend();
    server.fail(Fault::Status(503));
    let (code, said) = healthcheck(&[&url]).await;
    assert_eq!(code, Some(1));
    assert_eq!(
        said.trim_end(),
        format!("error: {url}: answers 503 Service Unavailable")
    );
    server.mend();
    server.fail(Fault::Redirect(302, "/elsewhere".to_owned()));
    assert!(healthcheck(&[&url]).await.1.contains("302"));
}

#[tokio::test]
async fn it_tries_again_for_as_long_as_it_is_told() {
    let server = Fake::of(ProviderType::OpenAI).await;
    let url = format!("{}/openapi.json", server.root());
    server.fail_times(2, Fault::Status(503));
    answers(&server);
    let (code, said) = healthcheck(&[&url, "--wait-seconds=20"]).await;
    assert_eq!((code, server.calls()), (Some(0), 3), "{said}");
}

#[tokio::test]
async fn it_trusts_the_folders_authorities_and_no_name_but_the_hosts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), authority_pem()).unwrap();
    // As a mounted Secret has it.
    std::fs::create_dir(folder.path().join("..data")).unwrap();
    let ca_dir = format!("--ca-dir={}", folder.path().display());
    for (certificate, trusted, healthy) in [
        (Certificate::Good, true, true),
        (Certificate::Good, false, false),
        (Certificate::OtherHost, true, false),
        (Certificate::Expired, true, false),
    ] {
        let server = Fake::tls(ProviderType::OpenAI, certificate).await;
        answers(&server);
        let url = format!("{}/openapi.json", server.root());
        let mut args = vec![url.as_str()];
        args.extend(trusted.then_some(ca_dir.as_str()));
        let (code, said) = healthcheck(&args).await;
        let wanted = if healthy { 0 } else { 1 };
        assert_eq!(code, Some(wanted), "{certificate:?} {trusted}: {said}");
    }
}

#[tokio::test]
async fn what_it_cannot_use_is_said_in_one_line_without_a_password() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), "no certificate").unwrap();
    let broken = format!("--ca-dir={}", folder.path().display());
    for (args, named) in [
        (vec!["ftp://127.0.0.1/x"], "neither http:// nor https://"),
        (
            vec!["http://a:canary@127.0.0.1/x"],
            "holds a user or a password",
        ),
        (
            vec!["http://127.0.0.1:1/x?token=canary"],
            "http://127.0.0.1:1/x",
        ),
        (
            vec!["http://127.0.0.1:1/x", "--ca-dir=/nowhere"],
            "/nowhere",
        ),
        (vec!["https://127.0.0.1:1/x", &broken], "ca.crt"),
    ] {
        let (code, said) = healthcheck(&args).await;
        assert_eq!(code, Some(1), "{args:?}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(named), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
