//! `POST /resolve` with `with_secret`: the same choice among the credentials that the caller may use,
//! and a key that leaves once it was recorded.
//!
//! The snapshot says which credentials fit; the kube-apiserver, of those that would be answered, which
//! the caller may use; the database, of the one whose key is asked for, whether that may leave now.
//! What one of the later two refuses is as if it were not there, and the choice is made again.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Written;
use super::answer::{self, ResolveAnswer};
use super::places::Places;
use super::prepared::{self, Prepared, Template};
use super::request::ReadRequest;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::disclosure::{SecretBody, problem_of};
use crate::api::problem::Problem;
use crate::db::AuditAction;
use crate::keys::disclose::{DisclosedKey, Discloser, KeyRequest, Refusal, WantedKey};
use crate::resolve::{Access, CredentialReason, Resolution, Target, Unresolved, resolve};
use crate::snapshot::{Common, CredentialView, Entry, Snapshot};

/// Choices that are made for one request, each among fewer credentials than the one before; the last
/// is among those alone of which it is known that the caller may use them.
const MAX_CHOICES: usize = 64;
/// Choices that the turn of a request serves for: each further one takes a turn of the caller's, for each
/// goes through everything that is declared.
const CHOICES_OF_A_TURN: usize = 8;

/// A request for a key, on its way.
pub struct KeySearch<'a> {
    pub state: &'a ApiState,
    pub caller: &'a Caller,
    pub places: &'a Places,
    pub snapshot: &'a Arc<Snapshot>,
    pub request: &'a ReadRequest,
    pub now: Timestamp,
}

/// What is known so far of the credentials that were looked at.
#[derive(Default)]
pub(super) struct Known {
    /// By credential, whether the caller may use it.
    pub(super) usable: HashMap<Uuid, bool>,
    /// Those whose keys must not leave now, whichever endpoint they are for, and why.
    pub(super) refused: HashMap<Uuid, CredentialReason>,
    /// Those that led to no key: the next choice is made without them.
    pub(super) tried: Vec<Uuid>,
    /// By endpoint, why a credential that would have fitted gave no key, or one that the caller may use serves nobody.
    pub(super) reasons: HashMap<Uuid, CredentialReason>,
    /// What to say where no other credential serves.
    pub(super) problem: Option<Problem>,
}

/// By target of a resolution, the place of a credential among its own, and the key that was given out.
type Given = HashMap<usize, (usize, DisclosedKey)>;

impl KeySearch<'_> {
    /// Chooses, and asks for the key, until one is given out or nothing is left to choose from.
    ///
    /// # Errors
    ///
    /// 429 and 503, where nothing may be given out now.
    pub async fn run(&self) -> Result<Written, Problem> {
        let discloser = self.turn(1)?;
        let mut known = Known::default();
        let prepared = self.prepared();
        let mut choices = 0;
        loop {
            choices += 1;
            if choices > CHOICES_OF_A_TURN {
                self.turn(1)?;
            }
            let is_last = choices == MAX_CHOICES;
            // The first choice is among all credentials, whoever asks.
            let prepared = prepared.as_deref().filter(|_| choices == 1);
            let found = match prepared {
                Some(prepared) => prepared.found.clone(),
                None => match self.choose(&known, is_last) {
                    Ok(found) => Arc::new(found),
                    Err(refused) => return self.no_answer(known, &refused),
                },
            };
            if self.look_up_rights(&found, &mut known).await? {
                continue;
            }
            let given = self.give(discloser, &found, prepared, &mut known).await?;
            let candidates = || found.targets.iter().flat_map(|target| &target.credentials);
            if given.is_empty() && !is_last && candidates().next().is_some() {
                let tried = candidates().map(|entry| entry.view.common.id);
                known.tried.extend(tried);
                continue;
            }
            if given.is_empty() {
                self.tell_forbidden(&known);
                self.tell_without_key(&found, &known);
                if let Some(problem) = known.problem {
                    return Err(problem);
                }
            }
            if given.is_empty() || self.request.all_targets {
                self.look_up_misfits(&found, &mut known).await;
            }
            let body = match prepared {
                Some(prepared) => self.write_prepared(prepared, given, &known),
                None => self.write(&found, given, &known, choices == 1),
            };
            return Ok(Written::once(None, body.map_err(unwritten)?.into_bytes()));
        }
    }

    fn turn(&self, keys: u32) -> Result<&Discloser, Problem> {
        let disclosure = &self.state.disclosure;
        disclosure.turn(self.caller, AuditAction::Disclose, keys)
    }

    fn choose(&self, known: &Known, is_last: bool) -> Result<Resolution, Unresolved> {
        let access = Access {
            tiers: &self.places.tiers,
            may_have: &|credential| known.may_have(credential, is_last),
            may_see_classes: &|namespace| self.places.show_classes(namespace),
            gave_no_key: &known.tried,
        };
        resolve(self.snapshot, &self.request.asked, access, self.now)
    }

    fn no_answer(&self, known: Known, refused: &Unresolved) -> Result<Written, Problem> {
        self.tell_forbidden(&known);
        self.tell_no_answer(refused, &known);
        if let Some(problem) = known.problem {
            return Err(problem);
        }
        let written = answer::no_answer(&self.request.asked.wanted, refused);
        let (problem, body) = written.map_err(unwritten)?;
        Ok(Written::once(Some(problem), body.into()))
    }

    /// What was chosen and written out for the same question already.
    fn prepared(&self) -> Option<Arc<Prepared>> {
        let key = self.cache_key()?;
        let prepared = self.state.prepared.get(self.snapshot.revision, &key)?;
        prepared.is_current(self.now).then_some(prepared)
    }

    fn cache_key(&self) -> Option<String> {
        let is_cached = !self.request.all_targets;
        is_cached
            .then(|| prepared::cache_key(self.places, &self.request.asked))
            .flatten()
    }

    /// Asks of the credentials that would be answered whether the caller may use them; answers whether
    /// one of them is not to be used.
    async fn look_up_rights(&self, found: &Resolution, known: &mut Known) -> Result<bool, Problem> {
        let mut asked: Vec<&Arc<Entry<CredentialView>>> = Vec::new();
        for entry in found.targets.iter().flat_map(|target| &target.credentials) {
            let id = entry.view.common.id;
            let is_known = known.usable.contains_key(&id);
            if !is_known && asked.iter().all(|other| other.view.common.id != id) {
                asked.push(entry);
            }
        }
        let rights = try_join_all(asked.iter().map(|entry| {
            let common = &entry.view.common;
            (self.state.auth).may_use(self.caller, &common.namespace, &common.name)
        }));
        let rights = rights.await?;
        let is_refused = rights.contains(&false);
        let ids = asked.iter().map(|entry| entry.view.common.id);
        known.usable.extend(ids.zip(rights));
        Ok(is_refused)
    }

    /// The key of the first credential that may leave; with `all_targets`, of each target the first.
    ///
    /// # Errors
    ///
    /// What no other credential would mend.
    async fn give(
        &self,
        discloser: &Discloser,
        found: &Resolution,
        prepared: Option<&Prepared>,
        known: &mut Known,
    ) -> Result<Given, Problem> {
        let mut given = Given::new();
        let all = self.request.all_targets;
        let keyed = || found.targets.iter().enumerate();
        if all {
            let count = keyed()
                .filter(|(_, target)| !target.credentials.is_empty())
                .count();
            let more = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
            self.turn(more)?;
            let asks = keyed()
                .map(|(place, _)| self.first_of(discloser, found, prepared, place, &known.refused));
            let outcomes = join_all(asks).await;
            for (place, outcome) in outcomes.into_iter().enumerate() {
                let key = known.note(&found.targets[place], outcome)?;
                given.extend(key.map(|key| (place, key)));
            }
            return Ok(given);
        }
        for (place, target) in keyed() {
            let outcome = self
                .first_of(discloser, found, prepared, place, &known.refused)
                .await;
            if let Some(key) = known.note(target, outcome)? {
                given.insert(place, key);
                break;
            }
        }
        Ok(given)
    }

    /// The key of the first of a target's credentials that may leave, with its place among them; else
    /// the refusals, by credential. One that was refused for another endpoint is not asked for again:
    /// each refusal is a row of the audit.
    async fn first_of(
        &self,
        discloser: &Discloser,
        found: &Resolution,
        prepared: Option<&Prepared>,
        target: usize,
        refused: &HashMap<Uuid, CredentialReason>,
    ) -> Result<(usize, DisclosedKey), Vec<(Uuid, Refusal)>> {
        let mut refusals = Vec::new();
        for (place, entry) in found.targets[target].credentials.iter().enumerate() {
            let common = &entry.view.common;
            if refused.contains_key(&common.id) {
                continue;
            }
            let known = prepared.filter(|prepared| prepared.place == (target, place));
            let asked = KeyRequest {
                actor: self.caller.audit_actor().clone(),
                key: known.map_or_else(
                    || Arc::new(wanted(found, target, place)),
                    |prepared| prepared.wanted.clone(),
                ),
                purpose: self.request.purpose.clone(),
            };
            let disclosure = &self.state.disclosure;
            let asked = disclosure.disclose(discloser, self.caller, entry, asked);
            match asked.await {
                Ok(key) => return Ok((place, key)),
                Err(refusal) => {
                    let ends = refusal.is_of_all();
                    refusals.push((common.id, refusal));
                    if ends {
                        break;
                    }
                }
            }
        }
        Err(refusals)
    }

    /// The answer that was prepared, where it is the one.
    fn write_prepared(
        &self,
        prepared: &Prepared,
        mut given: Given,
        known: &Known,
    ) -> Result<SecretBody, serde_json::Error> {
        let (target, credential) = prepared.place;
        let is_this = given.len() == 1 && known.reasons.is_empty();
        let is_this = is_this
            && given.get(&target).is_some_and(|(place, key)| {
                *place == credential && prepared.template.is_for(&key.fields)
            });
        match given.remove(&target) {
            Some((_, key)) if is_this => prepared.template.with(key),
            other => {
                given.extend(other.map(|key| (target, key)));
                SecretBody::write(&self.answer(&prepared.found, given, known))
            }
        }
    }

    /// The answer, which is kept for whoever asks the same, where it may be.
    fn write(
        &self,
        found: &Arc<Resolution>,
        given: Given,
        known: &Known,
        is_first_choice: bool,
    ) -> Result<SecretBody, serde_json::Error> {
        // Whom an exchange is shown to is looked up by caller.
        let is_for_all = is_first_choice
            && given.len() == 1
            && known.reasons.is_empty()
            && found.targets.iter().all(|target| target.exchange.is_none());
        let only = given.iter().next().filter(|_| is_for_all);
        let only = only.map(|(target, (place, key))| {
            let fields = prepared::fields_of(&key.fields);
            ((*target, *place), fields)
        });
        let body = SecretBody::write(&self.answer(found, given, known))?;
        if let Some((place, fields)) = only
            && let Some(cache_key) = self.cache_key()
        {
            self.prepare(cache_key, found, place, fields);
        }
        Ok(body)
    }

    fn prepare(
        &self,
        cache_key: String,
        found: &Arc<Resolution>,
        (target, credential): (usize, usize),
        fields: [bool; 3],
    ) {
        let template = Template::new(fields, |key| {
            let given = Given::from([(target, (credential, key))]);
            serde_json::to_vec(&self.answer(found, given, &Known::default()))
        });
        if let Some(template) = template {
            let prepared = Arc::new(Prepared {
                found: found.clone(),
                place: (target, credential),
                wanted: Arc::new(wanted(found, target, credential)),
                template,
            });
            let revision = self.snapshot.revision;
            self.state.prepared.put(revision, cache_key, &prepared);
        }
    }

    fn answer<'f>(
        &self,
        found: &'f Resolution,
        mut given: Given,
        known: &Known,
    ) -> ResolveAnswer<'f> {
        let mut answer = ResolveAnswer::of(found, &self.state.token_services);
        for (place, target) in found.targets.iter().enumerate() {
            let endpoint = &target.endpoint.view.common;
            let told = &mut answer.targets[place];
            if let Some(entry) = &target.exchange
                && !self.places.show(&entry.view)
                && known.usable.get(&entry.view.common.id) != Some(&true)
            {
                told.conceal_exchange(target);
            }
            if let Some((credential, key)) = given.remove(&place) {
                told.give(target, credential, key);
            } else if let Some(reason) = known.reasons.get(&endpoint.id) {
                told.withhold(target, *reason);
            } else if target.credentials.is_empty()
                && !self.places.show_credentials_of(&endpoint.namespace)
            {
                // Of those that are not its own it may not know.
                told.withhold(target, CredentialReason::NoCredential);
            }
        }
        answer
    }
}

impl Known {
    /// Those that the caller may not use.
    pub(super) fn forbidden(&self) -> impl Iterator<Item = &Uuid> {
        let forbidden = self.usable.iter().filter(|(_, usable)| !**usable);
        forbidden.map(|(id, _)| id)
    }

    /// Whether a credential may be chosen: one that is not known to be another's; where no more are to
    /// be asked about, one that is known to be the caller's.
    fn may_have(&self, credential: &CredentialView, is_last: bool) -> bool {
        let id = &credential.common.id;
        self.usable.get(id).copied().unwrap_or(!is_last)
    }

    /// The key of a target, if there is one; of the refusals it is noted what they mean.
    ///
    /// # Errors
    ///
    /// What no other credential would mend.
    fn note(
        &mut self,
        target: &Target,
        outcome: Result<(usize, DisclosedKey), Vec<(Uuid, Refusal)>>,
    ) -> Result<Option<(usize, DisclosedKey)>, Problem> {
        let refusals = match outcome {
            Ok(key) => return Ok(Some(key)),
            Err(refusals) => refusals,
        };
        let endpoint = target.endpoint.view.common.id;
        for (credential, refusal) in refusals {
            let problem = problem_of(&refusal);
            if refusal.is_of_all()
                && let Some(problem) = problem
            {
                return Err(problem);
            }
            let reason = reason_of(&refusal);
            if !matches!(refusal, Refusal::HostNotAllowed(_)) {
                self.refused.insert(credential, reason);
            }
            self.reasons.entry(endpoint).or_insert(reason);
            self.problem = self.problem.take().or(problem);
        }
        let mut own = target.credentials.iter().map(|entry| entry.view.common.id);
        if let Some(reason) = own.find_map(|id| self.refused.get(&id)) {
            self.reasons.entry(endpoint).or_insert(*reason);
        }
        Ok(None)
    }
}

/// What a target says of a credential whose key must not leave.
fn reason_of(refusal: &Refusal) -> CredentialReason {
    match refusal {
        Refusal::Disabled => CredentialReason::Inactive,
        Refusal::Expired => CredentialReason::Expired,
        Refusal::Invalid => CredentialReason::Invalid,
        Refusal::QuotaExhausted { .. } => CredentialReason::QuotaExhausted,
        Refusal::HostNotAllowed(_) => CredentialReason::HostNotAllowed,
        Refusal::Gone => CredentialReason::NoCredential,
        _ => CredentialReason::NoKey,
    }
}

/// The key of this target's credential, as it is asked for.
fn wanted(found: &Resolution, target: usize, credential: usize) -> WantedKey {
    let target = &found.targets[target];
    let common = &target.credentials[credential].view.common;
    let (model, endpoint) = (&target.model.view.common, &target.endpoint.view.common);
    WantedKey {
        credential: common.id,
        namespace: common.namespace.clone(),
        name: common.name.clone(),
        vendor: target.vendor(),
        url: target.base_url.clone(),
        detail: detail(found, model, endpoint),
    }
}

/// What the audit tells of a key beside whose it is and who has it: what it is for.
fn detail(found: &Resolution, model: &Common, endpoint: &Common) -> Value {
    let mut detail = json!({
        "model": model.name, "model_namespace": model.namespace, "model_uid": model.id,
        "endpoint": endpoint.name, "endpoint_uid": endpoint.id,
    });
    if let Some(class) = &found.class {
        detail["class"] = class.view.common.name.clone().into();
        detail["class_uid"] = class.view.common.id.to_string().into();
    }
    detail
}

fn unwritten(error: serde_json::Error) -> Problem {
    tracing::error!(%error, "a resolution cannot be written as JSON");
    Problem::internal()
}
