//! For the tests of what a proof depends on: a table of every field of a spec.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

/// What changes with each field of a spec.
pub struct Table<'a> {
    base: Value,
    inputs: Box<dyn Fn(Value) -> String + 'a>,
    fields: BTreeSet<String>,
    seen: RefCell<BTreeSet<String>>,
}

impl<'a> Table<'a> {
    /// Of a kind `K` with the spec `S`: `inputs` puts what the proof depends on into words.
    pub fn of<K: CustomResourceExt, S: DeserializeOwned>(
        base: Value,
        inputs: impl Fn(&S) -> String + 'a,
    ) -> Self {
        let crd = serde_json::to_value(K::crd()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let spec = schema["properties"]["spec"]["properties"].as_object();
        Self {
            base,
            inputs: Box::new(move |spec| inputs(&serde_json::from_value(spec).unwrap())),
            fields: spec.unwrap().keys().cloned().collect(),
            seen: RefCell::default(),
        }
    }

    /// Each of these makes a difference.
    pub fn depends_on(&self, fields: &[(&str, Value)]) {
        for (field, value) in fields {
            assert!(self.differs(field, value), "{field} makes no difference");
        }
    }

    /// None of these makes a difference.
    pub fn ignores(&self, fields: &[(&str, Value)]) {
        for (field, value) in fields {
            assert!(!self.differs(field, value), "{field} makes a difference");
        }
    }

    /// Every field of the schema was looked at.
    pub fn is_complete(&self) {
        assert_eq!(*self.seen.borrow(), self.fields);
    }

    fn differs(&self, field: &str, value: &Value) -> bool {
        self.seen.borrow_mut().insert(field.to_owned());
        let mut changed = self.base.clone();
        assert_ne!(changed[field], *value, "{field} is not changed");
        changed[field] = value.clone();
        (self.inputs)(changed) != (self.inputs)(self.base.clone())
    }
}

/// The UID of a name.
pub fn uid(name: &str) -> Uuid {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Uuid::from_u64_pair(hasher.finish(), 0)
}
