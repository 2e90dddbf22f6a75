//! Who is asking.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;

/// SHA-256 of a token: what caches know it by.
pub type TokenHash = [u8; 32];

/// A caller whom the kube-apiserver vouched for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What its rights are cached by.
    pub token: TokenHash,
    /// Its name, for example `system:serviceaccount:team-a:agent`.
    pub username: String,
    /// Its UID.
    pub uid: Option<String>,
    /// Its groups.
    pub groups: Vec<String>,
    /// What else its authenticator said.
    pub extra: BTreeMap<String, Vec<String>>,
    /// When its token ends, in Unix seconds.
    pub expires_at: Option<i64>,
}

impl Caller {
    /// From what a TokenReview says.
    pub(super) fn new(token: TokenHash, user: UserInfo, expires_at: Option<i64>) -> Self {
        Self {
            token,
            username: user.username.unwrap_or_default(),
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
            expires_at,
        }
    }

    /// The namespace of a ServiceAccount; other users are in none.
    pub fn namespace(&self) -> Option<&str> {
        let rest = self.username.strip_prefix("system:serviceaccount:")?;
        rest.split_once(':').map(|(namespace, _)| namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_service_account_is_in_a_namespace() {
        let named = |username: &str| {
            let user = UserInfo {
                username: Some(username.to_owned()),
                ..UserInfo::default()
            };
            Caller::new([0; 32], user, None)
                .namespace()
                .map(str::to_owned)
        };
        assert_eq!(
            named("system:serviceaccount:team-a:agent").as_deref(),
            Some("team-a")
        );
        assert_eq!(named("alice"), None);
        assert_eq!(named("system:serviceaccount"), None);
    }
}
