//! Each driver whose key a developer has in the environment, against its real vendor: probe, key,
//! a wrong key, models, a client's configuration. `make live`; docs/adding-a-vendor.md names the
//! variables. It spends no tokens, prints no key, and ends with 1 where something is wrong.

mod settings;

use std::{process::ExitCode, time::Duration};

use llmplane::{
    crd::reasons::Reason,
    encryption::SecretFields,
    keys::BoundKey,
    vendors::{
        Call, CheckResult, ClientInput, Driver, HttpClients, ModelList, driver,
        http::address_guard::AddressGuard,
    },
};
use secrecy::ExposeSecret;
use settings::{Found, Vendor};
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut wrong = 0;
    println!("{:<18} {:<14} {:<8} RESULT", "TYPE", "CHECK", "VERDICT");
    for found in settings::all(|name| std::env::var(name).ok().filter(|v| !v.is_empty())) {
        match found {
            Found::Unset(type_, what) => row(type_.as_str(), "-", "skipped", &what),
            Found::Wrong(type_, what) => {
                wrong += 1;
                row(type_.as_str(), "-", "WRONG", &what);
            }
            Found::Set(vendor) => wrong += try_out(&vendor).await,
        }
    }
    match wrong {
        0 => ExitCode::SUCCESS,
        _ => {
            println!("{wrong} wrong");
            ExitCode::FAILURE
        }
    }
}

/// How many of a vendor's checks are wrong.
async fn try_out(vendor: &Vendor) -> usize {
    let driver = driver(vendor.provider);
    let mut wrong = 0;
    for (check, (fine, result)) in checks(driver, vendor).await {
        wrong += usize::from(!fine);
        let verdict = if fine { "ok" } else { "WRONG" };
        row(
            vendor.provider.as_str(),
            check,
            verdict,
            &hide(vendor, &result),
        );
    }
    wrong
}

type Judged = (bool, String);

async fn checks(driver: &'static dyn Driver, vendor: &Vendor) -> Vec<(&'static str, Judged)> {
    // The developer's own machine and network: what a gateway or a server of one's own is in.
    let everywhere = ["0.0.0.0/0", "::/0"].map(|r| r.parse().expect("a network"));
    let clients = HttpClients::new(
        AddressGuard::new(everywhere.into(), []),
        vendor.proxy.clone(),
    );
    let client = match clients.client("live", &vendor.base_url, None) {
        Ok(client) => client,
        Err(error) => return vec![("client", (false, error.to_string()))],
    };
    // A developer's own key is for the host that the developer named.
    let here = [vendor.base_url.origin().ascii_serialization()];
    let bound = |key: &SecretFields| {
        let (type_, url) = (vendor.provider, &vendor.base_url);
        BoundKey::bind(
            key.clone(),
            type_.as_str(),
            &here,
            llmplane::vendors::vendor(type_),
            url,
        )
    };
    let keys = vendor.key.as_ref().map(bound).transpose();
    let (right, wrong) = match (keys, bound(&vendor.wrong_key)) {
        (Ok(right), Ok(wrong)) => (right, wrong),
        (Err(error), _) | (_, Err(error)) => return vec![("key", (false, error.to_string()))],
    };
    let call = |key| Call {
        base_url: &vendor.base_url,
        region: vendor.region.as_deref(),
        api_version: vendor.api_version.as_deref(),
        headers: &[],
        key,
        client: &client,
        deadline: Instant::now() + TIMEOUT,
    };
    let mut done = vec![
        ("probe", probed(driver.probe(&call(None)).await)),
        (
            "models",
            listed(driver.list_models(&call(right.as_ref())).await),
        ),
        ("client config", configured(driver, vendor)),
    ];
    if let Some(key) = &vendor.key {
        let shape = driver.check_key(key);
        done.push((
            "shape of key",
            (shape.is_ok(), shape.err().unwrap_or_default()),
        ));
        let said = driver.validate(&call(right.as_ref())).await;
        let open = said.message.contains("enforces no key");
        done.push(("key", accepted(said)));
        let said = driver.validate(&call(Some(&wrong))).await;
        done.push(("wrong key", refused(said, open)));
    }
    done
}

fn probed(outcome: CheckResult) -> Judged {
    (outcome.reason == Reason::ProbeSucceeded, say(&outcome))
}

/// A key that may not list, or whose account is in arrears, is genuine all the same.
fn accepted(outcome: CheckResult) -> Judged {
    let genuine = [
        Reason::KeyAccepted,
        Reason::KeyRestricted,
        Reason::QuotaExhausted,
    ];
    (genuine.contains(&outcome.reason), say(&outcome))
}

fn refused(outcome: CheckResult, open: bool) -> Judged {
    let fine = match open {
        true => outcome.reason == Reason::KeyAccepted,
        false => outcome.reason == Reason::KeyRejected,
    };
    (fine, say(&outcome))
}

fn listed(result: Result<ModelList, CheckResult>) -> Judged {
    match result {
        Ok(list) => {
            let some: Vec<_> = list.models.iter().take(3).map(|m| m.id.as_str()).collect();
            let (count, skipped) = (list.models.len(), list.skipped);
            (
                count > 0,
                format!("{count} models, {skipped} skipped: {}", some.join(", ")),
            )
        }
        // Azure lists deployments by key at some resources only, and says so.
        Err(outcome) => (
            outcome.message.contains("declare an LlmModel"),
            say(&outcome),
        ),
    }
}

fn configured(driver: &dyn Driver, vendor: &Vendor) -> Judged {
    let config = driver.client_config(&ClientInput {
        model_id: "model",
        base_url: &vendor.base_url,
        region: vendor.region.as_deref(),
        api_version: vendor.api_version.as_deref(),
        headers: &[],
        timeout: TIMEOUT,
        retries: 2,
        key: vendor.key.as_ref(),
    });
    let kwargs: Vec<_> = config
        .kwargs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let secrets: Vec<_> = config.secret_kwargs.keys().copied().collect();
    let text = format!(
        "{}({}; secret: {})",
        config.model_provider,
        kwargs.join(", "),
        secrets.join(", ")
    );
    let holds = secrets_of(&vendor.key)
        .iter()
        .any(|secret| text.contains(secret));
    (!holds, text)
}

fn say(outcome: &CheckResult) -> String {
    let status = outcome
        .http_status
        .map_or(String::new(), |s| format!(" HTTP {s}"));
    let code = outcome
        .code
        .as_deref()
        .map_or(String::new(), |c| format!(" {c}"));
    format!("{:?}{status}{code}: {}", outcome.reason, outcome.message)
}

/// Nothing here should hold a key; if something does, that is what is said.
fn hide(vendor: &Vendor, text: &str) -> String {
    let holds = secrets_of(&vendor.key)
        .iter()
        .any(|secret| text.contains(secret));
    match holds {
        true => "(the result held the key and is not shown: a defect)".to_owned(),
        false => text.to_owned(),
    }
}

fn secrets_of(key: &Option<SecretFields>) -> Vec<&str> {
    let Some(key) = key else { return Vec::new() };
    [&key.api_key, &key.secret_key, &key.access_token]
        .into_iter()
        .flatten()
        .map(|secret| secret.expose_secret())
        .filter(|secret| secret.len() >= 8)
        .collect()
}

fn row(type_: &str, check: &str, verdict: &str, result: &str) {
    println!("{type_:<18} {check:<14} {verdict:<8} {result}");
}
