//! Who can reach the local plane: nobody who does not prove who they are.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use llmplane::local::state::Component;
use sqlx::{Connection, PgConnection};

use crate::support::plane::Plane;

#[tokio::test]
async fn nothing_of_the_state_is_readable_by_other_users() {
    let plane = Plane::shared().await;
    let state = plane.state_dir().load().unwrap().unwrap();
    let mut open = Vec::new();
    let mut seen = 0;
    let mut pending = vec![plane.state_dir().path().to_owned(), state.postgres_dir];
    while let Some(path) = pending.pop() {
        // PostgreSQL removes and renames files while this looks.
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        seen += 1;
        if meta.mode() & 0o077 != 0 && !meta.is_symlink() {
            open.push(path.clone());
        }
        if meta.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
    }
    assert!(seen > 100, "{seen} files looked at");
    assert_eq!(open, Vec::<PathBuf>::new());
}

#[tokio::test]
async fn postgres_refuses_whoever_does_not_know_the_password() {
    let plane = Plane::shared().await;
    let port = plane.state_dir().load().unwrap().unwrap().ports.postgres;
    for user in [
        "postgres",
        "llmplane_owner",
        "llmplane_controller",
        "llmplane_api",
    ] {
        for password in ["", ":wrong"] {
            let url =
                format!("postgres://{user}{password}@127.0.0.1:{port}/llmplane?sslmode=disable");
            let error = PgConnection::connect(&url)
                .await
                .err()
                .map(|error| error.to_string());
            let refused = error
                .as_deref()
                .is_some_and(|text| text.contains("password"));
            assert!(refused, "{user}{password}: {error:?}");
        }
    }
}

#[tokio::test]
async fn etcd_answers_only_the_kube_apiservers_certificate() {
    let plane = Plane::shared().await;
    let ports = plane.state_dir().load().unwrap().unwrap().ports;
    let pki = plane.state_dir().path().join("pki");
    let client = |identity: Option<Vec<u8>>| {
        let ca =
            reqwest::Certificate::from_pem(&fs::read(pki.join("etcd-ca.crt")).unwrap()).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy();
        let builder = match identity {
            Some(pem) => builder.identity(reqwest::Identity::from_pem(&pem).unwrap()),
            None => builder,
        };
        builder.timeout(Duration::from_secs(5)).build().unwrap()
    };
    let own = [
        fs::read(pki.join("etcd-client.crt")).unwrap(),
        fs::read(pki.join("etcd-client.key")).unwrap(),
    ];
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["kube-apiserver".to_owned()]).unwrap();
    let made_up = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();

    let health = format!("https://127.0.0.1:{}/health", ports.etcd_client);
    let answer = client(Some(own.concat()))
        .get(&health)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());

    let peer = format!("https://127.0.0.1:{}/members", ports.etcd_peer);
    for url in [&health, &peer] {
        assert!(
            client(None).get(url).send().await.is_err(),
            "without a certificate: {url}"
        );
        let identity = Some(made_up.clone().into_bytes());
        assert!(
            client(identity).get(url).send().await.is_err(),
            "another authority's: {url}"
        );
        let plain = url.replace("https:", "http:");
        let answer = client(None).get(&plain).send().await;
        assert!(
            answer.is_err() || !answer.unwrap().status().is_success(),
            "without TLS: {url}"
        );
    }
}

#[tokio::test]
async fn kube_apiserver_refuses_the_anonymous() {
    let plane = Plane::shared().await;
    let port = plane.state_dir().load().unwrap().unwrap().ports.apiserver;
    let ca = fs::read(plane.state_dir().path().join("pki/ca.crt")).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .no_proxy()
        .build()
        .unwrap();
    for path in ["readyz", "version", "api/v1/namespaces"] {
        let answer = client
            .get(format!("https://127.0.0.1:{port}/{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401, "{path}");
    }
}

#[tokio::test]
async fn controller_and_api_have_the_rights_of_the_shipped_roles_and_no_more() {
    let plane = Plane::shared().await;
    let rights = [
        (
            Component::Controller,
            "llmplane.dev",
            "llmproviders",
            "list",
            true,
        ),
        (Component::Controller, "", "secrets", "get", true),
        (Component::Controller, "", "secrets", "delete", false),
        (
            Component::Controller,
            "rbac.authorization.k8s.io",
            "clusterroles",
            "create",
            false,
        ),
        (
            Component::Api,
            "authentication.k8s.io",
            "tokenreviews",
            "create",
            true,
        ),
        (Component::Api, "", "secrets", "get", false),
        (
            Component::Api,
            "llmplane.dev",
            "llmproviders",
            "update",
            false,
        ),
    ];
    for (component, group, resource, verb, expected) in rights {
        let api: Api<SelfSubjectAccessReview> = Api::all(plane.client_of(component).await);
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await.unwrap();
        assert_eq!(
            answer.status.unwrap().allowed,
            expected,
            "{component}: {verb} {resource}"
        );
    }
}

#[tokio::test]
async fn a_secret_is_unreadable_in_etcds_files() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("at-rest").await;
    for (kind, value) in [
        ("configmap", "kept-in-plain-words"),
        ("secret", "kept-under-lock-and-key"),
    ] {
        let literal = format!("--from-literal=value={value}");
        let generic: &[&str] = if kind == "secret" { &["generic"] } else { &[] };
        let args = [
            &["create", "-n", &namespace.name, kind],
            generic,
            &["sample", &literal],
        ]
        .concat();
        assert!(plane.kubectl(&args).await.status.success());
    }
    let mut content = Vec::new();
    let mut pending = vec![plane.state_dir().path().join("etcd")];
    while let Some(path) = pending.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => pending.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => content.extend(fs::read(&path).unwrap_or_default()),
        }
    }
    let holds = |text: &str| {
        content
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("kept-in-plain-words"));
    assert!(!holds("kept-under-lock-and-key"));
}
