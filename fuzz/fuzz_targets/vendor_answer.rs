//! Whatever a vendor, or something in its place, answers: no panic, no part of the key in what is
//! said of it, and no verdict without a cause.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llmplane_fuzz::vendor::Case;

fuzz_target!(|data: &[u8]| {
    Case::read(data).run();
});
