//! Vendors' protocols over real sockets, against the fakes of `tests/support/vendors`.

mod answers;
mod asking;
mod documented_errors;
mod faults;
mod fixtures;
mod paging;
mod rate_limits;
