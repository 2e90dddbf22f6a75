//! A ServiceAccount's token, and what it says of itself. The vendor verifies it; here it is only read.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::keys::BoundKey;

/// Audiences of which a token is good for the cluster or for llmplane itself: one of them is sent to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAudiences {
    /// Those of the token by which the kube-apiserver is asked.
    kube_apiserver: Vec<String>,
    /// That of llmplane's API.
    api: String,
}

impl OwnAudiences {
    /// The API's audience, and those that the token by which the kube-apiserver is asked says of itself: none
    /// where that is no JWT.
    pub fn new(api: &str, own_token: Option<&SecretString>) -> Self {
        let payload = own_token.and_then(|token| token.expose_secret().split('.').nth(1));
        let claim: Option<AudienceClaim> = part(payload);
        Self {
            kube_apiserver: claim.map_or_else(Vec::new, |claim| claim.aud.into_all()),
            api: api.to_owned(),
        }
    }
}

/// A token as the kube-apiserver gave it.
#[derive(Debug)]
pub struct FreshToken {
    /// The token.
    pub token: SecretString,
    /// Audiences that it must not have.
    pub own_audiences: OwnAudiences,
}

/// A token of a ServiceAccount, for one exchange.
#[derive(Debug)]
pub struct SubjectToken {
    token: SecretString,
    /// Who issued it: the cluster.
    pub issuer: String,
    /// Whose it is: `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// The audience that was asked for.
    pub audience: String,
    /// Id of the key that it is signed with.
    pub key_id: Option<String>,
    /// When it was issued, by the kube-apiserver's clock.
    pub issued_at: Timestamp,
    /// When it ends, by the same.
    pub expires_at: Timestamp,
}

/// Why a token is not sent anywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectTokenError {
    /// It is no JWT with the claims that vendors look at.
    #[error(
        "the kube-apiserver's token is no JWT with iss, sub, aud, iat and exp, which vendors need"
    )]
    Unreadable,
    /// It would be good for the cluster itself.
    #[error(
        "spec.federation.audience {0} is the kube-apiserver's own (the cluster's issuer, or an audience of the \
         controller's own token): whoever gets such a token can act as the ServiceAccount in this cluster; \
         write the audience that is configured at the vendor"
    )]
    OwnAudience(String),
    /// It would be good for llmplane's API.
    #[error(
        "spec.federation.audience {0} is that of llmplane's API: whoever gets such a token can ask it as the \
         ServiceAccount; write the audience that is configured at the vendor"
    )]
    ApiAudience(String),
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    iat: i64,
    exp: i64,
}

/// What is read of a token that is not exchanged.
#[derive(Deserialize)]
struct AudienceClaim {
    aud: Audience,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn into_all(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Several(several) => several,
        }
    }
}

impl SubjectToken {
    /// Reads what a token says; `audience` is the one that was asked for.
    ///
    /// # Errors
    /// Why it must not be sent.
    pub fn read(fresh: FreshToken, audience: &str) -> Result<Self, SubjectTokenError> {
        let FreshToken {
            token,
            own_audiences: own,
        } = fresh;
        let unreadable = || SubjectTokenError::Unreadable;
        let mut parts = token.expose_secret().split('.');
        let header: Header = part(parts.next()).ok_or_else(unreadable)?;
        let claims: Claims = part(parts.next()).ok_or_else(unreadable)?;
        let audiences = claims.aud.into_all();
        let is_for = |own: &String| audience == own || audiences.contains(own);
        // A kube-apiserver takes its issuer as audience, unless it was told others: its own tokens name these.
        if is_for(&claims.iss) || own.kube_apiserver.iter().any(is_for) {
            return Err(SubjectTokenError::OwnAudience(audience.to_owned()));
        }
        if is_for(&own.api) {
            return Err(SubjectTokenError::ApiAudience(audience.to_owned()));
        }
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| unreadable());
        Ok(Self {
            issuer: claims.iss,
            subject: claims.sub,
            audience: audience.to_owned(),
            key_id: header.kid,
            issued_at: time(claims.iat)?,
            expires_at: time(claims.exp)?,
            token,
        })
    }

    /// The token, bound to a URL's host.
    pub(super) fn bound_to(&self, url: &Url) -> BoundKey {
        BoundKey::of_token(self.token.clone(), url)
    }

    /// What it says, for a person who compares that with what the vendor was told.
    pub fn describe(&self) -> String {
        format!(
            "issuer {}, subject {}, audience {}",
            self.issuer, self.subject, self.audience
        )
    }
}

fn part<T: for<'de> Deserialize<'de>>(part: Option<&str>) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(part?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::json;

    use super::*;

    /// A token of these claims, signed by nobody.
    pub fn token(audience: &str, issuer: &str) -> SecretString {
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({
            "iss": issuer, "sub": "system:serviceaccount:team:llm", "aud": [audience],
            "iat": 1_800_000_000, "exp": 1_800_003_600, "jti": "one",
        });
        let header = encode(json!({ "alg": "RS256", "kid": "key-1" }));
        format!("{header}.{}.c2lnbmVkLWJ5LW5vYm9keQ", encode(claims)).into()
    }

    /// A token as the kube-apiserver gives it to a controller that has one of this audience itself.
    pub fn fresh(given: SecretString, own: &str) -> FreshToken {
        let own = token(own, "https://cluster.example");
        FreshToken {
            token: given,
            own_audiences: OwnAudiences::new("llmplane", Some(&own)),
        }
    }

    /// A token as it is exchanged.
    pub fn subject() -> SubjectToken {
        let token = token("https://vendor.example", "https://cluster.example");
        SubjectToken::read(fresh(token, "own"), "https://vendor.example").expect("a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://cluster.example";

    #[test]
    fn a_token_says_whose_it_is() {
        let token = testing::subject();
        assert_eq!(token.subject, "system:serviceaccount:team:llm");
        assert_eq!(token.key_id.as_deref(), Some("key-1"));
        assert_eq!(
            token.describe(),
            "issuer https://cluster.example, subject system:serviceaccount:team:llm, audience https://vendor.example"
        );
        let shown = format!("{token:?}");
        assert!(!shown.contains("c2lnbmVkLWJ5LW5vYm9keQ"), "{shown}");
    }

    /// What is said of a token that was asked for with one audience and given with another, where the controller's
    /// has `own`.
    fn read(asked: &str, given: &str, own: &str) -> Result<SubjectToken, SubjectTokenError> {
        SubjectToken::read(testing::fresh(testing::token(given, ISSUER), own), asked)
    }

    #[test]
    fn a_token_for_the_cluster_itself_is_sent_nowhere() {
        let refused = |audience: &str, own: &str| {
            let expected = SubjectTokenError::OwnAudience(audience.to_owned());
            assert_eq!(read(audience, audience, own).err(), Some(expected));
        };
        refused(ISSUER, "api");
        refused("api", "api");
        assert!(read("api", "api", "another").is_ok());
    }

    #[test]
    fn a_token_for_llmplanes_api_is_sent_nowhere() {
        let error = read("llmplane", "llmplane", "api").expect_err("it is refused");
        assert_eq!(error, SubjectTokenError::ApiAudience("llmplane".to_owned()));
        assert!(read("llmplane.example", "llmplane.example", "api").is_ok());
    }

    #[test]
    fn what_a_token_says_of_itself_counts_beside_what_was_asked_for() {
        let vendor = "https://vendor.example";
        for given in [ISSUER, "api", "llmplane"] {
            assert!(read(vendor, given, "api").is_err(), "{given}");
            assert!(read(given, vendor, "api").is_err(), "{given}");
        }
    }

    #[test]
    fn the_audiences_of_a_token_are_read_in_either_form_and_of_no_jwt_are_none() {
        let own = |token: &str| OwnAudiences::new("llmplane", Some(&token.into())).kube_apiserver;
        let of_claims = |claims: &str| own(&format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims)));
        assert_eq!(of_claims(r#"{"aud":["a","b"]}"#), ["a", "b"]);
        assert_eq!(of_claims(r#"{"aud":"a"}"#), ["a"]);
        for text in ["", "static", "e30.e30.x", "a.b.c"] {
            assert!(own(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_jwt_is_told_without_repeating_it() {
        for text in ["", "canary", "a.b.c", "e30.e30.x"] {
            let fresh = testing::fresh(text.into(), "own");
            let error = SubjectToken::read(fresh, "a").expect_err("no token");
            assert_eq!(error, SubjectTokenError::Unreadable);
            assert!(!error.to_string().contains("canary"));
        }
    }
}
