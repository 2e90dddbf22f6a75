//! A verifier of a cluster's tokens, from RFC 7515 and RFC 7519, with nothing but a signature's check.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        UnparsedPublicKey,
    },
};
use serde_json::{Value, json};

/// Clocks may be this far apart, in seconds.
const LEEWAY: i64 = 30;
/// Longest life of a token, in seconds: Anthropic's limit.
const MAX_LIFE: i64 = 3600 + LEEWAY;

/// What a vendor was told to expect.
pub(super) struct Wanted<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub audience: &'a str,
}

/// What is wrong with a token, in the order in which it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    Signature,
    Issuer,
    Audience,
    Subject,
    Time,
    Replayed,
}

/// Verifies a token; answers its id.
pub(super) fn verify(
    token: &str,
    jwks: &Value,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<String, Mistake> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err(Mistake::Signature);
    };
    let json = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let head = json(header).ok_or(Mistake::Signature)?;
    let key = key(jwks, &head).ok_or(Mistake::Signature)?;
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Mistake::Signature)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| Mistake::Signature)?;
    let claims = json(claims).ok_or(Mistake::Signature)?;
    if claims["iss"] != wanted.issuer {
        return Err(Mistake::Issuer);
    }
    let audiences = claims["aud"].as_array().cloned().unwrap_or_default();
    if audiences != [Value::from(wanted.audience)] {
        return Err(Mistake::Audience);
    }
    if claims["sub"] != wanted.subject {
        return Err(Mistake::Subject);
    }
    let time = |name: &str| claims[name].as_i64().ok_or(Mistake::Time);
    let (issued, ends, now) = (time("iat")?, time("exp")?, now.as_second());
    if issued > now + LEEWAY || ends < now - LEEWAY || ends - issued > MAX_LIFE {
        return Err(Mistake::Time);
    }
    claims["jti"]
        .as_str()
        .map(str::to_owned)
        .ok_or(Mistake::Signature)
}

/// The point of the key that a header names.
fn key(jwks: &Value, header: &Value) -> Option<Vec<u8>> {
    if header["alg"] != "ES256" {
        return None;
    }
    let keys = jwks["keys"].as_array()?;
    let key = keys.iter().find(|key| key["kid"] == header["kid"])?;
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
    Some([vec![4], part("x")?, part("y")?].concat())
}

/// A cluster's signing key, where a test needs no cluster.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    id: String,
}

impl SigningKey {
    pub fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            pair: EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap(),
            id: id.to_owned(),
        }
    }

    /// As the cluster publishes it.
    pub fn jwks(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": part(&point[1..33]), "y": part(&point[33..65]),
        }] })
    }

    /// A fresh token of a ServiceAccount, for an hour.
    pub fn token(&self, issuer: &str, subject: &str, audience: &str) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let now = Timestamp::now().as_second();
        let header = part(json!({ "alg": "ES256", "kid": self.id }));
        let claims = part(json!({
            "iss": issuer, "sub": subject, "aud": [audience], "iat": now, "nbf": now, "exp": now + 3600,
            "jti": uuid::Uuid::new_v4(),
        }));
        let signed = format!("{header}.{claims}");
        let random = SystemRandom::new();
        let signature = self.pair.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
