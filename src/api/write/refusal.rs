//! What the kube-apiserver says where it does not do what was asked, in the words of the API.

use std::sync::LazyLock;

use kube::core::Status;
use regex::Regex;

use crate::api::problem::{FieldError, Problem, ProblemType};
use crate::crd::{Kind, fields};

/// Characters of a message of the kube-apiserver that are passed on.
const MAX_MESSAGE: usize = 1000;

/// What the kube-apiserver said in place of doing what was asked.
#[derive(Clone, Debug)]
pub enum Refused {
    /// It does not take the token.
    Token,
    /// The caller may not, or an admission policy says no.
    Forbidden(Box<Status>),
    /// There is no such thing.
    NotFound(Box<Status>),
    /// There is one already.
    AlreadyExists,
    /// It was changed, or is another one, since it was read.
    Conflict,
    /// What was sent cannot be.
    Invalid(Box<Status>),
    /// It has too much to do.
    Busy(u32),
    /// An admission webhook that has to be asked does not answer: nothing was changed.
    WebhookFailed(Box<Status>),
    /// It failed; what became of the call is not known.
    Failed(Box<Status>),
    /// It did not answer; what became of the call is not known.
    Unanswered,
}

impl From<kube::Error> for Refused {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            // Its text may name addresses, and says nothing that the caller can do.
            tracing::debug!(%error, "the kube-apiserver does not answer a write");
            return Self::Unanswered;
        };
        match (status.code, status.reason.as_str()) {
            (401, _) => Self::Token,
            (403, _) => Self::Forbidden(status),
            (404, _) => Self::NotFound(status),
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, _) => Self::Conflict,
            (429, _) => Self::Busy(status.details.map_or(1, |d| d.retry_after_seconds)),
            (400..=499, _) => Self::Invalid(status),
            _ if is_of_webhook(&status.message) => Self::WebhookFailed(status),
            _ => Self::Failed(status),
        }
    }
}

impl Refused {
    /// In one word, for the audit.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Token => "TokenRefused",
            Self::Forbidden(_) => "Forbidden",
            Self::NotFound(_) => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Invalid(_) => "Invalid",
            Self::Busy(_) => "Busy",
            Self::WebhookFailed(_) => "WebhookFailed",
            Self::Failed(_) | Self::Unanswered => "Unknown",
        }
    }

    /// To a caller who asked for an object: what may not be seen is as if it were not there.
    pub fn of_reading(self, kind: Kind) -> Problem {
        match self {
            Self::Forbidden(_) | Self::NotFound(_) => Problem::not_found(kind.as_str()),
            other => other.problem(kind),
        }
    }

    /// To the caller.
    pub fn problem(self, kind: Kind) -> Problem {
        match self {
            Self::Token => token_refused(),
            Self::Forbidden(status) => forbidden(kind, &status.message),
            Self::NotFound(status) => not_found(kind, &status),
            Self::AlreadyExists => Problem::new(
                ProblemType::AlreadyExists,
                format!(
                    "there is an {} of this name in the namespace; change that one with PUT, or choose \
                     another name",
                    kind.kubernetes()
                ),
            ),
            Self::Conflict => Problem::new(
                ProblemType::Conflict,
                "someone else changed it at the same time; read it, and try again",
            ),
            Self::Invalid(status) => invalid(kind, &status),
            Self::Busy(seconds) => Problem::new(
                ProblemType::Overloaded,
                "the kube-apiserver has too much to do; try again",
            )
            .after(std::time::Duration::from_secs(seconds.into())),
            Self::WebhookFailed(status) => Problem::new(
                ProblemType::ApiserverUnavailable,
                format!(
                    "the cluster asks an admission webhook about this, which does not answer: nothing was changed; \
                     see to the webhook, or to its configuration, and try again. The kube-apiserver says: {}",
                    one_line(&status.message)
                ),
            ),
            Self::Failed(status) => Problem::new(
                ProblemType::ApiserverUnavailable,
                format!(
                    "the kube-apiserver failed, and whether it made the change is not known; read the object \
                     before you try again. It says: {}",
                    one_line(&status.message)
                ),
            ),
            Self::Unanswered => Problem::new(
                ProblemType::ApiserverUnavailable,
                "the kube-apiserver did not answer, and whether it made the change is not known; read the \
                 object before you try again",
            ),
        }
    }
}

/// The kube-apiserver refuses a token that it vouched for when the API asked.
fn token_refused() -> Problem {
    Problem::new(
        ProblemType::TokenNotForApiserver,
        "a write goes to the kube-apiserver with your own token, and it refuses this one: a token is for the \
         audiences that it names, so name the kube-apiserver's beside this API's: kubectl create token NAME \
         --audience=llmplane --audience=<apiserver's>, where the latter is the issuer that kubectl get --raw \
         /.well-known/openid-configuration shows, unless the cluster's operator chose another",
    )
}

/// Which namespace or object is not there.
fn not_found(kind: Kind, status: &Status) -> Problem {
    let missing = status.details.as_ref().map(|details| details.kind.as_str());
    Problem::not_found(match missing {
        Some("namespaces") => "namespace",
        _ => kind.as_str(),
    })
}

fn forbidden(kind: Kind, message: &str) -> Problem {
    let said = said_by_policy(message).unwrap_or(message);
    let problem = Problem::new(ProblemType::Forbidden, one_line(said));
    match of_field(kind, said) {
        Some(error) => with_errors(
            Problem {
                detail: format!("{}: {}", error.field, error.message),
                ..problem
            },
            &[error],
        ),
        None => problem,
    }
}

fn invalid(kind: Kind, status: &Status) -> Problem {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut errors: Vec<FieldError> = causes
        // Of no field it says that it did not come to its other rules.
        .filter(|cause| !["", "<nil>"].contains(&cause.field.as_str()))
        .map(|cause| FieldError {
            field: fields::told(kind, &cause.field),
            message: one_line(&without_value(&cause.message)),
        })
        .collect();
    errors.extend(said_by_policy(&status.message).and_then(|said| of_field(kind, said)));
    // The schema's own complaint says less than the rule's that stands beside it.
    errors.dedup_by(|a, b| a.field == b.field && a.message == b.message);
    let detail = match errors.as_slice() {
        [] => one_line(said_by_policy(&status.message).unwrap_or(&status.message)),
        [one] => format!("{}: {}", one.field, one.message),
        several => {
            let names: Vec<_> = several.iter().map(|error| error.field.as_str()).collect();
            format!(
                "{}: the cluster takes none of these as they are; errors says why",
                names.join(", ")
            )
        }
    };
    with_errors(Problem::new(ProblemType::InvalidObject, detail), &errors)
}

fn with_errors(problem: Problem, errors: &[FieldError]) -> Problem {
    match errors {
        [] => problem,
        errors => problem.with("errors", serde_json::json!(errors)),
    }
}

/// What an admission policy or webhook says, without the kube-apiserver's introduction.
fn said_by_policy(message: &str) -> Option<&str> {
    let (_, said) = message
        .split_once("denied request: ")
        .or_else(|| message.split_once("denied the request: "))?;
    Some(said)
}

/// A sentence about a field that it begins with.
fn of_field(kind: Kind, said: &str) -> Option<FieldError> {
    static PLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^((?:spec|metadata)(?:\.[A-Za-z0-9]+|\[[0-9]+\])+)[: ]+").ok()
    });
    let found = PLACE.as_ref()?.captures(said)?;
    let (whole, place) = (found.get(0)?, found.get(1)?);
    Some(FieldError {
        field: fields::told(kind, place.as_str()),
        message: one_line(&said[whole.end()..]),
    })
}

/// A cause without the value that was sent and without the place, both of which the kube-apiserver
/// repeats.
fn without_value(message: &str) -> String {
    static VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?s)^(?:Invalid|Unsupported|Duplicate) value: (?:"(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^\]]*\]|[^:"]*)(?:: )?(?:[A-Za-z0-9.\[\]]+ in body )?"#).ok()
    });
    let (Some(value), true) = (VALUE.as_ref(), message.contains(" value: ")) else {
        return message.to_owned();
    };
    match value.replace(message, "").into_owned() {
        rest if rest.is_empty() => message.split(':').next().unwrap_or_default().to_owned(),
        rest => rest,
    }
}

/// Whether the kube-apiserver failed for it could not ask an admission webhook, which it does before it
/// stores anything.
fn is_of_webhook(message: &str) -> bool {
    message.contains("failed calling webhook")
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> Refused {
        let status: Status = serde_json::from_value(value).unwrap();
        Refused::from(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_cause_is_told_by_the_bodys_field_and_without_the_value() {
        let refused = status(json!({
            "code": 422, "reason": "Invalid",
            "message": "LlmEndpoint.llmplane.dev \"e\" is invalid: spec.retry.count: ...",
            "details": { "causes": [
                { "field": "spec.retry.count", "message": "Invalid value: 11: should be less than or equal to 10" },
                { "field": "spec.baseUrl", "message": "Invalid value: \"ftp: \\\"//x\": write http://" },
            ] },
        }));
        assert_eq!(refused.word(), "Invalid");
        let problem = refused.problem(Kind::Endpoint);
        assert_eq!(problem.kind, ProblemType::InvalidObject);
        assert_eq!(
            json!(problem.members)["errors"],
            json!([
                { "field": "retry_count", "message": "should be less than or equal to 10" },
                { "field": "base_url", "message": "write http://" },
            ])
        );
        assert!(
            problem.detail.starts_with("retry_count, base_url: "),
            "{}",
            problem.detail
        );
    }

    #[test]
    fn what_a_policy_says_is_of_the_field_that_it_names() {
        let refused = status(json!({
            "code": 403, "reason": "Forbidden",
            "message": "llmcredentials.llmplane.dev \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with \
                        binding 'b' denied request: spec.secretRef.name: you may not read Secret other",
        }));
        let problem = refused.problem(Kind::Credential);
        assert_eq!(problem.kind, ProblemType::Forbidden);
        assert_eq!(problem.detail, "secret_name: you may not read Secret other");
        let refused = status(json!({
            "code": 422, "reason": "Invalid",
            "message": "... denied request: spec.defaultParameters has more than 16384 bytes",
        }));
        let problem = refused.problem(Kind::Model);
        assert_eq!(
            problem.detail,
            "default_parameters: has more than 16384 bytes"
        );
    }

    #[test]
    fn what_may_not_be_read_looks_like_what_is_not_there() {
        let said = |code: u16| {
            let refused = status(json!({ "code": code, "message": format!("secret-{code}") }));
            refused.of_reading(Kind::Model)
        };
        assert_eq!(said(403), said(404));
        assert_eq!(said(403).kind, ProblemType::NotFound);
    }

    #[test]
    fn an_unknown_outcome_is_no_refusal() {
        for refused in [status(json!({ "code": 502 })), Refused::Unanswered] {
            assert_eq!(refused.word(), "Unknown");
            let problem = refused.problem(Kind::Model);
            assert_eq!(problem.kind, ProblemType::ApiserverUnavailable);
            assert!(
                problem.detail.contains("is not known"),
                "{}",
                problem.detail
            );
        }
    }

    #[test]
    fn a_webhook_that_does_not_answer_has_changed_nothing() {
        let refused = status(json!({
            "code": 500, "reason": "InternalError",
            "message": "Internal error occurred: failed calling webhook \"policy.example\": failed to call webhook: \
                        Post \"https://policy.example:443/?timeout=2s\": dial tcp: connection refused",
        }));
        assert_eq!(refused.word(), "WebhookFailed");
        let problem = refused.problem(Kind::Model);
        assert_eq!(problem.kind, ProblemType::ApiserverUnavailable);
        assert!(
            problem.detail.contains("nothing was changed")
                && problem.detail.contains("policy.example"),
            "{}",
            problem.detail
        );
    }

    #[test]
    fn a_value_is_taken_out_whatever_it_is() {
        for (message, rest) in [
            ("Invalid value: \"a: \\\"b\": write c", "write c"),
            ("Invalid value: 5: too many", "too many"),
            (
                "Unsupported value: \"x\": supported values: \"A\"",
                "supported values: \"A\"",
            ),
            (
                "Invalid value: \"string\": spec.a in body must be of type integer: \"string\"",
                "must be of type integer: \"string\"",
            ),
            (
                "Invalid value: 11: spec.retry.count in body should be less than or equal to 10",
                "should be less than or equal to 10",
            ),
            ("Duplicate value: {\"name\":\"a\"}", "Duplicate value"),
            ("Required value", "Required value"),
            (
                "Too long: may not be more than 5 bytes",
                "Too long: may not be more than 5 bytes",
            ),
        ] {
            assert_eq!(without_value(message), rest);
        }
    }
}
