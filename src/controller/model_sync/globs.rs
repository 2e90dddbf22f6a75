//! Which ids a provider's `modelSync` takes. Pure.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::crd::provider::ModelSync;

/// `include` and `exclude`, compiled. `*` stands for any characters, `/` among them: ids are no
/// paths.
#[derive(Clone, Debug)]
pub struct Globs {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

/// A glob that cannot be read, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.modelSync.{field}: {glob:?} is no glob: {why}")]
pub struct BadGlob {
    field: &'static str,
    glob: String,
    why: String,
}

impl Globs {
    /// Compiles them.
    ///
    /// # Errors
    /// The first that cannot be read. The schema refuses most of those; a range such as `[z-a]` it
    /// cannot see.
    pub fn of(sync: &ModelSync) -> Result<Self, BadGlob> {
        let include = match sync.include.as_slice() {
            [] => None,
            some => Some(compile("include", some)?),
        };
        Ok(Self {
            include,
            exclude: compile("exclude", &sync.exclude)?,
        })
    }

    /// Whether an id is taken.
    pub fn take(&self, id: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(id)) && !self.exclude.is_match(id)
    }
}

fn compile(field: &'static str, globs: &[String]) -> Result<GlobSet, BadGlob> {
    let bad = |glob: &str, error: &globset::Error| BadGlob {
        field,
        glob: glob.to_owned(),
        why: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(glob).map_err(|error| bad(glob, &error))?);
    }
    set.build().map_err(|error| bad("", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(include: &[&str], exclude: &[&str]) -> Result<Globs, BadGlob> {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        Globs::of(&ModelSync {
            include: owned(include),
            exclude: owned(exclude),
            ..ModelSync::default()
        })
    }

    #[test]
    fn nothing_named_takes_all_and_exclude_comes_last() {
        assert!(globs(&[], &[]).unwrap().take("meta-llama/Llama-3.1-8B"));
        let some = globs(&["gpt-4*", "*/Llama-*"], &["*-preview"]).unwrap();
        assert!(some.take("gpt-4o"));
        assert!(some.take("a/b/Llama-3.1-8B"));
        assert!(!some.take("gpt-4o-preview"));
        assert!(!some.take("GPT-4o"), "ids tell upper and lower case apart");
        assert!(!some.take("o3"));
    }

    #[test]
    fn a_glob_that_cannot_be_read_is_named_with_its_field() {
        let error = globs(&["ok"], &["[z-a]"]).unwrap_err().to_string();
        assert!(
            error.starts_with("spec.modelSync.exclude: \"[z-a]\""),
            "{error}"
        );
    }
}
