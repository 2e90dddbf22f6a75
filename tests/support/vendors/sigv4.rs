//! A verifier of AWS Signature Version 4, from its description, with nothing but HMAC and SHA-256.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{personality::Shop, request::Recorded};

/// Signatures older or younger than this are refused (facts, 5.2).
const MOST_SKEW: SignedDuration = SignedDuration::from_mins(15);
/// The signing name of control plane and runtime both (facts, 2).
const SERVICE: &str = "bedrock";

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Incomplete,
    UnknownKey,
    Signature,
    Token,
    Skew {
        signed: String,
        earliest: String,
        now: String,
    },
}

struct Claim<'a> {
    access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Checks a request's signature; answers whose it is.
pub(super) fn verify(shop: &Shop, request: &Recorded) -> Result<String, Refused> {
    let header = request.header("authorization").unwrap_or_default();
    let claim = read(header).ok_or(Refused::Incomplete)?;
    let stamp = request.header("x-amz-date").ok_or(Refused::Incomplete)?;
    let pair = shop
        .pairs
        .get(claim.access_key)
        .ok_or(Refused::UnknownKey)?;
    for must in ["host", "x-amz-date"] {
        if !claim.signed_headers.split(';').any(|name| name == must) {
            return Err(Refused::Incomplete);
        }
    }
    in_time(shop, stamp)?;
    if claim.service != SERVICE || claim.region != shop.region || !stamp.starts_with(claim.date) {
        return Err(Refused::Signature);
    }
    let scope = format!(
        "{}/{}/{}/aws4_request",
        claim.date, claim.region, claim.service
    );
    let canonical = hex::encode(Sha256::digest(canonical(request, claim.signed_headers)));
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical}");
    let mut key = format!("AWS4{}", pair.secret).into_bytes();
    for part in [claim.date, claim.region, claim.service, "aws4_request"] {
        key = mac(&key, part);
    }
    if hex::encode(mac(&key, &to_sign)) != claim.signature {
        return Err(Refused::Signature);
    }
    if request.header("x-amz-security-token") != pair.session.as_deref() {
        return Err(Refused::Token);
    }
    Ok(claim.access_key.to_owned())
}

fn read(header: &str) -> Option<Claim<'_>> {
    let rest = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &str| {
        rest.split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let mut scope = field("Credential")?.split('/');
    let claim = Claim {
        access_key: scope.next()?,
        date: scope.next()?,
        region: scope.next()?,
        service: scope.next()?,
        signed_headers: field("SignedHeaders")?,
        signature: field("Signature")?,
    };
    (scope.next() == Some("aws4_request")).then_some(claim)
}

fn in_time(shop: &Shop, stamp: &str) -> Result<(), Refused> {
    let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", stamp)
        .ok()
        .and_then(|time| TimeZone::UTC.to_timestamp(time).ok())
        .ok_or(Refused::Incomplete)?;
    let now = shop.now();
    if now.duration_since(signed).abs() <= MOST_SKEW {
        return Ok(());
    }
    let word = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    Err(Refused::Skew {
        signed: word(signed),
        earliest: word(now - MOST_SKEW),
        now: word(now),
    })
}

fn canonical(request: &Recorded, signed_headers: &str) -> String {
    // Every service but S3 encodes the path as it was sent once more.
    let path: Vec<String> = request.path.split('/').map(encode).collect();
    let mut query: Vec<(String, String)> = form_urlencoded::parse(request.query.as_bytes())
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let headers: String = signed_headers
        .split(';')
        .map(|name| {
            let value = request.header(name).unwrap_or_default();
            let words: Vec<&str> = value.split_whitespace().collect();
            format!("{name}:{}\n", words.join(" "))
        })
        .collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{signed_headers}\n{}",
        request.method,
        path.join("/"),
        query.join("&"),
        hex::encode(Sha256::digest(&request.body)),
    )
}

/// RFC 3986, with upper-case digits.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The example of AWS's own documentation of the signing process.
#[test]
fn it_signs_as_the_published_example_does() {
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    let mut key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
    for part in ["20150830", "us-east-1", "iam", "aws4_request"] {
        key = mac(&key, part);
    }
    assert_eq!(
        hex::encode(&key),
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    );
    let request = Recorded {
        at: std::time::Duration::ZERO,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        query: "Action=ListUsers&Version=2010-05-08".to_owned(),
        headers: [
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .to_vec(),
        body: Vec::new(),
    };
    let canonical = canonical(&request, "content-type;host;x-amz-date");
    assert_eq!(
        hex::encode(Sha256::digest(&canonical)),
        "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n{}",
        hex::encode(Sha256::digest(&canonical))
    );
    assert_eq!(
        hex::encode(mac(&key, &to_sign)),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}
