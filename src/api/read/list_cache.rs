//! Lists that were written out already. A list depends on the snapshot, on the namespaces it is
//! about and on what the request asks for, and on nothing else of its caller, whose right to list
//! is decided before: whoever asks the same of the same revision gets the same bytes.

use axum::http::Uri;
use uuid::fmt::Hyphenated;

use super::answer::Page;
use super::list_query::Index;
use super::revision_cache::{CacheSize, RevisionCache};
use crate::api::auth::Scope;

/// The lists of the newest revision: at most 16 MiB of them.
pub type ListCache = RevisionCache<Page, { 16 << 20 }>;

impl CacheSize for Page {
    fn size(&self) -> usize {
        Page::size(self)
    }
}

/// What is asked for: by whom does not matter. Which provider a URI names may depend on who asks,
/// so that it is named by its UID.
pub(in crate::api) fn key(scope: &Scope, index: &Index, uri: &Uri) -> String {
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    let namespace = scope.namespace().unwrap_or("*");
    let mut buffer = [0; Hyphenated::LENGTH];
    let provider: &str = match index {
        Index::OfProvider(provider) => provider.hyphenated().encode_lower(&mut buffer),
        Index::All | Index::WithCapability(_) => "",
    };
    let mut key = String::with_capacity(namespace.len() + provider.len() + asked.len() + 2);
    // Neither a namespace nor a UID nor a URI holds a space.
    for part in [namespace, " ", provider, " ", asked] {
        key.push_str(part);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    use crate::db::Revision;
    use crate::snapshot::{Entry, ProviderView};

    fn page(cursor: &str) -> Page {
        let none: [&Entry<ProviderView>; 0] = [];
        Page::new(none.into_iter(), Some(cursor), Revision(1))
    }

    fn asked(namespace: &str, uri: &'static str) -> String {
        let scope = Scope::One(namespace.into());
        key(&scope, &Index::All, &Uri::from_static(uri))
    }

    #[test]
    fn a_list_is_found_by_namespace_and_question_at_its_revision_alone() {
        let pages = ListCache::default();
        let key = asked("a", "/models?limit=1");
        pages.put(Revision(2), key.clone(), &page("x"));
        assert!(pages.get(Revision(2), &key).is_some());
        assert!(pages.get(Revision(1), &key).is_none());
        assert!(pages.get(Revision(3), &key).is_none());
        for other in [asked("b", "/models?limit=1"), asked("a", "/models?limit=2")] {
            assert!(pages.get(Revision(2), &other).is_none());
        }
        pages.put(Revision(1), asked("a", "/late"), &page("x"));
        assert!(
            pages.get(Revision(2), &key).is_some(),
            "a late one is not kept"
        );
        pages.put(Revision(3), asked("a", "/models"), &page("x"));
        assert!(pages.get(Revision(2), &key).is_none());
    }

    #[test]
    fn the_same_words_about_another_provider_are_another_list() {
        let scope = Scope::One("a".into());
        let uri = Uri::from_static("/providers/6a2f41a3-c54c-4b1e-8d3f-0a1b2c3d4e5f/endpoints");
        let of = |provider| key(&scope, &Index::OfProvider(Uuid::from_u128(provider)), &uri);
        assert_ne!(of(1), of(2));
        assert_eq!(of(1), of(1));
    }
}
