//! Where tokens of ServiceAccounts come from. The controller asks the kube-apiserver; tests need none.

use async_trait::async_trait;

use crate::vendors::federation::FreshToken;

/// A fresh token of a ServiceAccount.
pub struct MintedToken {
    /// The token, for one use.
    pub token: FreshToken,
    /// Hosts that the ServiceAccount's owner allows a vendor's token to be sent to, beyond the vendor's own.
    pub allowed_hosts: Vec<String>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// There is no such ServiceAccount.
    #[error(
        "there is no ServiceAccount {0} in this namespace; create it, or correct spec.federation.serviceAccountRef"
    )]
    NoAccount(String),
    /// The controller may not ask for its tokens.
    #[error(
        "the controller may not ask for tokens of ServiceAccount {0}: an operator grants it get on \
         serviceaccounts and create on serviceaccounts/token with resourceNames: [{0}] in this namespace \
         (docs/keyless.md)"
    )]
    Forbidden(String),
    /// The ServiceAccount's annotation cannot be read.
    #[error("the annotation llmplane.dev/allowed-hosts of ServiceAccount {0}: {1}")]
    Annotation(String, String),
    /// The kube-apiserver gives no such token.
    #[error(
        "the kube-apiserver gives no such token (HTTP {0}); look at spec.federation.audience and expirationSeconds"
    )]
    Invalid(u16),
    /// The kube-apiserver does not answer, for now.
    #[error("the kube-apiserver could not be asked for a token: {0}")]
    Unreachable(String),
}

/// Asks for tokens of ServiceAccounts.
#[async_trait]
pub trait TokenMinter: Send + Sync {
    /// A fresh token of a ServiceAccount, that no one was given before.
    ///
    /// # Errors
    /// Why there is none.
    async fn mint(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        expiration_seconds: i64,
    ) -> Result<MintedToken, MintError>;
}
