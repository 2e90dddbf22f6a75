//! The CEL rules of the schemas: each an expression, and a message that says what to do.
//!
//! A rule is checked at three places that must agree: kube-apiserver, `llmplane lint`, and the
//! tests here. So a rule uses nothing but `matches`, string helpers and list macros, whose
//! meaning is the same in all of them; in particular the apiserver's URL library is not used, for
//! it accepts user info and fragments and other implementations differ. Patterns are the common
//! part of RE2 and Rust's `regex`. Every string and list has a bound, which keeps each rule
//! within the apiserver's cost budget.

/// A CEL expression over `self`, and what its violation tells the user.
pub type CelRule = (&'static str, &'static str);

/// Most tokens that a model, or what is asked of one, may have.
pub const MAX_TOKENS: i64 = 1_000_000_000;
/// Most numbers in a vector.
pub const MAX_DIMENSIONS: i64 = 1_000_000;
/// How well a model can do a thing, at least and at most.
pub const SCORES: [i32; 2] = [1, 5];
/// Most characters of a price.
pub const MAX_PRICE_CHARS: usize = 32;
/// Characters of a currency's code.
pub const CURRENCY_CHARS: usize = 3;
/// Tasks that a model may be recommended for, and characters of each.
pub const TASKS: [usize; 2] = [50, 100];

/// A Kubernetes object's name (RFC 1123 subdomain).
pub const OBJECT_NAME: CelRule = (
    r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
    "write the metadata.name of an object in this namespace: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
);

/// One line of text. No control characters: PostgreSQL refuses NUL, and logs break on the rest.
pub const LINE: CelRule = (
    r"self.matches(r'^[^\x00-\x1f\x7f]*$')",
    "write one line of text, without tabs, line breaks or other control characters",
);

/// Text that may have line breaks and tabs.
pub const TEXT: CelRule = (
    r"self.matches(r'^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$')",
    "leave out control characters; line breaks and tabs are fine",
);

/// A list of lines of text.
pub const LINES: CelRule = (
    r"self.all(s, s.matches(r'^[^\x00-\x1f\x7f]*$'))",
    "write one line of text an entry, without tabs, line breaks or other control characters",
);

/// An IPv6 address in hexadecimal groups throughout, as a pattern's text.
macro_rules! ipv6 {
    () => {
        concat!(
            r"(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}",
            r"|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}",
            r"|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}",
            r"|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))",
        )
    };
}

/// A host of a URL, as a pattern's text.
///
/// The last label of a name begins with a letter, so that no number is taken for a name where a URL
/// parser would take it for an address.
macro_rules! host {
    () => {
        concat!(
            r"(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
            r"|\[",
            ipv6!(),
            r"\]",
            r"|([A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?\.)*[A-Za-z]([-A-Za-z0-9_]*[A-Za-z0-9_])?)",
        )
    };
}

/// A port of a URL, where it says one.
macro_rules! port {
    () => {
        r"(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
    };
}

/// A host that a key may be sent to, as a body names it: alone, or with scheme and port.
pub const ALLOWED_HOST_PATTERN: &str =
    concat!(r"^((https?://)?", host!(), port!(), "|", ipv6!(), ")$");

/// An absolute URL that a client can append a path to, as a pattern's text.
macro_rules! base_url {
    () => {
        concat!(
            r"^https?://",
            host!(),
            port!(),
            r"(/([-A-Za-z0-9._~!$&()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?$",
        )
    };
}

/// The pattern of [`BASE_URL`].
pub const BASE_URL_PATTERN: &str = base_url!();

/// An absolute URL that a client can append a path to.
pub const BASE_URL: CelRule = (
    concat!("self.matches(r'", base_url!(), "')"),
    "write http:// or https://, a host, and where needed a port (1 to 65535) and a path, for example https://api.openai.com/v1; user info, '?' and '#' cannot stand here: a key belongs in a Secret",
);

/// What a vendor calls a version of its API.
pub const API_VERSION: CelRule = (
    r"self.matches(r'^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$')",
    "write the version as the vendor does, for example 2024-10-21: letters, digits, '.', '-' and '_'",
);

/// What a vendor calls a region. It becomes part of a host name.
pub const REGION: CelRule = (
    r"self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "write the vendor's id of the region, for example us-east-1: lower-case letters, digits and '-'",
);

/// A header's name (RFC 9110 token).
pub const HEADER_NAME: CelRule = (
    r"self.matches(r'^[-A-Za-z0-9!#$%&*+.^_`|~]+$')",
    "write a header name: letters, digits and '-', without spaces or a colon",
);

/// Headers that carry a key.
pub const HEADER_NOT_A_KEY: CelRule = (
    "!(self.lowerAscii() in ['authorization', 'cookie', 'set-cookie', 'api-key', 'x-api-key', 'x-goog-api-key', 'ocp-apim-subscription-key', 'x-amz-security-token', 'x-auth-token'])",
    "this header carries a key, and headers here are not secret: put the key in a Secret and name it in an LlmCredential",
);

/// Headers that the HTTP client itself writes.
pub const HEADER_NOT_THE_CLIENTS: CelRule = (
    "!(self.lowerAscii() in ['host', 'connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length', 'expect', 'http2-settings']) && !self.lowerAscii().startsWith('proxy-')",
    "leave this header out: the HTTP client writes it itself, for one connection",
);

/// Whether a header is one of [`HEADER_NOT_THE_CLIENTS`], for what did not come by the apiserver.
pub fn is_of_the_http_client(header: &str) -> bool {
    let name = header.to_ascii_lowercase();
    let quoted = format!("'{name}'");
    name.starts_with("proxy-") || HEADER_NOT_THE_CLIENTS.0.contains(&quoted)
}

/// Headers with which a cloud's metadata service would answer.
pub const HEADER_NOT_METADATA: CelRule = (
    "self.lowerAscii() != 'metadata' && !self.lowerAscii().startsWith('metadata-') && !self.lowerAscii().startsWith('x-aws-ec2-metadata-') && !self.lowerAscii().startsWith('x-google-metadata-') && !self.lowerAscii().startsWith('x-aliyun-ecs-metadata-') && !self.lowerAscii().startsWith('x-metadata-token')",
    "leave this header out: it opens a cloud's metadata service, which no LLM vendor needs",
);

/// A header's value: visible ASCII, spaces and tabs.
pub const HEADER_VALUE: CelRule = (
    r"self.matches(r'^[\t -~]*$')",
    "write the value in one line of ASCII, without line breaks",
);

/// HTTP does not tell the case of header names apart. Names that are equal to the letter are left
/// to the list's own key.
pub const HEADERS_DIFFER: CelRule = (
    "self.all(h, self.all(g, g.name == h.name || g.name.lowerAscii() != h.name.lowerAscii()))",
    "name each header once; upper and lower case make no difference",
);

/// PEM with at least one certificate.
pub const PEM_CERTIFICATES: CelRule = (
    r"self.matches(r'-----BEGIN CERTIFICATE-----[ \t\r\n][A-Za-z0-9+/= \t\r\n]+-----END CERTIFICATE-----')",
    "paste PEM certificates, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----",
);

/// Not a private key pasted along.
pub const PEM_WITHOUT_KEY: CelRule = (
    "!self.contains('PRIVATE KEY-----')",
    "leave the private key out: only certificates belong here, and whoever reads this object reads them",
);

/// Name of an entry in a Secret.
pub const SECRET_ENTRY: CelRule = (
    r"self.matches(r'^[-._a-zA-Z0-9]+$')",
    "write the name of an entry of the Secret's data: letters, digits, '-', '_' and '.'",
);

/// At least one entry is named.
pub const SECRET_KEYS_SOME: CelRule = (
    "has(self.apiKey) || has(self.secretKey) || has(self.accessToken)",
    "name at least one of apiKey, secretKey and accessToken, or leave keys out for apiKey: api-key",
);

/// A secret key is half of a pair.
pub const SECRET_KEY_PAIR: CelRule = (
    "!has(self.secretKey) || has(self.apiKey)",
    "name apiKey too: a secret key goes with an access key id",
);

/// RFC 3339 as every part of the system reads it: kube-apiserver's own check takes any character for
/// the point, more digits than a nanosecond has, and offsets that no clock has.
pub const DATE_TIME_PATTERN: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";

/// A time that every part of the system can hold.
pub const EXPIRY: CelRule = (
    "self >= timestamp('2000-01-01T00:00:00Z') && self < timestamp('9999-01-01T00:00:00Z')",
    "write a time between the years 2000 and 9998, for example 2027-01-31T00:00:00Z, or leave expiresAt out where the key does not expire",
);

/// A vendor's id of a model.
pub const MODEL_ID: CelRule = (
    r"self.matches(r'^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$')",
    "write the model's id as the vendor's API takes it, in one line, without spaces around it",
);

/// A time of a model's life that every part of the system can hold.
pub const MOMENT: CelRule = (
    "self >= timestamp('2000-01-01T00:00:00Z') && self < timestamp('9999-01-01T00:00:00Z')",
    "write a time between the years 2000 and 9998, for example 2027-01-31T00:00:00Z, or leave it out where none is announced",
);

/// A limit of what is under way at once has no period, and every other has one.
pub const LIMIT_PERIOD: CelRule = (
    "has(self.period) != (self.unit == 'ConcurrentRequests')",
    "name the period: Minute, Hour, Day or Month; ConcurrentRequests alone has none",
);

/// One limit for each unit and period.
pub const LIMITS_DIFFER: CelRule = (
    "self.all(a, self.exists_one(b, a.unit == b.unit && has(a.period) == has(b.period) && (!has(a.period) || a.period == b.period)))",
    "name each unit with each period once",
);

/// Tiers in their order.
pub const TIERS_ASCEND: CelRule = (
    "self.map(t, t.fromInputTokens).isSorted()",
    "order the tiers by fromInputTokens, the least first, each number once",
);

/// Globs of model ids: `*`, `?`, `[...]` and `{...}`.
pub const MODEL_GLOBS: CelRule = (
    r"self.all(g, g.matches(r'^([^\x00-\x20\x7f\\\[\]{}]|\[!?[A-Za-z0-9._-]+\]|\{[^\x00-\x20\x7f\\\[\]{}]*\})+$'))",
    "write globs of model ids, for example gpt-4*: '*', '?', '[a-z]' and '{a,b}' are understood, spaces and nested braces are not",
);

/// A rule that is one pattern, and the pattern alone, for what no apiserver looks at.
macro_rules! pattern_rule {
    ($(#[$meta:meta])* $rule:ident, $pattern:ident: $text:literal, $message:literal) => {
        $(#[$meta])*
        pub const $rule: CelRule = (concat!("self.matches(r'", $text, "')"), $message);
        #[doc = concat!("The pattern of [`", stringify!($rule), "`].")]
        pub const $pattern: &str = $text;
    };
}

pattern_rule!(
    /// The form of an ISO 4217 code. Which codes there are is not looked at: the list changes, and a
    /// currency is compared with nothing but itself.
    CURRENCY, CURRENCY_PATTERN: r"^[A-Z]{3}$",
    "write the three capital letters of the ISO 4217 code, for example USD"
);

pattern_rule!(
    /// A price, as exact as it is written.
    PRICE, PRICE_PATTERN: r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$",
    "write a decimal number in quotes that is not negative, for example \"0.0025\": at most 12 digits before the point and 12 after it"
);

/// The prompt has to fit.
pub const INPUT_FITS: &str = "!has(self.contextWindow) || !has(self.maxInputTokens) || self.maxInputTokens <= self.contextWindow";
/// What a violation of [`INPUT_FITS`] tells the user.
pub const INPUT_FITS_MESSAGE: &str =
    "write at most contextWindow: the prompt is part of the context";

/// The answer has to fit.
pub const OUTPUT_FITS: &str = "!has(self.contextWindow) || !has(self.maxOutputTokens) || self.maxOutputTokens <= self.contextWindow";
/// What a violation of [`OUTPUT_FITS`] tells the user.
pub const OUTPUT_FITS_MESSAGE: &str =
    "write at most contextWindow: the answer is part of the context";

/// A typical call has tokens.
pub const NEED_CALL: &str = "!(has(self.promptTokens) || has(self.outputTokens)) || (has(self.promptTokens) && self.promptTokens > 0) || (has(self.outputTokens) && self.outputTokens > 0)";
/// What a violation of [`NEED_CALL`] tells the user.
pub const NEED_CALL_MESSAGE: &str = "a typical call has at least one token: give promptTokens or outputTokens a larger number, or leave both out";

/// The cache holds a part of the prompt.
pub const NEED_CACHED: &str =
    "!has(self.cachedTokens) || (has(self.promptTokens) && self.cachedTokens <= self.promptTokens)";
/// What a violation of [`NEED_CACHED`] tells the user.
pub const NEED_CACHED_MESSAGE: &str =
    "the cache holds a part of the prompt: give at most promptTokens";

/// Audience of a token: a URL or a name, visible ASCII.
pub const AUDIENCE: CelRule = (
    r"self.matches(r'^[!-~]+$')",
    "write the audience as it is configured at the vendor, without spaces, for example https://api.openai.com/v1",
);

/// A vendor's id of something, which only the vendor can read.
pub const VENDOR_ID: CelRule = (
    r"self.matches(r'^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$')",
    "write the id as the vendor's console shows it: letters, digits, '-' and '_'",
);

/// Anthropic's id of a federation rule.
pub const ANTHROPIC_RULE: CelRule = (
    r"self.matches(r'^fdrl_[A-Za-z0-9_-]+$')",
    "write the id of the federation rule as Anthropic's console shows it: it begins with fdrl_",
);

/// Anthropic's id of a service account.
pub const ANTHROPIC_ACCOUNT: CelRule = (
    r"self.matches(r'^svac_[A-Za-z0-9_-]+$')",
    "write the id of the service account as Anthropic's console shows it: it begins with svac_",
);

/// Anthropic's id of a workspace.
pub const ANTHROPIC_WORKSPACE: CelRule = (
    r"self.matches(r'^(default|wrkspc_[A-Za-z0-9_-]+)$')",
    "write default, or the id of the workspace as Anthropic's console shows it: it begins with wrkspc_",
);

/// A UUID.
pub const UUID: CelRule = (
    r"self.matches(r'^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$')",
    "write the id as the vendor's console shows it, a UUID: 8, 4, 4, 4 and 12 hexadecimal digits",
);

/// ARN of an IAM role.
pub const AWS_ROLE_ARN: CelRule = (
    r"self.matches(r'^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$')",
    "write the ARN of an IAM role, for example arn:aws:iam::123456789012:role/llm",
);

/// Name of an STS session.
pub const AWS_SESSION: CelRule = (
    r"self.matches(r'^[A-Za-z0-9_+=,.@-]+$')",
    "write a name of 2 to 64 letters, digits and any of _+=,.@-",
);

/// An Entra tenant.
pub const ENTRA_TENANT: CelRule = (
    r"self.matches(r'^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",
    "write the tenant's id, a UUID, or one of its domains, for example contoso.onmicrosoft.com",
);

/// A resource's scope at Entra.
pub const ENTRA_SCOPE: CelRule = (
    r"self.matches(r'^[a-z]+://[A-Za-z0-9._~/-]+/\.default$')",
    "write the resource with /.default behind it, for example https://cognitiveservices.azure.com/.default",
);

/// Resource name of a provider of a workload identity pool.
pub const GOOGLE_PROVIDER: CelRule = (
    r"self.matches(r'^(//iam\.googleapis\.com/)?projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$')",
    "write the provider's resource name, with the project's number: projects/123456789/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
);

/// A Google service account.
pub const GOOGLE_ACCOUNT: CelRule = (
    r"self.matches(r'^[a-z0-9-]+@([a-z0-9-]+\.)+gserviceaccount\.com$')",
    "write the e-mail address of a service account, for example llm@project.iam.gserviceaccount.com",
);

/// One vendor exchanges the token.
pub const ONE_EXCHANGER: CelRule = (
    "[has(self.openAI), has(self.anthropic), has(self.aws), has(self.entra), has(self.google), has(self.openRouter)].filter(named, named).size() == 1",
    "name exactly one of openAI, anthropic, aws, entra, google and openRouter: the vendor that exchanges the token",
);

/// The audience of the tokens that Entra takes, in each of its clouds.
pub const ENTRA_AUDIENCES: [&str; 3] = [
    "api://AzureADTokenExchange",
    "api://AzureADTokenExchangeUSGov",
    "api://AzureADTokenExchangeChina",
];
/// Entra takes tokens of [`ENTRA_AUDIENCES`].
pub const ENTRA_AUDIENCE: &str = "!has(self.entra) || self.audience in ['api://AzureADTokenExchange', 'api://AzureADTokenExchangeUSGov', 'api://AzureADTokenExchangeChina']";
/// What a violation of [`ENTRA_AUDIENCE`] tells the user.
pub const ENTRA_AUDIENCE_MESSAGE: &str = "write api://AzureADTokenExchange: Microsoft Entra takes no other audience (in its US government's and China's clouds with USGov or China behind it)";

/// A key, or an identity in place of one.
pub const KEY_OR_FEDERATION: &str = "has(self.secretRef) != has(self.federation)";
/// What a violation of [`KEY_OR_FEDERATION`] tells the user.
pub const KEY_OR_FEDERATION_MESSAGE: &str = "exactly one is required: secretRef, which names the Secret that holds the key, or federation, by which the vendor exchanges a token of a ServiceAccount";

/// A model is announced to end before it ends.
pub const END_FOLLOWS: &str =
    "!has(self.deprecatedAt) || !has(self.retiresAt) || self.deprecatedAt <= self.retiresAt";
/// What a violation of [`END_FOLLOWS`] tells the user.
pub const END_FOLLOWS_MESSAGE: &str =
    "write a time at or after deprecatedAt: a model is deprecated before it retires";

/// Nothing replaces itself.
pub const REPLACEMENT_DIFFERS: &str =
    "!has(self.replacement) || self.replacement.modelId != self.modelId";
/// What a violation of [`REPLACEMENT_DIFFERS`] tells the user.
pub const REPLACEMENT_DIFFERS_MESSAGE: &str =
    "name another model: this one does not replace itself";

/// No price is known for one length of prompt and unknown for another.
pub const TIERS_COMPLETE: &str = "!has(self.tiers) || self.tiers.all(t, has(t.inputPer1kTokens) == has(self.inputPer1kTokens) && has(t.outputPer1kTokens) == has(self.outputPer1kTokens))";
/// What a violation of [`TIERS_COMPLETE`] tells the user.
pub const TIERS_COMPLETE_MESSAGE: &str = "close the gap: name inputPer1kTokens in every tier and beside the tiers, or nowhere, and outputPer1kTokens likewise; a tier's prices stand in the place of all others";
/// A class is one of the two.
pub const CLASS_IS_ONE: &str = "has(self.models) != has(self.need)";
/// What a violation of [`CLASS_IS_ONE`] tells the user.
pub const CLASS_IS_ONE_MESSAGE: &str = "give exactly one of models (names of LlmModels, the preferred one first) and need (what a model must be)";

/// An order takes a list.
pub const CLASS_ORDER: &str = "!has(self.prefer) || self.prefer != 'Order' || has(self.models)";
/// What a violation of [`CLASS_ORDER`] tells the user.
pub const CLASS_ORDER_MESSAGE: &str =
    "Order is that of models, which are not given; prefer Price, Score or Context";

/// A score is a capability's.
pub const CLASS_SCORE: &str = "!has(self.prefer) || self.prefer != 'Score' || (has(self.need) && has(self.need.capabilities))";
/// What a violation of [`CLASS_SCORE`] tells the user.
pub const CLASS_SCORE_MESSAGE: &str =
    "a score is a capability's: name need.capabilities, or prefer another";

/// A need for nothing would be every model.
pub const NEED_SAYS_SOMETHING: &str = "has(self.capabilities) || has(self.minContextWindow) || has(self.minOutputTokens) || has(self.maxInputPricePer1kTokens) || has(self.maxOutputPricePer1kTokens) || has(self.currency) || has(self.providerTypes) || has(self.regions) || has(self.selector) || has(self.exclude) || (has(self.modalities) && (has(self.modalities.input) || has(self.modalities.output))) || has(self.embeddingDimensions) || has(self.recommendedFor) || has(self.promptTokens) || has(self.outputTokens)";
/// What a violation of [`NEED_SAYS_SOMETHING`] tells the user.
pub const NEED_SAYS_SOMETHING_MESSAGE: &str =
    "say what a model must be, for example capabilities: [FunctionCalling]";

/// A price is one of a currency.
pub const NEED_CURRENCY: &str = "has(self.currency) || !(has(self.maxInputPricePer1kTokens) || has(self.maxOutputPricePer1kTokens))";
/// What a violation of [`NEED_CURRENCY`] tells the user.
pub const NEED_CURRENCY_MESSAGE: &str = "a price needs its currency: write one, for example USD";

/// A least score is one of capabilities.
pub const NEED_SCORE: &str = "!has(self.minScore) || has(self.capabilities)";
/// What a violation of [`NEED_SCORE`] tells the user.
pub const NEED_SCORE_MESSAGE: &str = "a score is a capability's: name capabilities too";
