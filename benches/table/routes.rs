//! The routes whose answers are measured.

use std::net::SocketAddr;

use anyhow::Result;

use crate::bare::Answer;
use crate::fleet;

/// Headers that hyper writes by itself.
const HOPS: [&str; 2] = ["date", "content-length"];

/// A route under measurement.
pub struct Route {
    pub what: &'static str,
    pattern: &'static str,
    pub path: String,
}

impl Route {
    /// All of them.
    pub fn all() -> [Self; 3] {
        let model = fleet::model_name("provider-0", 7);
        [
            Self {
                what: "GET /models/{id}",
                pattern: "/api/v1/models/{id}",
                path: format!("/api/v1/models/{model}"),
            },
            Self {
                what: "GET /models, 100 of them",
                pattern: "/api/v1/models",
                path: "/api/v1/models".to_owned(),
            },
            Self {
                what: "GET /models/by-capability, 20 of them",
                pattern: "/api/v1/models/by-capability/{capability}",
                path: "/api/v1/models/by-capability/FunctionCalling".to_owned(),
            },
        ]
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
    let answer = reqwest::Client::new().get(url).bearer_auth(token).send();
    let answer = answer.await?.error_for_status()?;
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
