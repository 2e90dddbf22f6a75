//! The database's URL. What is wrong with one is said in our words, for the libraries' may quote it,
//! and it holds a password.

use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::{ParseError, Url};

use super::DbError;

/// The parameters that are heeded, other than `options[...]`.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// What other clients of PostgreSQL heed, and managed services write into the URLs that they give
/// out: passed over.
const PASSED_OVER: [&str; 14] = [
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "pgbouncer",
    "sslcompression",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// The values of `sslmode`.
const MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// What is wrong with a URL. None repeats anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlFault {
    #[error("it must start with postgres:// or postgresql://, without quotes or spaces before it")]
    Scheme,
    #[error(
        "it names several hosts, and one is connected to: name the host that follows the primary, such as the database's Service"
    )]
    SeveralHosts,
    #[error(
        "the user or password has a '#', '/' or '?' in it, where the URL's next part begins: write %23 for '#', %2F for '/' and %3F for '?'"
    )]
    UnescapedPassword,
    #[error(
        "the user or password has a '%' that begins no character: write %25 for a '%' of its own"
    )]
    Percent,
    #[error("it has a '#', which no database URL has: write %23 if it belongs to the password")]
    Fragment,
    #[error("it names no host after the '@'")]
    NoHost,
    #[error("the host is no name and no address")]
    Host,
    #[error("the port is no number from 1 to 65535")]
    Port,
    #[error("sslmode is none of disable, allow, prefer, require, verify-ca and verify-full{0}")]
    SslMode(Near),
    #[error(
        "it has a parameter after the '?' that is not known: sslmode and sslrootcert are the usual ones"
    )]
    Parameter,
    #[error("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=...")]
    Other,
}

/// The mode that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Near(Option<&'static str>);

impl std::fmt::Display for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(mode) => write!(f, "; did you mean {mode}?"),
            None => Ok(()),
        }
    }
}

/// How to connect.
///
/// # Errors
/// What is wrong with the URL, without a word of it.
pub(super) fn connect_options(url: &str) -> Result<PgConnectOptions, DbError> {
    let url = checked(url).map_err(|fault| DbError::Url(fault.to_string()))?;
    let options = PgConnectOptions::from_str(url.as_str())
        .map_err(|_| DbError::Url(UrlFault::Other.to_string()))?;
    Ok(options.disable_statement_logging())
}

fn checked(text: &str) -> Result<Url, UrlFault> {
    let rest = ["postgres://", "postgresql://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or(UrlFault::Scheme)?;
    // Before it is parsed: such a URL may mean another host to the parser.
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = after.split(['?', '#']).next().unwrap_or_default();
    // A password's '@' is behind the sign that ended the authority; a database's name has none.
    let misplaced = match authority.contains('@') {
        true => path.contains('@'),
        false => after.contains('@'),
    };
    if misplaced {
        return Err(UrlFault::UnescapedPassword);
    }
    if after.contains('#') {
        return Err(UrlFault::Fragment);
    }
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (user, hosts),
        None => ("", authority),
    };
    if hosts.contains(',') {
        return Err(UrlFault::SeveralHosts);
    }
    if !is_text(user) {
        return Err(UrlFault::Percent);
    }
    let mut url = Url::parse(text).map_err(|error| match error {
        ParseError::InvalidPort => UrlFault::Port,
        ParseError::EmptyHost => UrlFault::NoHost,
        ParseError::IdnaError
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address
        | ParseError::InvalidDomainCharacter => UrlFault::Host,
        _ => UrlFault::Other,
    })?;
    if url.port() == Some(0) {
        return Err(UrlFault::Port);
    }
    let mut heeded = Vec::new();
    for (name, value) in url.query_pairs() {
        if PASSED_OVER.contains(&&*name) {
            tracing::debug!(parameter = %name, "a parameter of the database URL is passed over");
            continue;
        }
        check_parameter(&name, &value)?;
        heeded.push((name.into_owned(), value.into_owned()));
    }
    if url.query().is_some() {
        url.query_pairs_mut().clear().extend_pairs(heeded);
    }
    Ok(url)
}

fn check_parameter(name: &str, value: &str) -> Result<(), UrlFault> {
    match name {
        "sslmode" | "ssl-mode" => {
            let mode = value.to_ascii_lowercase();
            if MODES.contains(&mode.as_str()) {
                return Ok(());
            }
            let written = mode.replace(['_', ' '], "-");
            let near = crate::crd::names::nearest(&written, MODES);
            Err(UrlFault::SslMode(Near(near.first().copied())))
        }
        "host" | "hostaddr" if value.contains(',') => Err(UrlFault::SeveralHosts),
        "hostaddr" if value.parse::<std::net::IpAddr>().is_err() => Err(UrlFault::Host),
        "port" if value.contains(',') => Err(UrlFault::SeveralHosts),
        "port" if !value.parse::<u16>().is_ok_and(|port| port > 0) => Err(UrlFault::Port),
        _ if PARAMETERS.contains(&name) || name.starts_with("options[") => Ok(()),
        _ => Err(UrlFault::Parameter),
    }
}

/// Whether every `%` begins an encoded byte, and the bytes are text.
fn is_text(encoded: &str) -> bool {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte != b'%' {
            decoded.push(*byte);
            at += 1;
            continue;
        }
        let digits = bytes.get(at + 1..at + 3);
        let Some(byte) = digits.and_then(|digits| hex::decode(digits).ok()) else {
            return false;
        };
        decoded.extend(byte);
        at += 3;
    }
    String::from_utf8(decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_a_sentence_of_its_own_and_none_repeats_the_password() {
        for (url, says) in [
            ("mysql://u:hunter2@h/db", "must start with postgres://"),
            ("'postgres://u:hunter2@h/db'", "without quotes"),
            ("postgres://u:hunter2@h1:5432,h2:5432/db", "several hosts"),
            ("postgres://u:hunter2@h1,h2/db", "several hosts"),
            ("postgres://u:hunter2@h/db?host=h1,h2", "several hosts"),
            ("postgres://u:hunt#er2@h/db", "write %23"),
            ("postgres://u:12#hunter2@h/db", "write %23"),
            ("postgres://u:hunter2/x@h/db", "%2F for '/'"),
            ("postgres://u:12/hunter2@h/db", "%2F for '/'"),
            ("postgres://u:hunter2?x@h/db", "%3F for '?'"),
            ("postgres://u:hunter2@h/db#x", "'#'"),
            ("postgres://u:hunter2%@h/db", "write %25"),
            ("postgres://u:hunter2%zz@h/db", "write %25"),
            ("postgres://u:hunter2%ff@h/db", "write %25"),
            ("postgres://u:hunter2@:5432/db", "no host"),
            ("postgres://u:hunter2@h:port/db", "port"),
            ("postgres://u:hunter2@h:70000/db", "port"),
            ("postgres://u:hunter2@[::x]/db", "host"),
            (
                "postgres://u:hunter2@h/db?sslmode=hunter2",
                "sslmode is none of",
            ),
            (
                "postgres://u:hunter2@h/db?sslmode=verify_full",
                "did you mean verify-full?",
            ),
            (
                "postgres://u:hunter2@h/db?sslmode=verifyfull",
                "did you mean verify-full?",
            ),
            ("postgres://u:hunter2@h/db?sslmode=", "sslmode is none of"),
            ("postgres://u@h/db?passwrod=hunter2", "not known"),
            ("postgres://u@h/db?password=a&hunter2", "not known"),
        ] {
            let error = connect_options(url).expect_err(url);
            let said = format!("{error} {error:?}");
            assert!(said.contains(says), "{url}: {said}");
            assert!(
                !said.contains("hunter2") && !said.contains("hunt"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_escaped_or_passed_over_connects() {
        for (url, host, port, database) in [
            ("postgres://u:a%23%2F%3F%25@h:1/db", "h", 1, "db"),
            (
                "postgresql://u:p@ss@h/db?sslmode=Verify-Full",
                "h",
                5432,
                "db",
            ),
            (
                "postgres://h/db?sslmode=require&channel_binding=require",
                "h",
                5432,
                "db",
            ),
            ("postgres://u:p@[::1]:2/db?options[a]=b", "[::1]", 2, "db"),
            ("postgres://u:p@h/db?application_name=a@b", "h", 5432, "db"),
        ] {
            let options = connect_options(url).expect(url);
            assert_eq!(options.get_host(), host, "{url}");
            assert_eq!(options.get_port(), port, "{url}");
            assert_eq!(options.get_database(), Some(database), "{url}");
        }
    }
}
