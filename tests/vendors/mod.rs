//! Vendors' protocols over real sockets, against the fakes of `tests/support/vendors`.

mod answers;
mod asking;
mod bedrock;
mod documented_errors;
mod every_type;
mod exchanges;
mod faults;
mod fixtures;
mod health;
mod herd;
mod hostile;
mod key_destination;
mod paging;
mod rate_limits;
mod restarts;
mod sealed_consent;
mod where_keys_go;
