//! Settings: flags, each with an environment variable.
