//! Tokens of ServiceAccounts, by TokenRequest: a fresh one for each exchange.

use async_trait::async_trait;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, ResourceExt, api::PostParams};

use crate::{
    checks::{MintError, MintedToken, TokenMinter, hosts_in},
    crd::ANNOTATION_ALLOWED_HOSTS,
};

/// Asks the kube-apiserver for tokens, as the controller.
pub struct TokenRequests(pub Client);

#[async_trait]
impl TokenMinter for TokenRequests {
    async fn mint(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        expiration_seconds: i64,
    ) -> Result<MintedToken, MintError> {
        let allowed_hosts = allowed_hosts(&self.0, namespace, account).await?;
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                bound_object_ref: None,
                expiration_seconds: Some(expiration_seconds),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.0.clone(), namespace);
        let params = PostParams::default();
        let answer = accounts.create_token_request(account, &params, &request);
        let answer = answer.await.map_err(|error| refused(error, account))?;
        let token = answer.status.map(|status| status.token);
        let lost = || MintError::Unreachable("its answer holds no token".to_owned());
        Ok(MintedToken {
            token: token.ok_or_else(lost)?.into(),
            allowed_hosts,
        })
    }
}

/// The hosts that a ServiceAccount's owner allows vendors' tokens to be sent to, beyond the vendors' own.
///
/// # Errors
/// Why they cannot be read.
pub async fn allowed_hosts(
    client: &Client,
    namespace: &str,
    account: &str,
) -> Result<Vec<String>, MintError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let found = accounts.get_metadata_opt(account).await;
    let found = found.map_err(|error| refused(error, account))?;
    let found = found.ok_or_else(|| MintError::NoAccount(account.to_owned()))?;
    let annotation = found.annotations().get(ANNOTATION_ALLOWED_HOSTS);
    hosts_in(annotation.map_or("", String::as_str))
        .map_err(|why| MintError::Annotation(account.to_owned(), why))
}

/// Why the kube-apiserver gives nothing. Its own words are not repeated: they are the operator's to read.
fn refused(error: kube::Error, account: &str) -> MintError {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 => MintError::Forbidden(account.to_owned()),
            404 => MintError::NoAccount(account.to_owned()),
            code @ (400 | 422) => MintError::Invalid(code),
            code => MintError::Unreachable(format!("it answers with HTTP {code}")),
        },
        _ => MintError::Unreachable("there is no connection to it".to_owned()),
    }
}
