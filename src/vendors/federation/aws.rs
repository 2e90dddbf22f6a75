//! AWS STS: `AssumeRoleWithWebIdentity`, a form that is not signed, answered in XML.

use zeroize::Zeroizing;

use super::{Exchange, ExchangedToken, answer::Refusals, service};
use crate::{
    crd::{
        federation::{AwsFederation, Exchanger},
        reasons::Reason,
    },
    encryption::SecretFields,
    vendors::{
        CheckResult,
        http::client::{Request, Response},
    },
};

/// Shortest session that STS gives, in seconds.
const MIN_SESSION_SECONDS: i32 = 900;
/// Longest name of a session.
const MAX_SESSION_NAME: usize = 64;
/// XML's own escapes, behind their `&`.
const ESCAPES: [(&str, char); 5] = [
    ("lt;", '<'),
    ("gt;", '>'),
    ("quot;", '"'),
    ("apos;", '\''),
    ("amp;", '&'),
];

const REFUSALS: Refusals = Refusals {
    codes: &[
        "invalididentitytoken",
        "expiredtokenexception",
        "expiredtoken",
        "malformedpolicydocument",
        "packedpolicytoolarge",
        "idprejectedclaim",
        "regiondisabledexception",
        "accessdenied",
        "validationerror",
    ],
    hints: &[
        (
            "invalididentitytoken",
            "the account has no IAM OIDC provider of this issuer and audience, or AWS cannot fetch its keys",
        ),
        (
            "accessdenied",
            "the role's trust policy does not let this subject and audience assume it, or there is no such role",
        ),
        (
            "expiredtokenexception",
            "by AWS's clock the token has expired",
        ),
        (
            "regiondisabledexception",
            "STS is switched off in the endpoint's region; an administrator of the account activates it",
        ),
    ],
};

pub(super) async fn exchange(
    exchange: &Exchange<'_>,
    ids: &AwsFederation,
) -> Result<ExchangedToken, CheckResult> {
    let (default, path) = service::place(Exchanger::Aws(ids), exchange.region);
    let url = exchange.url(&default, &path)?;
    let session = session_name(ids, exchange.credential);
    let seconds = exchange
        .federation
        .expiration_seconds
        .max(MIN_SESSION_SECONDS);
    let answer = exchange
        .send(Request::post(url), |request, token| {
            Ok(request.secret_form(&[
                ("Action", "AssumeRoleWithWebIdentity"),
                ("Version", "2011-06-15"),
                ("RoleArn", &ids.role_arn),
                ("RoleSessionName", &session),
                ("DurationSeconds", &seconds.to_string()),
                ("WebIdentityToken", token),
            ]))
        })
        .await?;
    // Read in place: a copy would stay behind. What is not UTF-8 is none of STS's answers.
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    if !answer.status.is_success() {
        return Err(refused(exchange, &answer, text));
    }
    exchange.is_in_time(&answer)?;
    let credentials = element(text, "Credentials");
    let Some(credentials) = credentials else {
        return Err(exchange.unusable("it holds no Credentials"));
    };
    let end = element(credentials, "Expiration").unwrap_or_default();
    let lives = exchange.lives_until(&answer, end)?;
    let field = |name: &str| match element(credentials, name) {
        Some(text) => exchange.checked(&unescaped(text), name),
        None => Err(exchange.unusable(&format!("its {name} is missing"))),
    };
    Ok(ExchangedToken {
        fields: SecretFields {
            api_key: Some(field("AccessKeyId")?),
            secret_key: Some(field("SecretAccessKey")?),
            access_token: Some(field("SessionToken")?),
        },
        lives,
    })
}

fn refused(exchange: &Exchange<'_>, answer: &Response, text: &str) -> CheckResult {
    let code = element(text, "Error").and_then(|error| element(error, "Code"));
    let result = exchange.refused(answer, code, &REFUSALS);
    // STS could not reach the issuer: that may pass, or it is not public.
    match code {
        Some("IDPCommunicationError") => CheckResult {
            reason: Reason::CheckInconclusive,
            message: format!(
                "{}; AWS cannot reach the issuer to fetch its keys",
                result.message
            ),
            ..result
        },
        _ => result,
    }
}

/// The session's name: the declared one, or namespace and name of the credential as far as they fit.
fn session_name(ids: &AwsFederation, (namespace, name): (&str, &str)) -> String {
    match &ids.session_name {
        Some(name) => name.clone(),
        None => {
            let full = format!("llmplane-{namespace}-{name}");
            full.chars().take(MAX_SESSION_NAME).collect()
        }
    }
}

/// What stands between the first pair of an element's tags. AWS writes them without attributes, but for
/// the outermost one, which is not looked for.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim())
}

/// The text without XML's own escapes, wiped when it is dropped.
fn unescaped(text: &str) -> Zeroizing<String> {
    // Made long enough, so that it does not move and leave a copy behind.
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('&') {
        let known = |&(escape, means): &(&str, char)| Some((means, escaped.strip_prefix(escape)?));
        let (means, behind) = ESCAPES.iter().find_map(known).unwrap_or(('&', escaped));
        plain.push_str(before);
        plain.push(means);
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_and_what_is_cut_off_is_none() {
        let text =
            "<R><Credentials><AccessKeyId>ASIA1</AccessKeyId><SessionToken>a&amp;b</SessionToken>";
        assert_eq!(element(text, "AccessKeyId"), Some("ASIA1"));
        let token = element(text, "SessionToken").expect("there");
        assert_eq!(unescaped(token).as_str(), "a&b");
        assert_eq!(element(text, "Credentials"), None);
    }

    #[test]
    fn escapes_are_undone_once_and_what_is_none_stays() {
        let plain = |text: &str| unescaped(text).as_str().to_owned();
        assert_eq!(plain("a&lt;&gt;&quot;&apos;&amp;b"), "a<>\"'&b");
        assert_eq!(plain("&amp;lt;"), "&lt;");
        for text in ["", "a+b/c==", "&", "a&nbsp;b", "&lt"] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn a_session_is_named_after_the_credential_as_far_as_that_fits() {
        let ids = |session_name: Option<&str>| AwsFederation {
            role_arn: String::new(),
            session_name: session_name.map(str::to_owned),
        };
        assert_eq!(
            session_name(&ids(None), ("team", "main")),
            "llmplane-team-main"
        );
        assert_eq!(session_name(&ids(Some("mine")), ("team", "main")), "mine");
        let long = "n".repeat(200);
        assert_eq!(
            session_name(&ids(None), ("team", &long)).len(),
            MAX_SESSION_NAME
        );
    }
}
