//! Values that contradict each other: the rules of `charts/llmplane/templates/_contradictions.tpl`, in its order and
//! words. A test puts the same values to both.

use std::collections::BTreeMap;

use super::values::{Values, plain};

/// Roles of the database, as the chart names them.
pub(super) const ROLES: [&str; 3] = ["controller", "api", "owner"];

/// Settings that values of their own decide, and which.
pub(super) const OWN: [(&str, &str); 8] = [
    ("LLMPLANE_NAMESPACES", "namespaces"),
    ("LLMPLANE_SHARED_NAMESPACES", "sharedNamespaces"),
    ("LLMPLANE_LOG_FORMAT", "log.format"),
    ("RUST_LOG", "log.level"),
    ("LLMPLANE_TLS_CERT", "api.tls"),
    ("LLMPLANE_TLS_KEY", "api.tls"),
    ("LLMPLANE_KEYRING_DIR", "keyring and disclosure"),
    ("LLMPLANE_LEASE_NAMESPACE", "the release's namespace"),
];

/// Settings whose ports probes, Services and policies name.
pub(super) const FIXED: [&str; 2] = ["LLMPLANE_LISTEN", "LLMPLANE_ADMIN_LISTEN"];

/// How settings end that hold a secret.
const SECRET_ENDINGS: [&str; 6] = [
    "_HEADERS",
    "_PASSWORD",
    "_TOKEN",
    "_SECRET",
    "_API_KEY",
    "_ACCESS_KEY",
];

/// One sentence a contradiction, which says what to do and repeats no password.
pub(super) fn find(values: &Values) -> Vec<String> {
    let mut found = Vec::new();
    database(values, &mut found);
    tls(values, &mut found);
    secrets(values, &mut found);
    namespaces(values, &mut found);
    settings(values, &mut found);
    replicas(values, &mut found);
    found
}

fn database(values: &Values, found: &mut Vec<String>) {
    let mut users = BTreeMap::new();
    for role in ROLES {
        let url = values.text(&["database", role, "url"]);
        if url.is_empty() {
            continue;
        }
        if !values
            .text(&["database", role, "existingSecret"])
            .is_empty()
        {
            found.push(format!(
                "database.{role} has both url and existingSecret: give one of them, for the role has one URL"
            ));
        }
        let Some(rest) = after_scheme(url) else {
            found.push(format!(
                "database.{role}.url is no PostgreSQL URL: write \
                 postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full"
            ));
            continue;
        };
        let user = user(rest);
        if user.is_empty() {
            continue;
        }
        if let Some(other) = users.insert(user, role) {
            found.push(format!(
                "database.{other}.url and database.{role}.url have the same user: give each the URL of its own \
                 role, for the read API may do less than the controller, and both less than the owner"
            ));
        }
    }
}

fn tls(values: &Values, found: &mut Vec<String>) {
    let made = values.is_on(&["api", "tls", "certManager", "enabled"]);
    let issuer = values.text(&["api", "tls", "certManager", "issuerRef", "name"]);
    let names = values.list(&["api", "tls", "certManager", "dnsNames"]);
    let asked_for = !issuer.is_empty() || !names.is_empty();
    if made && !values.text(&["api", "tls", "existingSecret"]).is_empty() {
        found.push(
            "api.tls.existingSecret and api.tls.certManager.enabled exclude each other: give a Secret, or have \
             cert-manager make llmplane-api-tls"
                .to_owned(),
        );
    }
    if made && issuer.is_empty() {
        found.push(
            "api.tls.certManager.enabled needs api.tls.certManager.issuerRef.name: the Issuer that signs the \
             certificate"
                .to_owned(),
        );
    }
    if asked_for && !made {
        found.push(
            "api.tls.certManager has an issuer or names and is not enabled: set api.tls.certManager.enabled=true, \
             or take them out"
                .to_owned(),
        );
    }
}

/// Each Secret goes to others: to the controller, the read API, both, or a Job.
fn secrets(values: &Values, found: &mut Vec<String>) {
    let keyring = values.text(&["keyring", "existingSecret"]);
    let audit = values.text(&["keyring", "auditKeySecret"]);
    if keyring == audit {
        return found.push(
            "keyring.existingSecret and keyring.auditKeySecret are the same Secret: audit.key needs one of its own, \
             which the read API never gets"
                .to_owned(),
        );
    }
    let mut named = vec![
        ("keyring.existingSecret".to_owned(), keyring.to_owned()),
        ("keyring.auditKeySecret".to_owned(), audit.to_owned()),
        ("api.tls".to_owned(), values.tls_secret().to_owned()),
        (
            "settingsFromSecret".to_owned(),
            values.text(&["settingsFromSecret"]).to_owned(),
        ),
    ];
    named.extend(ROLES.map(|role| (format!("database.{role}"), values.database_secret(role))));
    let mut fields = BTreeMap::new();
    for (field, name) in named.into_iter().filter(|(_, name)| !name.is_empty()) {
        if let Some(other) = fields.insert(name, field.clone()) {
            found.push(format!(
                "{other} and {field} are the same Secret: give each one of its own, for whoever gets one of them \
                 would get the other too"
            ));
        }
    }
}

fn namespaces(values: &Values, found: &mut Vec<String>) {
    let watched = values.list(&["namespaces"]);
    if watched.contains(&"*") {
        if watched.len() > 1 {
            found.push(
                "namespaces has \"*\" beside other names: \"*\" alone is every namespace, names alone are those"
                    .to_owned(),
            );
        }
        return;
    }
    let unwatched = |name: &&str| !watched.contains(name);
    let shared = values.list(&["sharedNamespaces"]).into_iter();
    found.extend(shared.filter(unwatched).map(|name| {
        format!(
            "sharedNamespaces has {name}, in which nothing is reconciled: add it to namespaces too, by which the \
             controller may read its Secrets"
        )
    }));
    let federation = values.entries(&["federation"]).map(|(name, _)| name);
    found.extend(federation.filter(unwatched).map(|name| {
        format!(
            "federation has {name}, in which nothing is reconciled: add it to namespaces too, or take it out"
        )
    }));
}

fn settings(values: &Values, found: &mut Vec<String>) {
    for (name, value) in values.entries(&["settings"]) {
        if let Some((_, decides)) = OWN.iter().find(|(own, _)| *own == name) {
            found.push(format!(
                "settings.{name} is not set here: {decides} decides it"
            ));
        }
        if name.ends_with("DATABASE_URL") {
            found.push(format!(
                "settings.{name} would put a password into a ConfigMap: use database.controller and database.api"
            ));
        }
        if SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push(format!(
                "settings.{name} would put a secret into a ConfigMap: put it into a Secret, and name that in \
                 settingsFromSecret"
            ));
        }
        if has_user(&plain(value)) {
            found.push(format!(
                "settings.{name} has a URL with a user or a password, which would be in a ConfigMap: put it into a \
                 Secret, and name that in settingsFromSecret"
            ));
        }
        if FIXED.contains(&name) {
            found.push(format!(
                "settings.{name} would move a port that probes, Services and policies name: leave it out"
            ));
        }
    }
}

fn replicas(values: &Values, found: &mut Vec<String>) {
    let election = values.plain(&["settings", "LLMPLANE_LEADER_ELECTION"]);
    let controllers = values.plain(&["controller", "replicas"]);
    if controllers != "1" && election == "false" {
        found.push(
            "controller.replicas is above 1 with settings.LLMPLANE_LEADER_ELECTION=false: the replicas would take \
             the lead from each other; set controller.replicas=1, or leave leader election on"
                .to_owned(),
        );
    }
    let budget = values.is_on(&["podDisruptionBudget", "enabled"]);
    if !budget && values.plain(&["podDisruptionBudget", "maxUnavailable"]) != "1" {
        found.push(
            "podDisruptionBudget.maxUnavailable is set and podDisruptionBudget.enabled is false: enable it, or take \
             the number out"
                .to_owned(),
        );
    }
}

/// What of a PostgreSQL URL follows its scheme; none where it is another's, or nothing follows.
fn after_scheme(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("postgres");
    let rest = rest.map(|rest| rest.strip_prefix("ql").unwrap_or(rest));
    let rest = rest.and_then(|rest| rest.strip_prefix("://"));
    rest.filter(|rest| !rest.is_empty())
}

/// User of a PostgreSQL URL, empty where it names none; as PostgreSQL's clients do, a parameter comes before the rest.
fn user(after_scheme: &str) -> &str {
    let parameter = ["?user=", "&user="].map(|name| after_scheme.rfind(name).map(|at| at + 6));
    if let Some(at) = parameter.into_iter().flatten().max() {
        let value = &after_scheme[at..];
        return &value[..value.find(['&', '#']).unwrap_or(value.len())];
    }
    match authority(after_scheme).rsplit_once('@') {
        Some((user, _)) => user.split([':', '@']).next().unwrap_or_default(),
        None => "",
    }
}

/// Whether a URL in it names a user.
fn has_user(text: &str) -> bool {
    let urls = text.match_indices("://");
    urls.map(|(at, found)| authority(&text[at + found.len()..]))
        .any(|authority| authority.contains('@'))
}

fn authority(after_scheme: &str) -> &str {
    let end = after_scheme.find(['/', '?', '#']);
    &after_scheme[..end.unwrap_or(after_scheme.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_a_url_is_the_one_that_counts() {
        for (url, user_of_it) in [
            ("postgres://a:p@db/x", "a"),
            ("postgresql://a@db/x?sslmode=require", "a"),
            ("postgres://db/x?user=b&sslmode=require", "b"),
            ("postgres://a:p@db/x?sslmode=require&user=b", "b"),
            ("postgres://a:p@q@db/x", "a"),
            ("postgres://db:5432/x", ""),
        ] {
            assert_eq!(after_scheme(url).map(user), Some(user_of_it), "{url}");
        }
        for none in ["mysql://a@db", "postgres://", "postgres:/a@db"] {
            assert_eq!(after_scheme(none), None);
        }
    }

    #[test]
    fn a_url_with_a_user_is_told_from_one_without() {
        for with in ["http://u:p@h:1", "a,https://u@h/x", "tcp://h/x http://u@h"] {
            assert!(has_user(with), "{with}");
        }
        for without in ["http://h:1/a@b", "http://h?q=a@b", "a@b", "10.0.0.0/8"] {
            assert!(!has_user(without), "{without}");
        }
    }
}
