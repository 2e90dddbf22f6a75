//! The read API over TLS, as a process with `LLMPLANE_TLS_CERT` and `LLMPLANE_TLS_KEY`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Version;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::api::answer;
use crate::support::plane::eventually;
use crate::support::process::{Process, viewer};
use crate::support::world::World;

const UNUSABLE: &str = "llmplane_api_certificate_unusable";

/// A certificate for loopback that signs itself.
struct Certificate {
    pem: String,
    key: KeyPair,
}

impl Certificate {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, key }
    }

    /// Who trusts it alone.
    fn client(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).no_proxy()
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }
}

/// A folder as the kubelet mounts a Secret: the files are links into a folder that is exchanged.
struct Mount {
    folder: tempfile::TempDir,
    version: usize,
}

impl Mount {
    fn new(certificate: &str, key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
        }
        let mut mount = Self { folder, version: 0 };
        mount.exchange(certificate, key);
        mount
    }

    fn exchange(&mut self, certificate: &str, key: &str) {
        self.version += 1;
        let version = format!("..{}", self.version);
        let path = |name: &str| self.folder.path().join(name);
        std::fs::create_dir(path(&version)).unwrap();
        std::fs::write(path(&version).join("tls.crt"), certificate).unwrap();
        std::fs::write(path(&version).join("tls.key"), key).unwrap();
        symlink(&version, path("..data_tmp")).unwrap();
        std::fs::rename(path("..data_tmp"), path("..data")).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A read API that serves this certificate.
async fn serving(world: &World, certificate: &Certificate) -> (Process, Mount) {
    // The database has something to serve once a controller has led with it.
    world.database.leader().await;
    let mount = Mount::new(&certificate.pem, &certificate.key.serialize_pem());
    let (cert, key) = (mount.file("tls.crt"), mount.file("tls.key"));
    let settings = [
        ("LLMPLANE_TLS_CERT", cert.to_str().unwrap()),
        ("LLMPLANE_TLS_KEY", key.to_str().unwrap()),
    ];
    let process = Process::api(world, &settings);
    process.ready().await;
    (process, mount)
}

fn models(process: &Process) -> String {
    format!("https://{}/api/v1/models", process.listen())
}

/// The certificate that a new connection is shown.
async fn shown(process: &Process, trusted: &[&Certificate]) -> Option<CertificateDer<'static>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.der()).unwrap();
    }
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(process.listen()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let connected = connected.await.ok()?;
    let (_, session) = connected.get_ref();
    Some(session.peer_certificates()?[0].clone().into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_served_over_tls_and_answer_alike() {
    let world = World::new("tls").await;
    let token = viewer(&world).await;
    let certificate = Certificate::new();
    let (process, _mount) = serving(&world, &certificate).await;
    let url = models(&process);
    let http1 = certificate.client().http1_only().build().unwrap();
    let http2 = certificate.client().build().unwrap();
    for (client, version) in [(http1, Version::HTTP_11), (http2, Version::HTTP_2)] {
        let listed = client.get(&url).bearer_auth(&token).send().await.unwrap();
        assert_eq!((listed.status().as_u16(), listed.version()), (200, version));
        // Longer than any token, and than what HTTP/2 takes by itself.
        let long = answer(client.get(&url).bearer_auth("a".repeat(100 << 10))).await;
        assert_eq!(
            (long.status, long.problem().as_str()),
            (401, "invalid-token")
        );
        assert!(long.detail().contains("longer than"), "{}", long.text);
        // Where the refusal is lost, for the rest of the request is not read, the end is seen.
        let endless = client.get(&url).bearer_auth("a".repeat(400 << 10));
        if let Ok(refused) = endless.send().await {
            assert_eq!(refused.status().as_u16(), 431, "{version:?}");
        }
        let again = answer(client.get(&url).bearer_auth(&token)).await;
        assert_eq!(again.status, 200, "{version:?}");
    }
    let plain = format!("http://{}/api/v1/models", process.listen());
    assert!(reqwest::get(plain).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_certificate_is_taken_over_and_a_broken_one_is_not() {
    let world = World::new("tls").await;
    let token = viewer(&world).await;
    let [first, second, third] = [(); 3].map(|()| Certificate::new());
    let all = [&first, &second, &third];
    let (process, mut mount) = serving(&world, &first).await;
    assert_eq!(shown(&process, &all).await, Some(first.der()));
    let (url, client) = (models(&process), first.client().build().unwrap());
    let open = async || answer(client.get(&url).bearer_auth(&token)).await.status;
    assert_eq!(open().await, 200);

    mount.exchange(&second.pem, &second.key.serialize_pem());
    eventually("the changed certificate is shown", async || {
        shown(&process, &all).await == Some(second.der())
    })
    .await;
    assert_eq!(open().await, 200, "an open connection stays");
    assert_eq!(process.metric(UNUSABLE).await, Some(0.0));

    let elsewhere = third.key.serialize_pem();
    for (certificate, key) in [(second.pem.as_str(), elsewhere.as_str()), ("", "nothing")] {
        mount.exchange(certificate, key);
        eventually("the metric says that they are no pair", async || {
            process.metric(UNUSABLE).await == Some(1.0)
        })
        .await;
        assert_eq!(shown(&process, &all).await, Some(second.der()));
        mount.exchange(&second.pem, &second.key.serialize_pem());
        eventually("the metric says that they are usable", async || {
            process.metric(UNUSABLE).await == Some(0.0)
        })
        .await;
    }
    let log = process.log();
    assert_eq!(
        log.matches("keeping the old certificate").count(),
        2,
        "{log}"
    );
    assert!(!log.contains(elsewhere.lines().nth(1).unwrap()));

    mount.exchange(&third.pem, &elsewhere);
    eventually("the next one is shown", async || {
        shown(&process, &all).await == Some(third.der())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_does_not_hold_the_end() {
    let world = World::new("tls").await;
    let token = viewer(&world).await;
    let certificate = Certificate::new();
    let (mut process, _mount) = serving(&world, &certificate).await;
    let client = certificate.client().build().unwrap();
    let ask = client.get(models(&process)).bearer_auth(&token);
    let listed = ask.send().await.unwrap();
    assert_eq!(listed.version(), Version::HTTP_2);
    assert_eq!(process.metric("llmplane_api_connections").await, Some(1.0));
    let told = Instant::now();
    process.signal(Signal::SIGTERM);
    assert!(process.ended().await.success());
    assert!(
        told.elapsed() < Duration::from_secs(3),
        "{:?}",
        told.elapsed()
    );
}
