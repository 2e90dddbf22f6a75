//! Answers in the network's place, for tests and fuzz targets: drivers run whole, and nothing is
//! sent. No other build has this.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use url::Url;

use super::http::{HttpClient, HttpError, Response};

/// Answers in their order, and where they were asked for.
#[derive(Debug, Default)]
pub struct Script {
    answers: Mutex<VecDeque<Response>>,
    asked: Mutex<Vec<Url>>,
}

impl Script {
    /// A script of these answers; after the last one there is none in time.
    pub fn new(answers: impl IntoIterator<Item = Response>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    /// The URLs that were asked, in order.
    pub fn asked(&self) -> Vec<Url> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// The next answer.
    pub(super) fn answer(&self, url: &Url) -> Result<Response, HttpError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(url.clone());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.pop_front().ok_or(HttpError::Timeout)
    }
}

impl HttpClient {
    /// The same client with a script in the network's place.
    pub fn scripted(&self, script: &Arc<Script>) -> Self {
        let mut scripted = self.clone();
        scripted.script = Some(Arc::clone(script));
        scripted
    }
}
