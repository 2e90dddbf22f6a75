//! Every documented error of every vendor, over a socket, and what it must come to.

use std::time::Duration;

use futures::{StreamExt, stream};
use llmplane::{
    crd::{
        ProviderType::{self, *},
        model::ModelType,
        reasons::Reason::{self, CheckInconclusive as Unsure, *},
    },
    vendors::Retry,
};

use super::asking::{Ask, Caller, KEY, TYPES, fake, model_of};
use crate::support::vendors::Fault;

/// Fixture; what key validation and model test must say of it. A list fails in any case.
type Row = (&'static str, Reason, Reason);

const OPENAI_ERRORS: &[Row] = &[
    ("bad_key", KeyRejected, Unsure),
    ("restricted_key", KeyRestricted, Unsure),
    ("restricted_key_401", KeyRestricted, Unsure),
    ("ip_not_allowed", Unsure, Unsure),
    ("wrong_organization", Unsure, Unsure),
    ("unsupported_country", Unsure, Unsure),
    ("unknown_model", Unsure, ModelNotFound),
    ("no_such_path", Unsure, Unverifiable),
    ("insufficient_quota", QuotaExhausted, QuotaExhausted),
    ("credit_balance_exhausted", QuotaExhausted, QuotaExhausted),
    ("rate_limit", Unsure, Unsure),
    ("slow_down", Unsure, Unsure),
    ("server_error", Unsure, Unsure),
    ("overloaded", Unsure, Unsure),
];
const ANTHROPIC_ERRORS: &[Row] = &[
    ("bad_request", Unsure, Unsure),
    ("bad_key", KeyRejected, Unsure),
    ("billing", QuotaExhausted, QuotaExhausted),
    ("permission", KeyRestricted, ModelAccessDenied),
    ("unknown_model", Unsure, ModelNotFound),
    ("too_large", Unsure, Unsure),
    ("rate_limit", Unsure, Unsure),
    ("spend_limit", QuotaExhausted, QuotaExhausted),
    ("api_error", Unsure, Unsure),
    ("timeout", Unsure, Unsure),
    ("overloaded", Unsure, Unsure),
];
const BEDROCK_ERRORS: &[Row] = &[
    ("bad_bearer", KeyRejected, Unsure),
    ("unknown_access_key", KeyRejected, Unsure),
    ("bad_signature", KeyRejected, Unsure),
    ("incomplete_signature", KeyRejected, Unsure),
    ("expired_token", KeyRejected, Unsure),
    ("clock_skew", Unsure, Unsure),
    ("access_denied", KeyRestricted, ModelAccessDenied),
    ("form_not_filled", KeyRestricted, ModelAccessDenied),
    ("unknown_model", Unsure, ModelNotFound),
    ("validation", Unsure, ModelNotFound),
    ("on_demand", Unsure, ModelNotFound),
    ("no_such_path", Unsure, Unverifiable),
    ("quota", QuotaExhausted, QuotaExhausted),
    ("throttled", Unsure, Unsure),
    ("internal", Unsure, Unsure),
    ("unavailable", Unsure, Unsure),
];
const GEMINI_ERRORS: &[Row] = &[
    ("bad_key", KeyRejected, Unsure),
    ("expired_key", KeyRejected, Unsure),
    ("leaked_key", KeyRejected, Unsure),
    ("service_disabled", KeyRestricted, Unsure),
    ("service_blocked", KeyRestricted, Unsure),
    ("ip_blocked", Unsure, Unsure),
    ("location", Unsure, Unsure),
    ("bad_request", Unsure, Unsure),
    ("unknown_model", Unsure, ModelNotFound),
    ("no_such_path", Unsure, Unverifiable),
    ("rate_limit", Unsure, Unsure),
    ("internal", Unsure, Unsure),
    ("overloaded", Unsure, Unsure),
    ("timeout", Unsure, Unsure),
];
const AZURE_ERRORS: &[Row] = &[
    ("bad_key", KeyRejected, Unsure),
    ("unknown_model", Unsure, ModelNotFound),
    ("no_such_path", Unsure, Unverifiable),
    ("rate_limit", Unsure, Unsure),
];
const DASHSCOPE_ERRORS: &[Row] = &[
    ("bad_key", KeyRejected, Unsure),
    ("bad_key_compatible", KeyRejected, Unsure),
    ("access_denied", KeyRestricted, ModelAccessDenied),
    ("unknown_model", Unsure, ModelNotFound),
    ("unknown_model_compatible", Unsure, ModelNotFound),
    ("no_such_path", Unsure, Unverifiable),
    ("arrears", QuotaExhausted, QuotaExhausted),
    ("rate_quota", Unsure, Unsure),
    ("allocation_quota", Unsure, Unsure),
    ("insufficient_quota", QuotaExhausted, QuotaExhausted),
    ("overloaded", Unsure, Unsure),
    ("timeout", Unsure, Unsure),
];
const QIANFAN_ERRORS: &[Row] = &[
    ("bad_key", KeyRejected, Unsure),
    ("unknown_model", Unsure, ModelNotFound),
    ("bad_request", Unsure, Unsure),
    ("arrears", QuotaExhausted, QuotaExhausted),
    ("rate_limit", Unsure, Unsure),
    ("token_rate_limit", Unsure, Unsure),
    ("user_rate_limit", Unsure, Unsure),
    ("no_permission", KeyRestricted, ModelAccessDenied),
    ("bad_appid", Unsure, Unsure),
    ("coding_plan", Unsure, Unsure),
    ("internal", Unsure, Unsure),
    ("dispatch", Unsure, Unsure),
    ("no_key", Unsure, Unsure),
    ("v1_expired", KeyRejected, Unsure),
    ("v1_daily_quota", QuotaExhausted, QuotaExhausted),
    ("v1_undocumented", Unsure, Unsure),
];
const OLLAMA_ERRORS: &[Row] = &[
    ("bad_key", KeyRejected, Unsure),
    ("unknown_model", Unsure, ModelNotFound),
    ("no_such_path", Unsure, Unverifiable),
    ("rate_limit", Unsure, Unsure),
    ("busy", Unsure, Unsure),
    ("cloud_unreachable", Unsure, Unsure),
];
const VLLM_ERRORS: &[Row] = &[
    ("bad_key", KeyRejected, Unsure),
    ("no_such_path", Unsure, Unverifiable),
    ("unknown_model", Unsure, Unverifiable),
    ("flat_error", Unsure, Unsure),
    ("dead_engine", Unsure, Unsure),
];

fn table(provider: ProviderType) -> &'static [Row] {
    match provider {
        OpenAI | OpenAICompatible => OPENAI_ERRORS,
        Anthropic => ANTHROPIC_ERRORS,
        Bedrock => BEDROCK_ERRORS,
        AzureOpenAI => AZURE_ERRORS,
        DashScope => DASHSCOPE_ERRORS,
        Qianfan => QIANFAN_ERRORS,
        Gemini => GEMINI_ERRORS,
        Ollama => OLLAMA_ERRORS,
        VLLM => VLLM_ERRORS,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_key_and_a_known_model_are_told_as_what_they_are() {
    for provider in TYPES {
        let fake = fake(provider).await;
        let caller = Caller::of(&fake, provider);
        let tested = match provider {
            AzureOpenAI | OpenAICompatible => ModelAnswered,
            _ => ModelListed,
        };
        for (ask, reason) in [
            (Ask::Probe, ProbeSucceeded),
            (Ask::Validate, KeyAccepted),
            (Ask::List, SyncSucceeded),
            (Ask::Test, tested),
        ] {
            let said = caller.ask(ask).await;
            assert_eq!(said.reason, reason, "{provider} {ask:?}: {said:?}");
        }
        let listed = caller.list().await.unwrap().models;
        let known = listed.iter().any(|m| m.id == model_of(provider));
        assert!(known, "{provider}: {listed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_error_has_its_reason() {
    let cases = TYPES.into_iter().flat_map(|provider| {
        let rows = table(provider).iter();
        rows.map(move |row| judged(provider, *row))
    });
    let judged: Vec<()> = stream::iter(cases).buffer_unordered(8).collect().await;
    assert!(judged.len() > 70);
}

async fn judged(provider: ProviderType, (fixture, validate, test): Row) {
    let fake = fake(provider).await;
    fake.fail_with(fixture);
    let caller = Caller::of(&fake, provider);
    for (ask, reason) in [
        (Ask::Validate, validate),
        (Ask::List, SyncFailed),
        (Ask::Test, test),
    ] {
        let said = caller.ask(ask).await;
        // A resource that lists no deployments by key has no list at all.
        let listless = provider == AzureOpenAI && ask == Ask::List;
        assert!(
            said.reason == reason || listless && said.reason == Unverifiable,
            "{provider} {fixture} {ask:?}: {said:?}"
        );
        let text = format!("{said:?}");
        assert!(!text.contains(KEY), "{provider} {fixture}: {text}");
        assert!(
            said.http_status.is_some(),
            "{provider} {fixture} {ask:?}: {text}"
        );
    }
}

/// The vendors put what they were sent into their message; nothing of it is told on.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_rejected_and_not_repeated() {
    const WRONG: &str = "sk-wrong-9Zr4Tq7Lm2Xv8Kp1";
    for provider in TYPES {
        let fake = fake(provider).await;
        let caller = Caller::of(&fake, provider).with_key(WRONG);
        let said = caller.ask(Ask::Validate).await;
        assert_eq!(said.reason, KeyRejected, "{provider}: {said:?}");
        let text = format!("{said:?}");
        for part in [WRONG, "sk-wrong", "8Kp1"] {
            assert!(!text.contains(part), "{provider}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_wants_a_key_is_reachable_without_one() {
    for provider in TYPES {
        let fake = fake(provider).await;
        let said = Caller::of(&fake, provider).ask(Ask::Probe).await;
        assert_eq!(said.reason, ProbeSucceeded, "{provider}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_there_is_not_found() {
    for provider in TYPES {
        let fake = fake(provider).await;
        let caller = Caller::of(&fake, provider);
        let said = caller.ask_about(Ask::Test, "no/such model:é").await;
        assert_eq!(said.reason, ModelNotFound, "{provider}: {said:?}");
    }
}

/// Refusals that only a model which is there can give.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_proves_the_model_is_no_failure() {
    for (provider, fixture, reason) in [
        (OpenAICompatible, "not_a_chat_model", ModelListed),
        (OpenAICompatible, "output_limit", ModelAnswered),
        (AzureOpenAI, "other_operation", ModelListed),
        (AzureOpenAI, "output_limit", ModelAnswered),
    ] {
        let fake = fake(provider).await;
        fake.fail_with(fixture);
        let said = Caller::of(&fake, provider).ask(Ask::Test).await;
        assert_eq!(said.reason, reason, "{provider} {fixture}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_tested_by_the_call_that_its_type_answers() {
    const EMBEDS: &str = "text-embedding-3-small";
    for (provider, api_version, model, embeddings) in [
        (OpenAICompatible, None, EMBEDS, "/v1/embeddings"),
        (AzureOpenAI, None, "embeddings", "/openai/v1/embeddings"),
        (
            AzureOpenAI,
            Some("2024-10-21"),
            "embeddings",
            "/openai/deployments/embeddings/embeddings",
        ),
        (Qianfan, None, "unlisted", "/v2/embeddings"),
    ] {
        let fake = fake(provider).await;
        if provider == OpenAICompatible {
            fake.list_model(model);
        }
        let mut caller = Caller {
            type_: Some(ModelType::Embedding),
            api_version: api_version.map(str::to_owned),
            ..Caller::of(&fake, provider)
        };
        let said = caller.ask_about(Ask::Test, model).await;
        assert_eq!(said.reason, ModelAnswered, "{provider}: {said:?}");
        assert_eq!(fake.requests().pop().unwrap().path, embeddings);
        for type_ in [ModelType::Rerank, ModelType::Image, ModelType::Audio] {
            caller.type_ = Some(type_);
            let said = caller.ask_about(Ask::Test, model).await;
            let reason = match provider {
                Qianfan => Unverifiable,
                _ => ModelListed,
            };
            assert_eq!(said.reason, reason, "{provider} {type_:?}: {said:?}");
        }
    }
}

/// The test's own call is not there: what the list says is said then, and where there is none either,
/// that nothing can.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_has_nothing_to_ask_says_so_and_is_not_open() {
    let is_list = |path: &str| path.ends_with("/models") || path == "/api/tags";
    for provider in TYPES {
        for (lists, reason) in [(true, with_list(provider)), (false, Unverifiable)] {
            let fake = fake(provider).await;
            let nothing = Fault::documented("gateways", "no_such_path");
            fake.fail_when(move |r| !(lists && is_list(&r.path)), nothing);
            let caller = Caller::of(&fake, provider);
            let said = caller.ask(Ask::Test).await;
            let context = format!("{provider}, lists: {lists}: {said:?}");
            assert_eq!(said.reason, reason, "{context}");
            if said.reason == Unverifiable {
                assert!(said.message.contains("HTTP 404"), "{context}");
                assert!(said.message.contains("nothing"), "{context}");
            }
        }
    }
}

/// What a test comes to where there is a list and no other call.
fn with_list(provider: ProviderType) -> Reason {
    match provider {
        // Nothing but the model's answer counts, and deployments are in no list.
        OpenAICompatible | AzureOpenAI | Bedrock => Unverifiable,
        _ => ModelListed,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_a_type_without_a_call_is_tested_by_a_list_that_may_not_be_there() {
    for provider in [OpenAICompatible, Qianfan] {
        for (fault, reason) in [
            (Fault::documented("gateways", "no_such_path"), Unverifiable),
            (Fault::Status(503), Unsure),
        ] {
            let fake = fake(provider).await;
            fake.fail(fault);
            let caller = Caller {
                type_: Some(ModelType::Rerank),
                ..Caller::of(&fake, provider)
            };
            let said = caller.ask(Ask::Test).await;
            assert_eq!(said.reason, reason, "{provider}: {said:?}");
        }
    }
}

/// Azure's own words: a new deployment may not be found for five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_not_found_has_five_minutes_to_appear() {
    let settling = Duration::from_secs(300);
    let fake = fake(AzureOpenAI).await;
    let mut caller = Caller::of(&fake, AzureOpenAI);
    caller.tested_for = Duration::ZERO;
    let said = caller.ask_about(Ask::Test, "missing").await;
    assert_eq!((said.reason, said.retry), (Unsure, Retry::After(settling)));
    caller.tested_for = settling;
    let said = caller.ask_about(Ask::Test, "missing").await;
    assert_eq!((said.reason, said.retry), (ModelNotFound, Retry::No));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_apis_of_azure_are_spoken() {
    let fake = fake(AzureOpenAI).await;
    for version in [None, Some("v1"), Some("2024-10-21")] {
        let caller = Caller {
            api_version: version.map(str::to_owned),
            ..Caller::of(&fake, AzureOpenAI)
        };
        assert_eq!(caller.ask(Ask::Validate).await.reason, KeyAccepted);
        assert_eq!(caller.ask(Ask::Test).await.reason, ModelAnswered);
        let said = caller.ask_about(Ask::Test, "missing").await;
        assert_eq!(said.reason, ModelNotFound);
    }
    let ids: Vec<_> = Caller::of(&fake, AzureOpenAI).list().await.unwrap().models;
    assert!(
        ids.iter().all(|m| m.id == "chat"),
        "the catalog is no list of deployments: {ids:?}"
    );
    fake.shop().lists_deployments = false;
    let refused = Caller::of(&fake, AzureOpenAI).list().await.unwrap_err();
    assert!(refused.message.contains("catalog"), "{}", refused.message);
}

/// A token goes as a bearer, an API key by the vendor's own header, and never both ways.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_are_kept_apart() {
    const TOKEN: &str = "to-7Hk3Vb9Qm5";
    for provider in [Anthropic, AzureOpenAI] {
        let fake = fake(provider).await;
        fake.shop().tokens.push(TOKEN.to_owned());
        let mut caller = Caller::of(&fake, provider);
        assert_eq!(caller.ask(Ask::Validate).await.reason, KeyAccepted);
        assert!(fake.requests().iter().all(|r| r.bearer().is_none()));
        caller.key = Some(llmplane::encryption::SecretFields {
            access_token: Some(TOKEN.into()),
            ..Default::default()
        });
        assert_eq!(caller.ask(Ask::Validate).await.reason, KeyAccepted);
        let last = fake.requests().pop().unwrap();
        assert_eq!(last.bearer(), Some(TOKEN));
        assert!(last.header("x-api-key").is_none() && last.header("api-key").is_none());
    }
}
