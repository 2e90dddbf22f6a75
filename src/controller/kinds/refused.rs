//! What becomes of the row of an object that is refused: it goes, as if it had been deleted, and with
//! it what checks found and the key. An object that was never in force has none either.

use uuid::Uuid;

use crate::{
    controller::{error::Error, runtime::context::Context},
    crd::Kind,
};

/// Removes the row. The object's next valid declaration brings it back.
///
/// # Errors
/// Those of the write.
pub async fn remove_row(context: &Context, kind: Kind, uid: Uuid) -> Result<(), Error> {
    context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.soft_delete(kind, &[uid]).await })
        })
        .await?;
    Ok(())
}
