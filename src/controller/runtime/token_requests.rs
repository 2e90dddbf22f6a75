//! Tokens of ServiceAccounts, by TokenRequest: a fresh one for each exchange.

use async_trait::async_trait;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, ResourceExt, api::PostParams, config::AuthInfo};
use secrecy::SecretString;

use crate::{
    checks::{MintError, MintedToken, TokenMinter, hosts_in},
    crd::ANNOTATION_ALLOWED_HOSTS,
    vendors::federation::{FreshToken, OwnAudiences},
};

/// Asks the kube-apiserver for tokens, as the controller.
pub struct TokenRequests {
    /// The kube-apiserver.
    pub client: Client,
    /// Audiences whose tokens are sent to no vendor.
    pub own_audiences: OwnAudiences,
}

#[async_trait]
impl TokenMinter for TokenRequests {
    async fn mint(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        expiration_seconds: i64,
    ) -> Result<MintedToken, MintError> {
        let allowed_hosts = allowed_hosts(&self.client, namespace, account).await?;
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                bound_object_ref: None,
                expiration_seconds: Some(expiration_seconds),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        let answer = accounts.create_token_request(account, &params, &request);
        let answer = answer.await.map_err(|error| refused(error, account))?;
        let token = answer.status.map(|status| status.token);
        let lost = || MintError::Unreachable("its answer holds no token".to_owned());
        Ok(MintedToken {
            token: FreshToken {
                token: token.ok_or_else(lost)?.into(),
                own_audiences: self.own_audiences.clone(),
            },
            allowed_hosts,
        })
    }
}

/// Audiences whose tokens are sent to no vendor: the API's, and those of the controller's own token, which in a
/// pod is a file.
pub fn own_audiences(api: &str, account: &AuthInfo) -> OwnAudiences {
    let read = |file: &String| std::fs::read_to_string(file).ok();
    let mounted = || account.token_file.as_ref().and_then(read);
    let token = account.token.clone();
    let token = token.or_else(|| mounted().map(SecretString::from));
    OwnAudiences::new(api, token.as_ref())
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

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn a_mounted_token_says_which_audiences_are_the_clusters_own() {
        let jwt = |audience: &str| {
            let claims = serde_json::json!({ "aud": [audience] }).to_string();
            format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims))
        };
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = folder.path().join("token");
        std::fs::write(&mounted, jwt("mounted") + "\n").expect("written");
        let mut account = AuthInfo {
            token_file: Some(mounted.to_string_lossy().into_owned()),
            ..AuthInfo::default()
        };
        let of = |audience: &str| OwnAudiences::new("api", Some(&jwt(audience).into()));
        assert_eq!(own_audiences("api", &account), of("mounted"));
        // As a client decides between the two.
        account.token = Some(jwt("given").into());
        assert_eq!(own_audiences("api", &account), of("given"));
        let without = own_audiences("api", &AuthInfo::default());
        assert_eq!(without, OwnAudiences::new("api", None));
    }
}
