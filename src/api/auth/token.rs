//! What a token says of itself, before anyone is asked about it.
//!
//! Nothing here is proof: it only spares the kube-apiserver the tokens that cannot be right.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::Deserialize;

use crate::api::problem::{Problem, ProblemType};

/// Longest token that is looked at, in bytes. Kubernetes' own are about 1 KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far clocks may differ, in seconds.
const CLOCK_SKEW: f64 = 60.0;

#[derive(Deserialize)]
struct Claims {
    aud: Option<Audiences>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Audiences {
    fn hold(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// The bearer token of a request.
///
/// # Errors
///
/// 401 where there is none, more than one, or one too long to be right.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let missing = || {
        Problem::new(
            ProblemType::Unauthenticated,
            "send a Kubernetes token of this API's audience as Authorization: Bearer TOKEN",
        )
    };
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(invalid("there is more than one Authorization header"));
    }
    if value.len() > MAX_TOKEN_BYTES {
        return Err(invalid(format!(
            "it is longer than {MAX_TOKEN_BYTES} bytes"
        )));
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    Ok(token)
}

/// The bearer token of a request, as the argument of a handler that passes it on.
pub struct BearerToken(pub SecretString);

impl<S: Sync> FromRequestParts<S> for BearerToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        bearer(&parts.headers).map(|token| Self(SecretString::from(token)))
    }
}

/// When the token ends by its own words, in Unix seconds; none where it does not say.
///
/// # Errors
///
/// 401 for what is no JWT, has ended, or is for another audience, by its own words.
pub fn sanity(token: &str, audience: &str, now: i64) -> Result<Option<i64>, Problem> {
    let claims = claims(token).ok_or_else(|| invalid("it is no JSON Web Token"))?;
    let now = now as f64;
    if claims.exp.is_some_and(|exp| exp <= now) {
        return Err(invalid("it has expired"));
    }
    if claims.nbf.is_some_and(|nbf| nbf > now + CLOCK_SKEW) {
        return Err(invalid("it is not valid yet"));
    }
    if !claims.aud.is_some_and(|aud| aud.hold(audience)) {
        return Err(invalid(format!(
            "it is for another audience; ask for one with --audience={audience}"
        )));
    }
    Ok(claims.exp.map(|exp| exp as i64))
}

/// The answer to a token that does not count.
pub fn invalid(why: impl std::fmt::Display) -> Problem {
    Problem::new(
        ProblemType::InvalidToken,
        format!("the token is refused: {why}"),
    )
}

fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || signature.is_empty() {
        return None;
    }
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    decode(signature)?;
    let header: serde_json::Value = serde_json::from_slice(&decode(header)?).ok()?;
    header.get("alg")?.as_str()?;
    serde_json::from_slice(&decode(payload)?).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn jwt(payload: &str) -> String {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!(
            "{}.{}.{}",
            encode(r#"{"alg":"RS256"}"#),
            encode(payload),
            encode("signature")
        )
    }

    fn refusal(token: &str) -> String {
        sanity(token, "llmplane", 1_000)
            .expect_err("it cannot be right")
            .detail
    }

    #[test]
    fn a_token_that_may_be_right_goes_on_with_its_end() {
        for aud in [r#""llmplane""#, r#"["https://kubernetes","llmplane"]"#] {
            let token = jwt(&format!(r#"{{"aud":{aud},"exp":2000}}"#));
            assert_eq!(sanity(&token, "llmplane", 1_000), Ok(Some(2_000)));
        }
    }

    #[test]
    fn what_cannot_be_right_is_refused_with_the_reason() {
        assert!(refusal("opaque").contains("no JSON Web Token"));
        assert!(refusal("a.b.c").contains("no JSON Web Token"));
        assert!(refusal(&jwt("[]")).contains("no JSON Web Token"));
        assert!(refusal(&jwt(r#"{"aud":"llmplane","exp":1000}"#)).contains("expired"));
        assert!(refusal(&jwt(r#"{"aud":"llmplane","nbf":2000}"#)).contains("not valid yet"));
        assert!(refusal(&jwt(r#"{"aud":["other"],"exp":2000}"#)).contains("--audience=llmplane"));
        assert!(refusal(&jwt(r#"{"exp":2000}"#)).contains("another audience"));
    }

    #[test]
    fn the_header_must_hold_one_bearer_token_of_a_sane_length() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                AUTHORIZATION,
                HeaderValue::from_str(value).expect("a header value"),
            );
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("bearer  abc "), Ok("abc".to_owned()));
        let kind = |value: &str| with(value).expect_err("refused").kind;
        assert_eq!(kind("Basic abc"), ProblemType::Unauthenticated);
        assert_eq!(kind("Bearer "), ProblemType::Unauthenticated);
        assert_eq!(
            kind(&format!("Bearer {}", "a".repeat(100 * 1024))),
            ProblemType::InvalidToken
        );
    }
}
