//! Query parameters: each route knows its own, and refuses every other by name.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use crate::api::problem::{Problem, ProblemType};
use crate::crd::Kind;

/// Query parameters of one request, repeated ones counted each time. No route has use for as many.
const MAX_PARAMETERS: usize = 64;

/// A set of query parameters.
pub trait FromQuery: Sized {
    /// Names of its parameters, as they are documented.
    fn names() -> &'static [String];
    /// Reads them.
    ///
    /// # Errors
    ///
    /// 400 naming the parameter whose value is not valid.
    fn read(query: &Query<'_>) -> Result<Self, Problem>;
}

/// Names of the parameters that a type documents.
macro_rules! documented_names {
    ($type:ty) => {
        fn names() -> &'static [String] {
            static NAMES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
                <$type as utoipa::IntoParams>::into_params(|| None)
                    .into_iter()
                    .map(|parameter| parameter.name)
                    .collect()
            });
            &NAMES
        }
    };
}
pub(in crate::api) use documented_names;

/// The parameters of a request.
pub struct Query<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Query<'q> {
    /// Splits a query; `known` says which names the route has.
    ///
    /// # Errors
    ///
    /// 400 naming the first that it does not have, and for more than [`MAX_PARAMETERS`].
    pub fn parse(raw: Option<&'q str>, known: &[&[String]]) -> Result<Self, Problem> {
        // Counted before anything is made of them.
        let given = raw.map_or(0, |raw| raw.split('&').take(MAX_PARAMETERS + 1).count());
        if given > MAX_PARAMETERS {
            return Err(Problem::new(
                ProblemType::InvalidParameter,
                format!(
                    "the query has more than {MAX_PARAMETERS} parameters; give each once, and \
                     only `capability` and `kind` several times"
                ),
            ));
        }
        let pairs: Vec<_> = form_urlencoded::parse(raw.unwrap_or("").as_bytes()).collect();
        let has = |name: &str| known.iter().any(|set| set.iter().any(|one| one == name));
        match pairs.iter().find(|(name, _)| !has(name)) {
            None => Ok(Self(pairs)),
            Some((name, _)) => {
                let shown: String = name.chars().take(64).collect();
                let mut names: Vec<_> = known.iter().flat_map(|set| set.iter()).collect();
                names.sort();
                let names: Vec<_> = names.into_iter().map(String::as_str).collect();
                let names = match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(", "),
                };
                Err(Problem::new(
                    ProblemType::UnknownParameter,
                    format!("{shown:?} is no parameter of this route; it knows {names}"),
                ))
            }
        }
    }

    /// The values of a parameter that may come more than once.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(given, _)| given == name)
            .map(|(_, value)| value.as_ref())
    }

    /// The kinds that are asked for, in the order in which they depend on each other; all of them where none is.
    ///
    /// # Errors
    ///
    /// 400 with all words for what is none.
    pub fn kinds(&self, name: &str) -> Result<Vec<Kind>, Problem> {
        let kind = |word: &str| {
            let mut kinds = Kind::ALL.into_iter();
            let found = kinds.find(|kind| kind.kubernetes() == word);
            found.ok_or_else(|| one_of(name, &Kind::ALL.map(Kind::kubernetes)))
        };
        let asked: Vec<Kind> = self.all(name).map(kind).collect::<Result<_, _>>()?;
        let of = |kind: &Kind| asked.is_empty() || asked.contains(kind);
        Ok(Kind::ALL.into_iter().filter(of).collect())
    }

    /// The value of a parameter that may come once.
    ///
    /// # Errors
    ///
    /// 400 where it comes more often.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Problem::parameter(name, "it is given more than once")),
        }
    }

    /// A text that may come once. None of them holds a NUL character, which PostgreSQL cannot be
    /// asked about.
    ///
    /// # Errors
    ///
    /// As [`Query::one`], and 400 for such a text.
    pub fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.one(name)? {
            Some(text) if text.contains('\0') => {
                Err(Problem::parameter(name, "it holds a NUL character"))
            }
            text => Ok(text.map(str::to_owned)),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    ///
    /// 400 for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.one(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::parameter(name, "expected true or false")),
        }
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    ///
    /// 400 with the bounds for anything else.
    pub fn number<T>(&self, name: &str, bounds: RangeInclusive<T>) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        match text.parse::<T>() {
            Ok(number) if bounds.contains(&number) => Ok(Some(number)),
            _ => Err(Problem::parameter(
                name,
                format!(
                    "expected a whole number from {} to {}",
                    bounds.start(),
                    bounds.end()
                ),
            )),
        }
    }

    /// A value that is read from its text; `what` says what is expected.
    ///
    /// # Errors
    ///
    /// 400 for anything else.
    pub fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        let refused = |_| Problem::parameter(name, format!("expected {what}"));
        text.parse().map(Some).map_err(refused)
    }

    /// One of these words, read by `parse`.
    ///
    /// # Errors
    ///
    /// 400 with all words for anything else.
    pub fn word<T>(
        &self,
        name: &str,
        words: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        parse(text).map(Some).ok_or_else(|| one_of(name, words))
    }
}

/// The answer to a word that is none of these.
pub fn one_of(name: &str, words: &[&str]) -> Problem {
    Problem::parameter(name, format!("expected one of {}", words.join(", ")))
}

/// A handler's query parameters.
pub struct QueryParams<Q>(pub Q);

impl<S: Sync, A: FromQuery> FromRequestParts<S> for QueryParams<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::parse(parts.uri.query(), &[A::names()])?;
        A::read(&query).map(Self)
    }
}

/// As [`QueryParams`], for two sets.
pub struct QueryParamsOfTwo<A, B>(pub A, pub B);

impl<S: Sync, A: FromQuery, B: FromQuery> FromRequestParts<S> for QueryParamsOfTwo<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::parse(parts.uri.query(), &[A::names(), B::names()])?;
        Ok(Self(A::read(&query)?, B::read(&query)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        vec!["limit".to_owned(), "name".to_owned()]
    }

    fn detail<T>(result: Result<T, Problem>) -> String {
        result.err().expect("it is refused").detail
    }

    #[test]
    fn an_unknown_parameter_is_named_with_what_there_is() {
        let refused = detail(Query::parse(Some("limit=1&offset=2"), &[&known()]));
        assert_eq!(
            refused,
            r#""offset" is no parameter of this route; it knows limit, name"#
        );
    }

    #[test]
    fn more_parameters_than_any_request_needs_are_refused_before_they_are_read() {
        let known = vec!["capability".to_owned()];
        let of = |number: usize| vec!["capability=Chat"; number].join("&");
        assert!(Query::parse(Some(&of(MAX_PARAMETERS)), &[&known]).is_ok());
        for raw in [of(MAX_PARAMETERS + 1), of(4000), "&".repeat(60_000)] {
            let refused = Query::parse(Some(&raw), &[&known]).err().expect("too many");
            assert_eq!(refused.kind, ProblemType::InvalidParameter);
            assert!(
                refused.detail.contains("more than 64"),
                "{}",
                refused.detail
            );
        }
    }

    #[test]
    fn a_number_is_within_its_bounds_and_comes_once() {
        let known = known();
        let limit = |raw| {
            Query::parse(Some(raw), &[&known]).and_then(|query| query.number("limit", 1..=1000))
        };
        assert_eq!(limit("limit=1000"), Ok(Some(1000)));
        assert_eq!(limit(""), Ok(None));
        for raw in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=",
            "limit=1.5",
            "limit=x",
        ] {
            assert!(detail(limit(raw)).contains("from 1 to 1000"), "{raw}");
        }
        assert!(detail(limit("limit=1&limit=2")).contains("more than once"));
    }
}
