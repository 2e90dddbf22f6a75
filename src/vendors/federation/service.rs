//! Where the vendors exchange tokens: their own fixed hosts, unless an operator named another.

use url::Url;

use crate::{
    crd::{federation::Exchanger, token_services::TokenServices},
    vendors::drivers::sts_host,
};

/// Scheme, host and path of an exchange's token service.
pub(super) fn place(exchanger: Exchanger<'_>, region: Option<&str>) -> (String, String) {
    let fixed = |host: &str, path: &str| (format!("https://{host}"), path.to_owned());
    match exchanger {
        Exchanger::OpenAi(_) => fixed("auth.openai.com", "/oauth/token"),
        Exchanger::Anthropic(_) => fixed("api.anthropic.com", "/v1/oauth/token"),
        Exchanger::OpenRouter(_) => fixed("openrouter.ai", "/api/v1/oauth/token"),
        Exchanger::Google(_) => fixed("sts.googleapis.com", "/v1/token"),
        Exchanger::Entra(ids) => fixed(
            "login.microsoftonline.com",
            &format!("/{}/oauth2/v2.0/token", ids.tenant_id),
        ),
        Exchanger::Aws(_) => fixed(&sts_host(region), "/"),
    }
}

/// Where a client exchanges its own token.
pub fn token_url(
    services: &TokenServices,
    exchanger: Exchanger<'_>,
    region: Option<&str>,
) -> Option<Url> {
    let (default, path) = place(exchanger, region);
    services.url(exchanger.field(), &default, &path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{
        federation::{AwsFederation, EntraFederation},
        token_services::TokenService,
    };

    fn entra() -> EntraFederation {
        EntraFederation {
            tenant_id: "contoso.example".into(),
            client_id: "c".into(),
            scope: "s".into(),
        }
    }

    #[test]
    fn an_operator_alone_names_another_host() {
        let ids = entra();
        let exchanger = Exchanger::Entra(&ids);
        let url = |services: &TokenServices| {
            let url = token_url(services, exchanger, None).expect("a URL");
            url.to_string()
        };
        assert_eq!(
            url(&TokenServices::default()),
            "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
        );
        let other: TokenService = "entra=https://login.microsoftonline.us/"
            .parse()
            .expect("one");
        assert_eq!(
            url(&[other].into_iter().collect()),
            "https://login.microsoftonline.us/contoso.example/oauth2/v2.0/token"
        );
    }

    #[test]
    fn sts_answers_in_the_region_of_the_endpoint() {
        let ids = AwsFederation {
            role_arn: "r".into(),
            session_name: None,
        };
        let url = |region| {
            let services = TokenServices::default();
            let url = token_url(&services, Exchanger::Aws(&ids), region).expect("a URL");
            url.to_string()
        };
        assert_eq!(
            url(Some("eu-west-1")),
            "https://sts.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            url(Some("cn-north-1")),
            "https://sts.cn-north-1.amazonaws.com.cn/"
        );
        assert_eq!(url(None), "https://sts.amazonaws.com/");
        assert_eq!(url(Some("nowhere-1")), "https://sts.amazonaws.com/");
    }
}
