//! Objects as the kube-apiserver sends them, decoded each by itself: one that does not decode takes
//! nothing else with it.
//!
//! kube's own guard does that for an object of another shape, not for one that is nested deeply:
//! serde_json gives up the whole list or event 128 levels down, and the kube-apiserver takes 10,000.
//! Here what lies too deep is left out, which no reader misses: fields of the schema do not go that
//! far, and free-form ones are refused long before.

use std::{borrow::Cow, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::error_boundary::InvalidObject};
use serde::{
    Deserialize,
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
    },
};
use serde_json::{Map, Value};

/// Levels of an object that are read.
const MAX_NESTING: usize = 64;

/// An object, or what there is to know of one that does not decode.
#[derive(Clone, Debug)]
pub struct Decoded<K>(pub Result<K, InvalidObject>);

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Decoded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Levels(MAX_NESTING).deserialize(deserializer)?;
        let error = match K::deserialize(&value) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => error.to_string(),
        };
        let metadata = value["metadata"].take();
        let metadata = serde_json::from_value(metadata).map_err(D::Error::custom)?;
        Ok(Self(Err(InvalidObject { error, metadata })))
    }
}

impl<K: Resource> Resource for Decoded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }
    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }
    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }
    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }
    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|e| &e.metadata, K::meta)
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0
            .as_mut()
            .map_or_else(|e| &mut e.metadata, K::meta_mut)
    }
}

/// Reads a value this many levels of objects and lists deep; what lies deeper is null.
struct Levels(usize);

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.0 {
            // What is ignored is passed over without recursion.
            0 => deserializer
                .deserialize_ignored_any(IgnoredAny)
                .map(|_| Value::Null),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> serde::de::Visitor<'de> for Levels {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Levels(self.0 - 1))? {
            list.push(item);
        }
        Ok(list.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = fields.next_key()? {
            map.insert(key, fields.next_value_seed(Levels(self.0 - 1))?);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use kube::{ResourceExt, core::ObjectList};

    use super::*;
    use crate::crd::LlmModel;

    #[test]
    fn a_list_holds_what_decodes_what_does_not_and_what_is_nested_without_end() {
        let deep = format!("{}1{}", r#"{"a":["#.repeat(5000), "]}".repeat(5000));
        let object = |name: &str, managed: &str, spec: &str| {
            format!(
                r#"{{"apiVersion":"llmplane.dev/v1alpha1","kind":"LlmModel","metadata":{{"name":"{name}","managedFields":[{{"fieldsV1":{managed}}}]}},"spec":{{"providerRef":{{"name":"p"}},{spec}}}}}"#
            )
        };
        let list = format!(
            r#"{{"apiVersion":"llmplane.dev/v1alpha1","kind":"LlmModelList","metadata":{{"resourceVersion":"7"}},"items":[{},{},{}]}}"#,
            object("good", "{}", r#""modelId":"m","contextWindow":9"#),
            object("bad", &deep, r#""modelId":7"#),
            object(
                "deep",
                &deep,
                &format!(r#""modelId":"d","defaultParameters":{deep}"#)
            ),
        );
        let list: ObjectList<Decoded<LlmModel>> = serde_json::from_str(&list).unwrap();
        let names: Vec<_> = list.items.iter().map(|o| o.name_any()).collect();
        assert_eq!(names, ["good", "bad", "deep"]);
        let decoded: Vec<_> = (list.items.iter())
            .map(|object| object.0.as_ref().ok().map(|m| m.spec.model_id.as_str()))
            .collect();
        assert_eq!(decoded, [Some("m"), None, Some("d")]);
        assert_eq!(
            list.items[0].0.as_ref().unwrap().spec.context_window,
            Some(9)
        );
    }
}
