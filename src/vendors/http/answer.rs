//! Reading answers: how much of one, and how much at once.

use std::sync::Arc;

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Mutex;
use url::Url;

use super::{
    error::{HostAndPort, HttpError},
    memory::{LargeAnswer, LargeAnswers, SMALL_ANSWER_BYTES},
    message::Response,
};

/// Largest answer that is read, in bytes: a list of 5,000 models is about 2 MiB.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// What is read of an answer that is no success, in bytes; the rest is left where it is.
pub const MAX_ERROR_BYTES: usize = 64 * 1024;
/// What is read of all answers to one check, in bytes: four of the largest.
pub const MAX_CHECK_BYTES: usize = 4 * MAX_BODY_BYTES;
/// Reads the answers to one check.
#[derive(Clone)]
pub(super) struct AnswerReader {
    namespace: String,
    large_answers: Arc<LargeAnswers>,
    taken: Arc<Mutex<Taken>>,
}

/// What one check has taken of what is bounded.
#[derive(Default)]
struct Taken {
    bytes: usize,
    /// Held until the check ends: what was read from a large answer is large too.
    room: Option<LargeAnswer>,
}

impl AnswerReader {
    /// For a check of this namespace.
    pub fn new(namespace: &str, large_answers: &Arc<LargeAnswers>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            large_answers: Arc::clone(large_answers),
            taken: Arc::default(),
        }
    }

    /// For another check of the namespace.
    pub fn afresh(&self) -> Self {
        Self::new(&self.namespace, &self.large_answers)
    }

    /// Reads an answer whole; of one that is no success, the beginning.
    pub async fn read(
        &self,
        answer: http::Response<Incoming>,
        url: &Url,
    ) -> Result<Response, HttpError> {
        let (head, mut rest) = answer.into_parts();
        let limit = match head.status.is_success() {
            true => MAX_BODY_BYTES,
            false => MAX_ERROR_BYTES,
        };
        let mut body = BytesMut::new();
        while let Some(frame) = rest.frame().await {
            let frame = frame.map_err(|_| HttpError::Truncated(HostAndPort::of(url)))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if body.len() + data.len() > limit {
                if head.status.is_success() {
                    return Err(HttpError::BodyTooLarge);
                }
                body.extend_from_slice(&data[..limit - body.len()]);
                break;
            }
            self.take(data.len(), body.len() + data.len()).await?;
            body.extend_from_slice(&data);
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
        })
    }

    /// Takes room for some bytes more of an answer that is `length` long with them.
    async fn take(&self, bytes: usize, length: usize) -> Result<(), HttpError> {
        let mut taken = self.taken.lock().await;
        taken.bytes += bytes;
        if taken.bytes > MAX_CHECK_BYTES {
            return Err(HttpError::AnswersTooLarge);
        }
        if length > SMALL_ANSWER_BYTES && taken.room.is_none() {
            taken.room = self.large_answers.room(&self.namespace).await;
        }
        Ok(())
    }
}
