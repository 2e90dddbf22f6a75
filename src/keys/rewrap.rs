//! Moving stored versions from one key-encryption key to another, a batch at a time. What is stored is
//! not touched here.

use futures::{StreamExt, stream};

use crate::{
    db::{NewWrap, WrappedVersion},
    encryption::{Binding, KekError, KekId, KekSource, OpenError, RewrapError, rewrap},
};

/// Versions that are wrapped at once: a source that is remote answers several calls in the time of one.
const CONCURRENT: usize = 8;

/// What became of a batch.
#[derive(Debug, Default)]
pub struct RewrappedBatch {
    /// New wraps, to be stored.
    pub wraps: Vec<NewWrap>,
    /// Versions that do not authenticate; they stay as they are.
    pub refused: Vec<(WrappedVersion, OpenError)>,
}

/// Wraps the data keys of these versions, which are under the key `from`, under the key `to`.
///
/// # Errors
/// [`KekError`], where one of the two keys cannot be used for now; nothing is to be stored then.
pub async fn rewrap_batch(
    keks: &dyn KekSource,
    (from, to): (KekId, KekId),
    rows: Vec<WrappedVersion>,
) -> Result<RewrappedBatch, KekError> {
    let work = rows.into_iter().map(|row| async move {
        let binding = Binding {
            namespace: &row.namespace,
            name: &row.name,
            uid: row.credential_uid,
            version: row.version,
        };
        let wrapped = rewrap(keks, (&from, &row.wrapped_key), &to, &binding).await;
        (row, wrapped)
    });
    let mut done = stream::iter(work).buffered(CONCURRENT);
    let mut batch = RewrappedBatch::default();
    while let Some((row, wrapped)) = done.next().await {
        match wrapped {
            Ok(new) => batch.wraps.push(NewWrap {
                credential_uid: row.credential_uid,
                version: row.version,
                old: row.wrapped_key,
                new,
            }),
            Err(RewrapError::Open(why)) if why.is_of_the_row() => batch.refused.push((row, why)),
            Err(RewrapError::Open(OpenError::Kek(why)) | RewrapError::Wrap(why)) => {
                return Err(why);
            }
            // What is of the row was told above.
            Err(RewrapError::Open(why)) => batch.refused.push((row, why)),
        }
    }
    Ok(batch)
}
