//! A ServiceAccount's token, and what it says of itself. The vendor verifies it; here it is only read.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::keys::BoundKey;

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
        "spec.federation.audience {0} is the kube-apiserver's own: whoever gets such a token can act as \
         the ServiceAccount in this cluster; write the audience that is configured at the vendor"
    )]
    OwnAudience(String),
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

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl SubjectToken {
    /// Reads what a token says; `audience` is the one that was asked for.
    ///
    /// # Errors
    /// Why it must not be sent.
    pub fn read(token: SecretString, audience: &str) -> Result<Self, SubjectTokenError> {
        let unreadable = || SubjectTokenError::Unreadable;
        let mut parts = token.expose_secret().split('.');
        let header: Header = part(parts.next()).ok_or_else(unreadable)?;
        let claims: Claims = part(parts.next()).ok_or_else(unreadable)?;
        let audiences = match claims.aud {
            Audience::One(one) => vec![one],
            Audience::Several(several) => several,
        };
        // A kube-apiserver's own audience is its issuer, unless it was told another.
        if audiences.contains(&claims.iss) || audience == claims.iss {
            return Err(SubjectTokenError::OwnAudience(audience.to_owned()));
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

    /// The same, as it is exchanged.
    pub fn subject() -> SubjectToken {
        let token = token("https://vendor.example", "https://cluster.example");
        SubjectToken::read(token, "https://vendor.example").expect("a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_token_for_the_cluster_itself_is_sent_nowhere() {
        let issuer = "https://cluster.example";
        let own = SubjectToken::read(testing::token(issuer, issuer), issuer);
        assert!(matches!(own, Err(SubjectTokenError::OwnAudience(_))));
    }

    #[test]
    fn what_is_no_jwt_is_told_without_repeating_it() {
        for text in ["", "canary", "a.b.c", "e30.e30.x"] {
            let error = SubjectToken::read(text.into(), "a").expect_err("no token");
            assert_eq!(error, SubjectTokenError::Unreadable);
            assert!(!error.to_string().contains("canary"));
        }
    }
}
