//! A host that keys must not reach: it keeps every byte that it is sent, HTTP or not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::certificates::Certificate;

/// It answers every request with an empty list, so that callers are content and go on.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{\"object\":\"list\",\"data\":[]}";

/// A listening attacker; it ends when dropped.
pub struct Attacker {
    pub address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    connections: usize,
    bytes: Vec<u8>,
}

impl Attacker {
    /// By plain TCP at this address; port 0 takes a free one.
    pub async fn listen(address: &str) -> Self {
        Self::start(address, None).await
    }

    /// With a certificate that its callers trust.
    pub async fn listen_tls(address: &str) -> Self {
        Self::start(address, Some(Certificate::Good)).await
    }

    async fn start(address: &str, certificate: Option<Certificate>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let acceptor = certificate.map(Certificate::acceptor);
        let task = tokio::spawn({
            let heard = heard.clone();
            async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    heard.lock().unwrap().connections += 1;
                    let (heard, acceptor) = (heard.clone(), acceptor.clone());
                    tokio::spawn(async move {
                        match acceptor {
                            None => listen_to(tcp, &heard).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(tcp).await {
                                    listen_to(stream, &heard).await;
                                }
                            }
                        }
                    });
                }
            }
        });
        Self {
            address,
            heard,
            task,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How often somebody connected.
    pub fn connections(&self) -> usize {
        self.heard.lock().unwrap().connections
    }

    /// Everything that was sent, as text.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap().bytes).into_owned()
    }

    /// Fails if any part of a key was sent, as it is or in a common coat.
    pub fn must_not_know(&self, key: &str) {
        let heard = self.heard();
        for form in forms(key) {
            assert!(!heard.contains(&form), "the attacker got the key: {heard}");
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A key, its halves, and what encodings make of it.
fn forms(key: &str) -> Vec<String> {
    let middle = key.len() / 2;
    let (head, tail) = (&key[..middle], &key[middle..]);
    let mut forms = vec![
        key.to_owned(),
        head.to_owned(),
        tail.to_owned(),
        key.chars().rev().collect(),
        hex::encode(key),
        hex::encode_upper(key),
    ];
    for engine in [
        &general_purpose::STANDARD_NO_PAD,
        &general_purpose::URL_SAFE_NO_PAD,
    ] {
        // A text's base64 depends on where it begins: three ways; the ends may mix with neighbours.
        for skip in 0..3 {
            let encoded = engine.encode(&key[skip..]);
            forms.push(encoded[..encoded.len() - 2].to_owned());
        }
    }
    forms
}

async fn listen_to(mut stream: impl AsyncRead + AsyncWrite + Unpin, heard: &Mutex<Heard>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        heard
            .lock()
            .unwrap()
            .bytes
            .extend_from_slice(&buffer[..count]);
        if buffer[..count].windows(4).any(|w| w == b"\r\n\r\n")
            && stream.write_all(ANSWER).await.is_err()
        {
            return;
        }
    }
}
