use std::process::ExitCode;

/// Answers are many small values for a short time, a controller's objects many for a long one; the
/// system's allocator takes longer for the former and gives back less of the latter.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    llmplane::telemetry::hide_panic_texts();
    llmplane::cli::run()
}
