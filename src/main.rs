use std::process::ExitCode;

use llmplane::cli::Cli;

fn main() -> ExitCode {
    match Cli::from_args().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
