//! The command line: one binary, one subcommand a task.
