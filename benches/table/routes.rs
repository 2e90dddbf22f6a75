//! The routes whose answers are measured.

use std::net::SocketAddr;

use anyhow::Result;

use crate::bare::Answer;
use crate::fleet;
use crate::load::Target;

/// Headers that hyper writes by itself.
const HOPS: [&str; 2] = ["date", "content-length"];

/// A route under measurement.
pub struct Route {
    pub what: &'static str,
    pattern: &'static str,
    pub path: String,
    /// The JSON that is posted; none: it is a `GET`.
    pub body: Option<&'static str>,
}

impl Route {
    /// All of them.
    pub fn all() -> [Self; 4] {
        let model = fleet::model_name("provider-0", 7);
        [
            Self {
                what: "GET /models/{id}",
                pattern: "/api/v1/models/{id}",
                path: format!("/api/v1/models/{model}"),
                body: None,
            },
            Self {
                what: "GET /models, 100 of them",
                pattern: "/api/v1/models",
                path: "/api/v1/models".to_owned(),
                body: None,
            },
            Self {
                what: "GET /models/by-capability, 20 of them",
                pattern: "/api/v1/models/by-capability/{capability}",
                path: "/api/v1/models/by-capability/FunctionCalling".to_owned(),
                body: None,
            },
            Self {
                what: "POST /resolve, a need, no key",
                pattern: "/api/v1/resolve",
                path: "/api/v1/resolve".to_owned(),
                body: Some(r#"{"capabilities": ["FunctionCalling"]}"#),
            },
        ]
    }

    /// Requests for it to a server, one with each token.
    pub fn target(&self, address: SocketAddr, tokens: &[String]) -> Target {
        match self.body {
            None => Target::new(address, &self.path, tokens),
            Some(body) => Target::posting(address, &self.path, body, tokens),
        }
    }
}

/// What the API answers on each, for the other side to repeat.
pub async fn capture(address: SocketAddr, token: &str) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for route in Route::all() {
        answers.push(captured(address, &route, token).await?);
    }
    Ok(answers)
}

async fn captured(address: SocketAddr, route: &Route, token: &str) -> Result<Answer> {
    let url = format!("http://{address}{}", route.path);
    let client = reqwest::Client::new();
    let request = match route.body {
        None => client.get(url),
        Some(body) => client
            .post(url)
            .header("content-type", "application/json")
            .body(body),
    };
    let answer = request.bearer_auth(token).send().await?;
    let answer = answer.error_for_status()?;
    let headers = answer
        .headers()
        .iter()
        .filter(|(name, _)| !HOPS.contains(&name.as_str()))
        .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
        .collect::<Result<_>>()?;
    Ok(Answer {
        route: route.pattern.to_owned(),
        headers,
        body: answer.text().await?,
    })
}
