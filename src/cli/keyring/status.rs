//! `llmplane keyring status`: what is stored under which key, and how far re-wrapping has come.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::{DatabaseArgs, Form, KeyringCommandError, connect, counted, print_json, whole};
use crate::db::RewrapState;
use crate::encryption::kek::folder::Survey;
use crate::output::printable;

#[derive(Debug, Serialize)]
struct Report {
    keys: Vec<Key>,
    rewrap: Rewrap,
    /// What is wrong with the folder; its other files were looked at.
    faults: Vec<String>,
}

/// A key-encryption key that is in the folder, or that something is stored under.
#[derive(Debug, Default, Serialize)]
struct Key {
    id: String,
    /// Whether its file is in the folder.
    in_folder: bool,
    /// Whether the folder names it as the active one.
    active: bool,
    /// Whether the controller knows it as the active one.
    active_for_controller: bool,
    /// Whether it was declared lost.
    lost: bool,
    /// Stored versions under it.
    versions: i64,
    /// Whether it was never the active one, as far as any controller noted: then the rows that name it were
    /// changed by somebody.
    unknown: bool,
}

#[derive(Debug, Serialize)]
struct Rewrap {
    state: State,
    /// Versions under another key than the one that the controller knows as active.
    remaining: i64,
    /// Versions that were re-wrapped since it began.
    rewrapped: i64,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// How re-wrapping stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// No controller has looked at the keyring yet.
    Unknown,
    /// Nothing is left to be done.
    Done,
    /// Something is left, and the active key has not settled yet.
    Settling,
    /// It is under way.
    Running,
}

pub(super) async fn run(
    args: DatabaseArgs,
    out: &mut impl Write,
) -> Result<(), KeyringCommandError> {
    let keyring = Survey::of(&args.folder.dir)?;
    let db = connect(&args.database).await?;
    let state = db.rewrap_state().await?;
    let mut keys: BTreeMap<String, Key> = BTreeMap::new();
    let mut key = |id: &str, note: &dyn Fn(&mut Key)| {
        let key = keys.entry(id.to_owned()).or_default();
        id.clone_into(&mut key.id);
        note(key);
    };
    for id in keyring.keks() {
        key(&id.to_string(), &|key| key.in_folder = true);
    }
    if let Some(active) = keyring.active_kek() {
        key(&active.to_string(), &|key| key.active = true);
    }
    for used in db.kek_uses().await? {
        key(&used.kek_id, &|key| key.versions = used.versions);
    }
    for lost in db.lost_keks().await? {
        key(&lost, &|key| key.lost = true);
    }
    if let Some(state) = &state {
        key(&state.active_kek, &|key| key.active_for_controller = true);
    }
    let mut keys: Vec<Key> = keys.into_values().collect();
    for key in keys.iter_mut().filter(|key| key.is_missing()) {
        // Before the first controller nothing is noted.
        key.unknown = state.is_some() && !db.kek_was_active(&key.id).await?;
    }
    let report = Report {
        rewrap: rewrap(state.as_ref(), &keys),
        keys,
        faults: keyring.faults(),
    };
    match args.form.output {
        Form::Json => print_json(&report, out)?,
        Form::Text => print(&report, out)?,
    }
    whole(report.faults)
}

impl Key {
    /// Whether something is stored under it that nobody can open for now.
    fn is_missing(&self) -> bool {
        self.versions > 0 && !self.in_folder && !self.lost
    }
}

fn rewrap(state: Option<&RewrapState>, keys: &[Key]) -> Rewrap {
    let others = keys.iter().filter(|key| !key.active_for_controller);
    let remaining = others.map(|key| key.versions).sum();
    Rewrap {
        state: match state {
            None => State::Unknown,
            Some(_) if remaining == 0 => State::Done,
            Some(state) if state.is_under_way() => State::Running,
            Some(_) => State::Settling,
        },
        remaining,
        rewrapped: state.map_or(0, |state| state.rewrapped),
        started_at: state.and_then(|state| state.started_at),
        ended_at: state.and_then(|state| state.ended_at),
    }
}

fn print(report: &Report, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    for key in &report.keys {
        let file = if key.in_folder {
            "in the folder"
        } else {
            "no file"
        };
        let active = match (key.active, key.active_for_controller) {
            (true, true) => "active",
            (true, false) => "active in the folder, not yet for the controller",
            (false, true) => "active for the controller, which has not this folder yet",
            (false, false) => "",
        };
        let lost = if key.lost { "lost" } else { "" };
        let notes = [file, active, lost];
        let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        let line = format!("{}  {:>9}  {}", key.id, key.versions, notes.join(", "));
        writeln!(out, "{}", printable(&line))?;
        if key.is_missing() && key.unknown {
            writeln!(
                out,
                "  key {} was never the active one here: the rows that name it were changed in the database, or it was activated a moment ago; the controller encrypts anew what the Secrets still hold",
                printable(&key.id)
            )?;
        } else if key.is_missing() {
            writeln!(
                out,
                "  put the file of key {} back into the folder; where it is lost for good: llmplane keyring forget DIR {} --lost",
                printable(&key.id),
                printable(&key.id)
            )?;
        }
    }
    let rewrap = &report.rewrap;
    let left = counted(rewrap.remaining, "stored key");
    let said = match rewrap.state {
        State::Unknown => "no controller has looked at this database with a keyring yet".to_owned(),
        State::Done => "every stored key is under the active key".to_owned(),
        State::Settling => format!(
            "{left} to be re-wrapped: the controller begins five minutes after it knows the active key"
        ),
        State::Running => format!(
            "re-wrapping: {} done since {}, {left} left",
            rewrap.rewrapped,
            rewrap.started_at.unwrap_or_default()
        ),
    };
    writeln!(out, "{said}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, for_controller: bool, versions: i64) -> Key {
        Key {
            id: id.to_owned(),
            active_for_controller: for_controller,
            versions,
            ..Key::default()
        }
    }

    #[test]
    fn what_is_left_and_what_was_begun_say_how_it_stands() {
        let begun = RewrapState {
            active_kek: "b".to_owned(),
            active_since: Timestamp::UNIX_EPOCH,
            started_at: Some(Timestamp::UNIX_EPOCH),
            ended_at: None,
            rewrapped: 5,
        };
        let settling = RewrapState {
            started_at: None,
            ..begun.clone()
        };
        let some_left = [key("a", false, 2), key("b", true, 5)];
        let none_left = [key("a", false, 0), key("b", true, 7)];
        let stands = |state: Option<&RewrapState>, keys: &[Key]| {
            let rewrap = rewrap(state, keys);
            (rewrap.state, rewrap.remaining)
        };
        assert_eq!(stands(None, &some_left), (State::Unknown, 2));
        assert_eq!(stands(Some(&settling), &some_left), (State::Settling, 2));
        assert_eq!(stands(Some(&begun), &some_left), (State::Running, 2));
        assert_eq!(stands(Some(&begun), &none_left), (State::Done, 0));
    }
}
