//! The audience of the API's tokens.

/// Audience of the API's tokens, unless told otherwise.
const AUDIENCE: &str = "llmplane";

/// Which tokens are the API's.
#[derive(Clone, Debug, clap::Args)]
pub struct AudienceArgs {
    /// Audience that tokens must be for at the API; the controller sends no such token to a vendor
    #[arg(
        long,
        env = "LLMPLANE_AUDIENCE",
        value_name = "NAME",
        default_value = AUDIENCE,
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub audience: String,
}

impl Default for AudienceArgs {
    fn default() -> Self {
        Self {
            audience: AUDIENCE.to_owned(),
        }
    }
}
