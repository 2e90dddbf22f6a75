//! Exchanges of tokens against each vendor's token service, on sockets: what is given, what is refused, and
//! what is no answer.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use llmplane::{
    crd::{federation::Federation, reasons::Reason, token_services::TokenServices},
    encryption::SecretFields,
    vendors::{
        CheckResult, HttpClients, Retry,
        federation::{Exchange, ExchangedToken, FreshToken, OwnAudiences, SubjectToken, exchange},
        http::address_guard::AddressGuard,
    },
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::vendors::{
    Fault,
    jwt::SigningKey,
    token_service::{Agreement, TokenService},
};

const ISSUER: &str = "https://cluster.example";
const SUBJECT: &str = "system:serviceaccount:team:llm";

/// One exchange as it is declared, and the ids by the names that its requests have for them.
struct Case {
    exchange: &'static str,
    audience: &'static str,
    declared: Value,
    ids: BTreeMap<String, String>,
}

fn case(exchange: &'static str, declared: Value, ids: &[(&str, &str)]) -> Case {
    let own = |(name, id): &(&str, &str)| ((*name).to_owned(), (*id).to_owned());
    Case {
        exchange,
        audience: match exchange {
            "entra" => "api://AzureADTokenExchange",
            _ => "https://vendor.example",
        },
        declared,
        ids: ids.iter().map(own).collect(),
    }
}

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const GOOGLE: &str = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster";

fn cases() -> Vec<Case> {
    vec![
        case(
            "openAI",
            json!({ "identityProviderId": "idp_1", "serviceAccountId": "svc_1" }),
            &[
                ("identity_provider_id", "idp_1"),
                ("service_account_id", "svc_1"),
            ],
        ),
        case(
            "anthropic",
            json!({
                "federationRuleId": "fdrl_1", "organizationId": UUID, "serviceAccountId": "svac_1",
                "workspaceId": "default",
            }),
            &[
                ("federation_rule_id", "fdrl_1"),
                ("organization_id", UUID),
                ("service_account_id", "svac_1"),
                ("workspace_id", "default"),
            ],
        ),
        case(
            "aws",
            json!({ "roleArn": "arn:aws:iam::123456789012:role/llm" }),
            &[("RoleArn", "arn:aws:iam::123456789012:role/llm")],
        ),
        case(
            "entra",
            json!({ "tenantId": "contoso.example", "clientId": UUID }),
            &[
                ("tenant_id", "contoso.example"),
                ("client_id", UUID),
                ("scope", "https://cognitiveservices.azure.com/.default"),
            ],
        ),
        case(
            "google",
            json!({ "provider": GOOGLE }),
            &[("audience", &format!("//iam.googleapis.com/{GOOGLE}"))],
        ),
        case(
            "google",
            json!({ "provider": GOOGLE, "serviceAccountEmail": "llm@p.iam.gserviceaccount.com" }),
            &[
                ("audience", &format!("//iam.googleapis.com/{GOOGLE}")),
                ("service_account_email", "llm@p.iam.gserviceaccount.com"),
            ],
        ),
        case(
            "openRouter",
            json!({ "federationPolicyId": "pol_1" }),
            &[("federation_policy_id", "pol_1")],
        ),
    ]
}

/// A vendor that was told of a cluster, and that cluster.
struct Site {
    federation: Federation,
    audience: &'static str,
    service: TokenService,
    key: SigningKey,
    clients: HttpClients,
}

impl Site {
    async fn of(case: &Case) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut declared = json!({
            "serviceAccountRef": { "name": "llm" }, "audience": case.audience,
        });
        declared[case.exchange] = case.declared.clone();
        let key = SigningKey::new("key-1");
        let agreement = Agreement {
            issuer: ISSUER.to_owned(),
            subject: SUBJECT.to_owned(),
            audience: case.audience.to_owned(),
            jwks: key.jwks(),
            ids: case.ids.clone(),
            life: 3600,
            clock: SignedDuration::ZERO,
        };
        let guard = AddressGuard::new(vec!["127.0.0.0/8".parse().unwrap()], []);
        Self {
            federation: serde_json::from_value(declared).unwrap(),
            audience: case.audience,
            service: TokenService::of(case.exchange, agreement).await,
            key,
            clients: HttpClients::new(guard, None),
        }
    }

    async fn exchange(&self) -> Result<ExchangedToken, CheckResult> {
        let token = self.key.token(ISSUER, SUBJECT, self.audience);
        self.exchange_of(&token).await
    }

    async fn exchange_of(&self, token: &str) -> Result<ExchangedToken, CheckResult> {
        let services: TokenServices = [self.service.setting().parse().unwrap()]
            .into_iter()
            .collect();
        let fresh = FreshToken {
            token: token.into(),
            own_audiences: OwnAudiences::new("llmplane", None),
        };
        exchange(&Exchange {
            federation: &self.federation,
            token: &SubjectToken::read(fresh, self.audience).unwrap(),
            credential: ("team", "main"),
            region: Some("eu-west-1"),
            services: &services,
            clients: &self.clients,
            deadline: Instant::now() + Duration::from_secs(30),
        })
        .await
    }

    /// Refused or inconclusive, without a token in what is said.
    async fn fails(&self) -> CheckResult {
        let token = self.key.token(ISSUER, SUBJECT, self.audience);
        let Err(said) = self.exchange_of(&token).await else {
            panic!("{:?} gave a token", self.federation);
        };
        let shown = format!("{said:?}");
        for part in token.split('.') {
            assert!(!shown.contains(part), "{shown}");
        }
        for issued in self.service.issued() {
            assert!(!shown.contains(&issued.token), "{shown}");
        }
        said
    }
}

fn texts(fields: &SecretFields) -> [Option<String>; 3] {
    [&fields.api_key, &fields.secret_key, &fields.access_token]
        .map(|field| field.as_ref().map(|text| text.expose_secret().to_owned()))
}

#[tokio::test]
async fn each_exchange_gives_what_its_vendor_gave_and_how_long_it_lives() {
    for case in cases() {
        let site = Site::of(&case).await;
        let token = site.exchange().await;
        let token = token.unwrap_or_else(|said| panic!("{}: {said:?}", case.exchange));
        let issued = site.service.issued().pop().unwrap();
        let expected = match case.exchange {
            "aws" => [issued.token, issued.secret, issued.session].map(Some),
            "openAI" => [Some(issued.token), None, None],
            _ => [None, None, Some(issued.token)],
        };
        assert_eq!(texts(&token.fields), expected, "{}", case.exchange);
        let lives = token.lives.as_secs();
        assert!((3500..=3600).contains(&lives), "{}: {lives}", case.exchange);
    }
}

#[tokio::test]
async fn a_token_is_sent_once_and_a_second_exchange_of_it_is_refused() {
    for case in cases() {
        let site = Site::of(&case).await;
        let token = site.key.token(ISSUER, SUBJECT, case.audience);
        assert!(site.exchange_of(&token).await.is_ok());
        let again = site.exchange_of(&token).await;
        let reason = again.err().map(|said| said.reason);
        assert_eq!(reason, Some(Reason::ExchangeRefused), "{}", case.exchange);
    }
}

#[tokio::test]
async fn a_refusal_tells_what_was_sent_but_the_token() {
    type Change = fn(&mut Agreement);
    let changes: [(&str, Change); 5] = [
        ("issuer", |a| a.issuer = "https://other.example".into()),
        ("subject", |a| {
            a.subject = "system:serviceaccount:team:other".into()
        }),
        ("audience", |a| a.audience = "https://other.example".into()),
        ("keys", |a| a.jwks = SigningKey::new("key-2").jwks()),
        ("ids", |a| {
            for id in a.ids.values_mut() {
                *id = format!("{id}0");
            }
        }),
    ];
    for case in cases() {
        for (what, change) in &changes {
            let site = Site::of(&case).await;
            change(&mut site.service.agreement());
            let said = site.fails().await;
            let place = format!("{} {what}: {}", case.exchange, said.message);
            assert_eq!(said.reason, Reason::ExchangeRefused, "{place}");
            for part in [ISSUER, SUBJECT, case.audience, "federation show main"] {
                assert!(said.message.contains(part), "{place}");
            }
            for id in case.declared.as_object().unwrap().values() {
                assert!(said.message.contains(id.as_str().unwrap()), "{place}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_neither_a_token_nor_a_refusal_proves_nothing_and_is_asked_for_once() {
    let without_expiry = json!({ "access_token": "t", "token_type": "Bearer", "accessToken": "t" });
    let mut expired = without_expiry.clone();
    expired["expires_in"] = json!(0);
    let mut other_kind = without_expiry.clone();
    other_kind["token_type"] = json!("mac");
    other_kind["expires_in"] = json!(3600);
    let faults = [
        Fault::Huge,
        Fault::Garbage,
        Fault::Empty,
        Fault::NotHttp,
        Fault::Reset,
        Fault::Body("<html>sign in</html>".to_owned()),
        Fault::Body(without_expiry.to_string()),
        Fault::Body(expired.to_string()),
        Fault::Body(other_kind.to_string()),
        Fault::Body("{\"access_token\":\"a b\",\"expires_in\":3600}".to_owned()),
        Fault::Body("{\"access_token\":\"t\",\"expires_in\":5}".to_owned()),
        Fault::Redirect(302, "http://127.0.0.1:9/elsewhere".to_owned()),
        Fault::Redirect(307, "http://127.0.0.1:9/elsewhere".to_owned()),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Status(503),
        Fault::RateLimited("7".to_owned()),
    ];
    for case in cases() {
        for fault in &faults {
            let site = Site::of(&case).await;
            site.service.fail(fault.clone());
            let said = site.fails().await;
            let place = format!("{} {fault:?}: {}", case.exchange, said.message);
            assert_eq!(said.reason, Reason::CheckInconclusive, "{place}");
            assert_eq!(site.service.presented().len(), 1, "{place}");
            if matches!(fault, Fault::RateLimited(_)) {
                assert_eq!(said.retry, Retry::After(Duration::from_secs(7)), "{place}");
            }
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_gives_nothing() {
    for case in cases() {
        for minutes in [-10, 10] {
            let site = Site::of(&case).await;
            site.service.agreement().clock = SignedDuration::from_mins(minutes);
            let said = site.fails().await;
            let place = format!("{} {minutes}: {}", case.exchange, said.message);
            let reasons = [Reason::CheckInconclusive, Reason::ExchangeRefused];
            assert!(reasons.contains(&said.reason), "{place}");
        }
    }
}
