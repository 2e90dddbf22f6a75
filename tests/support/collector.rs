//! An OTLP collector on a real socket, which keeps what it gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running collector; it ends when dropped.
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    bodies: Vec<u8>,
    headers: Vec<HeaderMap>,
}

/// A span, as far as tests look at it.
#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
    pub is_error: bool,
    pub events: usize,
}

impl Collector {
    /// On a free port.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    /// At this address.
    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::<Mutex<Kept>>::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(kept.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            kept,
            task,
        }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// The spans of this name.
    pub fn named(&self, name: &str) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        spans
    }

    /// The span below which this one stands; none where it has not come, or there is none.
    pub fn parent(&self, of: &Span) -> Option<Span> {
        let mut spans = self.spans().into_iter();
        spans.find(|span| span.id == of.parent && span.trace == of.trace)
    }

    /// All that came, as text: strings stand in it as they are.
    pub fn text(&self) -> String {
        let kept = self.kept.lock().unwrap();
        let headers = format!("{:?}", kept.headers);
        String::from_utf8_lossy(&kept.bodies).into_owned() + &headers
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let mut kept = kept.lock().unwrap();
    kept.bodies.extend_from_slice(&body);
    kept.headers.push(headers);
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let service = table(&resource.attributes)
            .remove("service.name")
            .unwrap_or_default();
        for span in of_resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            kept.spans.push(Span {
                service: service.clone(),
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                attributes: table(&span.attributes),
                is_error: span.status.is_some_and(|status| status.code == 2),
                events: span.events.len(),
            });
        }
    }
}

fn table(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pairs = attributes.iter().map(|attribute| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let text = match value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), text)
    });
    pairs.collect()
}
