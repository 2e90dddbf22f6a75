//! What a LiteLLM proxy does with its models.

use crate::import::source::Field;

/// What holds for deployments that say nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults {
    /// Seconds that an answer may take.
    pub timeout: Option<i64>,
    /// Further attempts.
    pub retries: Option<i64>,
}

impl Defaults {
    /// The router's settings come before the module's.
    pub fn read(source: &Field<'_>) -> Self {
        let paths = [
            (
                ["router_settings", "timeout"],
                ["router_settings", "num_retries"],
            ),
            (
                ["litellm_settings", "request_timeout"],
                ["litellm_settings", "num_retries"],
            ),
        ];
        let mut defaults = Self::default();
        for (timeout, retries) in paths {
            defaults.timeout =
                defaults
                    .timeout
                    .or(setting(source, &timeout, 1, 3600, "readTimeoutSeconds"));
            defaults.retries = defaults
                .retries
                .or(setting(source, &retries, 0, 10, "retry.count"));
        }
        defaults
    }
}

fn setting(source: &Field<'_>, path: &[&str], least: i64, most: i64, target: &str) -> Option<i64> {
    let field = source.at(path)?;
    let number = field.integer(least, most)?;
    field.approximate(
        format!("LlmEndpoint spec.{target}"),
        "it is written into each endpoint that has none of its own",
    );
    Some(number)
}

/// A section, what is said of settings of its, and of all others in it.
struct Section {
    name: &'static str,
    known: &'static [(&'static str, &'static str)],
    otherwise: &'static str,
}

const SECTIONS: [Section; 4] = [
    Section {
        name: "router_settings",
        known: &[
            (
                "model_group_alias",
                "left out: it names no model of this configuration",
            ),
            (
                "fallbacks",
                "left out: it names no model of this configuration",
            ),
            (
                "context_window_fallbacks",
                "left out: agents that need a larger window ask for one (min_context_window)",
            ),
            (
                "content_policy_fallbacks",
                "left out: to which other model to turn is the agent's or the gateway's choice",
            ),
            (
                "routing_strategy",
                "left out: how calls are spread is a gateway's business; llmplane gives endpoints in failover order",
            ),
        ],
        otherwise: "left out: routing is a gateway's business",
    },
    Section {
        name: "litellm_settings",
        known: &[
            (
                "fallbacks",
                "left out: it names no model of this configuration",
            ),
            (
                "default_fallbacks",
                "left out: they are of every model; name them in the LlmModelClasses that are to have them",
            ),
            (
                "callbacks",
                "left out: logs of calls are a gateway's business",
            ),
            (
                "success_callback",
                "left out: logs of calls are a gateway's business",
            ),
            (
                "failure_callback",
                "left out: logs of calls are a gateway's business",
            ),
            (
                "guardrails",
                "left out: guardrails are a gateway's business",
            ),
            (
                "cache",
                "left out: caching of answers is a gateway's business",
            ),
        ],
        otherwise: "left out: it is a setting of LiteLLM itself",
    },
    Section {
        name: "general_settings",
        known: &[
            (
                "master_key",
                "left out: it is the proxy's own key, and no vendor's",
            ),
            ("database_url", "left out: it is the proxy's own database"),
        ],
        otherwise: "left out: it is a setting of the proxy itself",
    },
    Section {
        name: "environment_variables",
        known: &[],
        otherwise: "left out: set it where the agents run; a key belongs in a Secret",
    },
];

/// Says of each setting what becomes of it.
pub fn tell(source: &Field<'_>) {
    for Section {
        name,
        known,
        otherwise,
    } in SECTIONS
    {
        let Some(section) = source.get(name) else {
            continue;
        };
        for (name, field) in section.entries() {
            let said = known.iter().find(|(known, _)| *known == name);
            if !field.is_told() && !field.is_taken_in_part() {
                field.unsupported(said.map_or(otherwise, |(_, said)| said));
            }
        }
    }
    for (name, field) in source.entries() {
        if [
            "guardrails",
            "mcp_servers",
            "vector_store_registry",
            "prompts",
        ]
        .contains(&name)
        {
            field.unsupported("left out: it is a gateway's business");
        }
    }
}
