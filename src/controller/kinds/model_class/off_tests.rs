use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    checks::Owner,
    controller::kinds::model_class::meaning::meaning,
    crd::{Kind, LlmModelClass, ProviderType},
    resolve::fixtures_tests::{at, credential, endpoint, model, provider, snapshot, uid},
    snapshot::{CredentialView, Views},
};

/// With this `Ready`.
fn saying(common: Common, status: &str, reason: Reason) -> Common {
    let ready = ConditionView {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: String::new(),
        last_transition_time: at(0),
        observed_generation: Some(1),
    };
    Common {
        is_active: !matches!(reason, Reason::Disabled | Reason::ProviderDisabled),
        conditions: vec![ready],
        ..common
    }
}

/// What is declared around the model `m` of a vendor that wants a key.
struct Scene(Views);

impl Scene {
    /// One endpoint and one credential, all in force.
    fn new() -> Self {
        let provider = provider(1, "team", ProviderType::OpenAI);
        let mut scene = Self(Views {
            endpoints: vec![endpoint(10, &provider, "main")],
            credentials: vec![credential(20, &provider, "key")],
            models: vec![model(30, &provider, "m")],
            providers: vec![provider],
            model_classes: Vec::new(),
        });
        scene.model("True", Reason::NoEndpoint);
        scene
    }

    fn model(&mut self, status: &str, reason: Reason) {
        let model = &mut self.0.models[0];
        model.common = saying(model.common.clone(), status, reason);
    }

    /// One more endpoint, in this region, that says this.
    fn endpoint(&mut self, number: u128, region: &str, says: Reason) {
        let another = endpoint(number, &self.0.providers[0], &format!("e{number}"));
        let common = saying(another.common.clone(), "True", says);
        self.0.endpoints.push(EndpointView {
            common,
            region: Some(region.to_owned()),
            ..another
        });
    }

    /// One more credential, for these endpoints, that says this.
    fn credential(&mut self, number: u128, endpoints: &[u128], says: Reason) {
        let another = credential(number, &self.0.providers[0], &format!("c{number}"));
        let common = saying(another.common.clone(), "True", says);
        self.0.credentials.push(CredentialView {
            common,
            endpoint_ids: endpoints.iter().map(|number| uid(*number)).collect(),
            ..another
        });
    }

    /// What is said of a class of it, and whether it lacks only what is off.
    fn says(self, spec: Value) -> (Reason, bool) {
        let object = json!({
            "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModelClass",
            "metadata": { "name": "smart", "namespace": "team" }, "spec": spec,
        });
        let object: LlmModelClass = serde_json::from_value(object).expect("a class");
        let input = ClassInputs {
            object: Arc::new(object),
            owner: Owner {
                kind: Kind::ModelClass,
                uid: uid(40),
                namespace: "team".to_owned(),
                name: "smart".to_owned(),
            },
            row: None,
            snapshot: Arc::new(snapshot(self.0)),
            models: vec!["m".to_owned()],
            classes: ["smart".to_owned()].into(),
            is_early: false,
        };
        let meant = meaning(&input, at(100));
        (meant.available.reason, meant.lacks_what_is_off)
    }
}

fn named() -> Value {
    json!({ "models": [{ "name": "m" }] })
}

fn in_region(region: &str) -> Value {
    json!({ "need": { "regions": [region] } })
}

const OFF: (Reason, bool) = (Reason::CandidatesUnavailable, true);
const FAILED: (Reason, bool) = (Reason::CandidatesUnavailable, false);

#[test]
fn a_class_lacks_only_what_is_off_where_each_endpoint_of_its_model_is() {
    for (off, is_off) in [
        (vec![Reason::Disabled], true),
        (vec![Reason::Disabled, Reason::ProviderDisabled], true),
        (vec![], false),
    ] {
        let mut scene = Scene::new();
        scene.0.endpoints.clear();
        for (number, reason) in (50..).zip(&off) {
            scene.endpoint(number, "eu", *reason);
        }
        let expected = (Reason::CandidatesUnavailable, is_off);
        assert_eq!(scene.says(named()), expected, "{off:?}");
    }
    // Another endpoint is refused, and so has no row: the model waits for it.
    let mut scene = Scene::new();
    scene.0.endpoints.clear();
    scene.endpoint(50, "eu", Reason::Disabled);
    scene.model("Unknown", Reason::NoEndpoint);
    assert_eq!(scene.says(named()), FAILED);
}

#[test]
fn a_class_lacks_only_what_is_off_where_each_endpoint_in_its_regions_is() {
    let mut scene = Scene::new();
    scene.endpoint(50, "eu", Reason::Disabled);
    assert_eq!(scene.says(in_region("EU")), OFF);
    let mut scene = Scene::new();
    scene.endpoint(50, "eu", Reason::Disabled);
    assert_eq!(scene.says(in_region("us")), FAILED);
}

#[test]
fn a_class_lacks_only_what_is_off_where_each_credential_that_would_fit_is() {
    let with = |credentials: &[(&[u128], Reason)]| {
        let mut scene = Scene::new();
        scene.model("True", Reason::NoValidCredential);
        scene.0.credentials.clear();
        for (number, (endpoints, says)) in (60..).zip(credentials) {
            scene.credential(number, endpoints, *says);
        }
        // Only the endpoint `main` is the model's.
        scene.0.models[0].endpoint_ids = vec![uid(10)];
        scene.endpoint(50, "eu", Reason::ProbeSucceeded);
        scene.says(named())
    };
    assert_eq!(with(&[]), FAILED);
    assert_eq!(with(&[(&[], Reason::Disabled)]), OFF);
    assert_eq!(with(&[(&[10], Reason::Disabled)]), OFF);
    // The other is for another endpoint, whatever it says.
    let elsewhere: &[u128] = &[50];
    let of_another = (elsewhere, Reason::KeyAccepted);
    assert_eq!(with(&[(&[10], Reason::Disabled), of_another]), OFF);
    assert_eq!(with(&[of_another]), FAILED);
    assert_eq!(with(&[(elsewhere, Reason::Disabled)]), FAILED);
}

#[test]
fn a_model_that_is_off_hides_no_other_that_waits_for_something_else() {
    let with = |waits: bool| {
        let mut scene = Scene::new();
        let second = model(31, &scene.0.providers[0], "n");
        scene.0.models.push(second);
        scene.model("True", Reason::Disabled);
        if waits {
            scene.0.endpoints.clear();
        } else {
            scene.0.models.truncate(1);
        }
        scene.says(json!({ "need": { "exclude": ["x"] } }))
    };
    assert_eq!(with(false), OFF);
    assert_eq!(with(true), FAILED);
}
