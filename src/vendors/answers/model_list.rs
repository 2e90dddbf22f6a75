//! A list of models in the making, page by page, within bounds: it is kept in memory and stored.

use std::collections::HashSet;

use super::document::{MAX_LIST_ENTRIES, Unreadable};
use crate::vendors::{ListedModel, ModelList};

/// Longest id and longest name of a model that are taken, in characters.
const MAX_ID_CHARS: usize = 256;
/// Bytes of ids and names in one list: a hundred for each of the most entries.
pub const MAX_LIST_TEXT_BYTES: usize = 1024 * 1024;

/// Puts the pages of a list together.
#[derive(Default)]
pub(in crate::vendors) struct ModelListBuilder {
    list: ModelList,
    seen: HashSet<String>,
    entries: usize,
    text: usize,
}

impl ModelListBuilder {
    /// Adds a page: each id once, and each capability of it once; what cannot be an id is counted.
    ///
    /// # Errors
    /// When the list is larger than any that is kept.
    pub fn add(&mut self, page: Vec<ListedModel>) -> Result<(), Unreadable> {
        self.entries += page.len();
        if self.entries > MAX_LIST_ENTRIES {
            return Err(Unreadable::TooManyEntries);
        }
        for mut model in page {
            if !is_id(&model.id) {
                self.list.skipped += 1;
                continue;
            }
            if !self.seen.insert(model.id.clone()) {
                continue;
            }
            let fits = |name: &String| name.chars().count() <= MAX_ID_CHARS;
            model.display_name = model.display_name.filter(fits);
            let is_other = |id: &String| is_id(id) && id.trim() == id;
            model.base_model = model.base_model.filter(is_other);
            model.replacement = model.replacement.filter(is_other);
            if let Some(capabilities) = &mut model.capabilities {
                let mut named = HashSet::new();
                capabilities.retain(|capability| named.insert(capability.name));
            }
            let told = [&model.display_name, &model.base_model, &model.replacement];
            let told = told.into_iter().flatten().map(String::len);
            self.text += model.id.len() + told.sum::<usize>();
            if self.text > MAX_LIST_TEXT_BYTES {
                return Err(Unreadable::TooMuchText);
            }
            self.list.models.push(model);
        }
        Ok(())
    }

    /// The whole list.
    pub fn finish(self) -> ModelList {
        self.list
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= MAX_ID_CHARS && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: impl IntoIterator<Item = String>) -> Vec<ListedModel> {
        let model = |id| ListedModel {
            id,
            ..ListedModel::default()
        };
        ids.into_iter().map(model).collect()
    }

    #[test]
    fn the_entries_of_all_pages_count_together() {
        let mut list = ModelListBuilder::default();
        for number in 0..MAX_LIST_ENTRIES / 1000 {
            let ids = (0..1000).map(|n| format!("m-{number}-{n}"));
            assert_eq!(list.add(page(ids)), Ok(()));
        }
        // One that is there already, or is none, is an entry all the same.
        let one_more = page(["m-0-0".to_owned()]);
        assert_eq!(list.add(one_more), Err(Unreadable::TooManyEntries));
    }

    #[test]
    fn long_ids_and_names_make_a_list_too_large() {
        let mut list = ModelListBuilder::default();
        let mut models = page((0..5000).map(|n| format!("{n:0>200}")));
        assert_eq!(list.add(models.clone()), Ok(()));
        for model in &mut models {
            model.id.push('x');
            model.display_name = Some("n".repeat(100));
        }
        assert_eq!(list.add(models), Err(Unreadable::TooMuchText));
    }

    #[test]
    fn a_name_that_nobody_can_read_is_left_out() {
        let mut list = ModelListBuilder::default();
        let mut models = page(["m".to_owned()]);
        models[0].display_name = Some("n".repeat(257));
        assert_eq!(list.add(models), Ok(()));
        assert_eq!(list.finish().models[0].display_name, None);
    }

    #[test]
    fn a_capability_that_is_told_twice_is_one() {
        use crate::crd::model::{Capability, ModelCapability};
        let told = |names: &[Capability]| {
            let each = names.iter().map(|name| ModelCapability {
                name: *name,
                score: None,
            });
            Some(each.collect::<Vec<_>>())
        };
        let model = ListedModel {
            id: "m".to_owned(),
            capabilities: told(&[
                Capability::Reasoning,
                Capability::Chat,
                Capability::Reasoning,
            ]),
            ..ListedModel::default()
        };
        let mut list = ModelListBuilder::default();
        assert_eq!(list.add(vec![model]), Ok(()));
        let once = told(&[Capability::Reasoning, Capability::Chat]);
        assert_eq!(list.finish().models[0].capabilities, once);
    }
}
