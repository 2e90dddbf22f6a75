//! Words by which servers say why they refuse, whoever they are: codes as
//! [`plain`](super::error_body::plain) writes them, and patterns over texts in lower case. A vendor's
//! own codes stand in its driver and come first.

use std::sync::LazyLock;

use regex::Regex;

use super::error_body::ErrorBody;

/// What words speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// The key is none, or is no longer one.
    BadKey,
    /// The account's quota, balance or credit.
    Billing,
    /// A right that the key lacks.
    Scope,
    /// The caller's address, country or organisation.
    Caller,
    /// Too many requests in some time.
    Rate,
    /// A model that is not there.
    NoModel,
    /// A path that is not there.
    NoPath,
    /// A token is missing, or so it says.
    NoToken,
    /// A firewall or a proxy in between.
    Firewall,
    /// The answer was cut at its limit of tokens.
    CutShort,
    /// The model is there for another call than this one.
    OtherOperation,
}

/// Whether a body speaks of this, by a code or by its text.
pub(super) fn speaks_of(body: &ErrorBody, topic: Topic) -> bool {
    has_code(body, topic) || has_text(body, topic)
}

/// Whether a code of it says so.
pub(super) fn has_code(body: &ErrorBody, topic: Topic) -> bool {
    body.has_code(match topic {
        Topic::BadKey => BAD_KEY_CODES,
        Topic::Billing => BILLING_CODES,
        Topic::Scope => SCOPE_CODES,
        Topic::Caller => CALLER_CODES,
        Topic::Rate => RATE_CODES,
        Topic::NoModel => NO_MODEL_CODES,
        Topic::NoPath => NO_PATH_CODES,
        Topic::NoToken => NO_TOKEN_CODES,
        Topic::Firewall | Topic::CutShort | Topic::OtherOperation => &[],
    })
}

/// Whether its text says so.
pub(super) fn has_text(body: &ErrorBody, topic: Topic) -> bool {
    let pattern = match topic {
        Topic::BadKey => &BAD_KEY,
        Topic::Billing => &BILLING,
        Topic::Scope => &SCOPE,
        Topic::Caller => &CALLER,
        Topic::Rate => &RATE,
        Topic::NoModel => &NO_MODEL,
        Topic::NoPath => &NO_PATH,
        Topic::NoToken => &NO_TOKEN,
        Topic::Firewall => &FIREWALL,
        Topic::CutShort => &CUT_SHORT,
        Topic::OtherOperation => &OTHER_OPERATION,
    };
    pattern.is_match(&body.text)
}

/// What a text names beside the key, as the other of two causes: a right or money that a genuine one lacks, as in
/// `Invalid API key or insufficient permissions`.
pub(super) fn blames_key_or(body: &ErrorBody) -> Option<Topic> {
    body.text.lines().find_map(|line| {
        let causes: Vec<&str> = EITHER.split(line).collect();
        let names = |cause: &str, pattern: &Regex| pattern.is_match(cause);
        let key = causes.iter().position(|cause| names(cause, &BAD_KEY))?;
        let mut others = causes.iter().enumerate().filter(|(at, _)| *at != key);
        others.find_map(|(_, cause)| {
            let topics = [(Topic::Billing, &*BILLING), (Topic::Scope, &*SCOPE)];
            let mut topics = topics.into_iter();
            topics.find_map(|(topic, pattern)| names(cause, pattern).then_some(topic))
        })
    })
}

const BAD_KEY_CODES: &[&str] = &[
    "accesskeyinvalid",
    "accountdeactivated",
    "apikeydisabled",
    "apikeyexpired",
    "apikeyinvalid",
    "apikeynotfound",
    "apikeyrevoked",
    "autherror",
    "authenticationerror",
    "authenticationfailed",
    "authenticationfailure",
    "authfailed",
    "authfailure",
    "badapikey",
    "badcredentials",
    "expiredapikey",
    "expiredkey",
    "expiredtoken",
    "incorrectapikey",
    "incorrectapikeyerror",
    "invalidaccesskey",
    "invalidaccesskeyid",
    "invalidaccesstoken",
    "invalidapikey",
    "invalidapikeyerror",
    "invalidapitoken",
    "invalidauth",
    "invalidauthentication",
    "invalidauthenticationerror",
    "invalidauthenticationtoken",
    "invalidauthorization",
    "invalidbearertoken",
    "invalidcredential",
    "invalidcredentials",
    "invalidkey",
    "invalidsignature",
    "invalidsubscriptionkey",
    "invalidtoken",
    "keyexpired",
    "keyinvalid",
    "signaturedoesnotmatch",
    "tokenexpired",
    "tokeninvalid",
    "unauthenticated",
    "wrongapikey",
];

const BILLING_CODES: &[&str] = &[
    "accountoverdue",
    "accountoverdueerror",
    "arrearage",
    "balanceexhausted",
    "balancenotenough",
    "billingerror",
    "billinghardlimitreached",
    "billinglimitreached",
    "billingnotactive",
    "creditbalanceexhausted",
    "creditbalancetoolow",
    "creditsexhausted",
    "exceededcurrentquota",
    "exceededcurrentquotaerror",
    "insufficientaccountbalance",
    "insufficientbalance",
    "insufficientcredit",
    "insufficientcredits",
    "insufficientfunds",
    "insufficientquota",
    "insufficientuserquota",
    "monthlylimitexceeded",
    "notenoughcredits",
    "outofcredits",
    "paymentrequired",
    "quotaexceeded",
    "quotaexhausted",
    "spendinglimitexceeded",
    "spendlimitexceeded",
    "spendlimitreached",
    "usagelimitexceeded",
];

const SCOPE_CODES: &[&str] = &[
    "insufficientpermission",
    "insufficientpermissions",
    "insufficientscope",
    "missingpermission",
    "missingpermissions",
    "missingscope",
    "missingscopes",
];

const CALLER_CODES: &[&str] = &[
    "apikeyhttpreferrerblocked",
    "apikeyipaddressblocked",
    "countrynotsupported",
    "geoblocked",
    "invalidorganization",
    "ipaddressnotallowed",
    "ipblocked",
    "ipnotallowed",
    "ipnotauthorized",
    "ipnotwhitelisted",
    "mismatchedorganization",
    "organizationrestricted",
    "regionnotsupported",
    "unsupportedcountryregionterritory",
    "unsupportedregion",
];

const RATE_CODES: &[&str] = &[
    "engineoverloadederror",
    "ratelimit",
    "ratelimiterror",
    "ratelimited",
    "ratelimitexceeded",
    "ratelimitreached",
    "ratelimitreachederror",
    // Google's for both, and for a passing one far more often.
    "resourceexhausted",
    "slowdown",
    "throttling",
    "toomanyrequests",
];

const NO_MODEL_CODES: &[&str] = &[
    "deploymentnotfound",
    "invalidendpointormodelnotfound",
    "invalidmodel",
    "modeldoesnotexist",
    "modelnotexist",
    "modelnotexists",
    "modelnotfound",
    "modelnotfounderror",
    "modelnotopen",
    "nosuchmodel",
    "unknownmodel",
];

const NO_PATH_CODES: &[&str] = &[
    "endpointnotfound",
    "methodnotallowed",
    "noroute",
    "notimplemented",
    "pathnotfound",
    "routenotfound",
    "unknownendpoint",
    "unknownoperationexception",
    "unknownurl",
];

const NO_TOKEN_CODES: &[&str] = &["missingauthenticationtokenexception"];

fn pattern(alternatives: &[&str]) -> Regex {
    let alternatives = alternatives.join("|");
    Regex::new(&alternatives).expect("the patterns of this file are patterns")
}

/// A key by any of its names. A token alone may be a model's.
const KEY: &str = r"(api[ _-]?keys?|api[ _-]?tokens?|(access|bearer|auth|authentication|authorization)[ _-]?(keys?|tokens?)|secret[ _-]?keys?|subscription[ _-]?key|credentials?|authorization header|x-api-key|security token|密钥|令牌|api key)";
const BAD: &str = r"(invalid|incorrect|wrong|unknown|unrecognized|malformed|expired|revoked|disabled|deactivated|inactive|leaked|not valid|not recognized|not exist|not found|no longer (valid|active)|could not be (verified|validated)|doesn't exist|无效|错误|过期|不正确|不存在)";

static BAD_KEY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        &format!(r"{BAD}[^.\n]{{0,40}}{KEY}"),
        &format!(r"{KEY}[^.\n]{{0,60}}{BAD}"),
        r"\b(invalid|expired|incorrect) token\b",
        r"\btoken (is |has )?(invalid|expired|incorrect|revoked)",
        r"\btoken (is|was) not valid",
        r"authentication fail",
        r"invalid authentication",
        r"invalid (username|user) or password",
        r"login fail",
        r"(身份验证|身份认证|认证|鉴权)失败",
        r"(clé|clave|chave|chiave)( d'| de | )?api[^.\n]{0,30}(invalide|inválida|no válida|non valida)",
        r"(ungültiger|falscher) (api-)?(schlüssel|key)",
        r"api[ -]?キー[^\n]{0,20}(無効|正しく)",
        r"유효하지 않은",
        r"(неверный|недействительный) [^\n]{0,10}(ключ|токен)",
    ])
});

static BILLING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"insufficient[^.\n]{0,30}(balance|credits?|funds|quota)\b",
        r"\b(balance|credits?|quota|funds)\b[^.\n]{0,30}(insufficient|exhausted|depleted|used up|too low|not enough|ran out|run out|exceeded|negative)",
        r"(exceeded|used up|exhausted|reached|reaching|hit|over) (your|its|the|this)[^.\n]{0,40}(quota|credits?|spending limit|spend limit|usage limit|monthly limit|budget)",
        r"(budget|spend(ing)? limit|usage limit|monthly limit)[^.\n]{0,30}(exceeded|reached|exhausted)",
        r"(out of|no more|not enough|doesn't have (any|enough)|does not have (any|enough)|don't have (any|enough)|no) (remaining )?(credits?|funds|quota|balance)\b",
        r"(purchase|buy|add)( more)? credits",
        r"(billing|payment)[^.\n]{0,30}(not active|inactive|required|overdue|past due|failed)",
        r"payment required",
        r"(account|balance|invoice)s?[^.\n]{0,30}(overdue|in arrears|past due|suspended due to)",
        r"in good standing",
        r"please (recharge|top[ -]?up)",
        r"余额不足|餘額不足|欠费|欠費|额度不足|额度已用|额度已耗|配额不足|配额已用|充值|资源包",
        r"残高(が)?不足|クレジット(が)?不足|잔액[^\n]{0,4}부족",
        r"(saldo|crédito)s? insuficiente|(solde|crédits?) insuffisant|guthaben[^\n]{0,20}(erschöpft|aufgebraucht|nicht aus)|недостаточно средств",
    ])
});

static SCOPE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"missing scopes?\b",
        r"insufficient (permissions?|scopes?|privileges?)",
        r"(lacks?|does not have|doesn't have|without) the (required|necessary) (scopes?|permissions?)",
    ])
});

static CALLER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"\borganization\b",
        r"\bip (address )?[^.\n]{0,40}(not allowed|not authorized|not on|not in|blocked|denied|restricted|whitelist)",
        r"\bip not authorized",
        r"\ballow ?list",
        r"(country|region|territory|location)[^.\n]{0,40}(not supported|unsupported|not available|restricted)",
        r"check your network settings",
        r"(您的|当前)? ?ip ?(地址)?[^\n]{0,10}(不在|不允许|禁止)",
        r"地区[^\n]{0,10}(不支持|不可用)",
    ])
});

static RATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"rate[ _-]?limit",
        r"too many (concurrent )?requests",
        r"(requests?|tokens?|queries|calls) per (second|minute|hour|day|min)\b",
        r"per[ -](second|minute|min)\b",
        r"\b(rpm|tpm|qps|rpd)\b",
        r"(retry|try again) (in|after) [0-9]",
        r"slow down",
        r"请求过于频繁|速率限制|频率|限流",
    ])
});

static NO_MODEL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"\b(model|deployment)\b[^\n]{0,200}(not found|not exist|doesn't exist|not available|unavailable|not supported)",
        r"(no such|unknown|invalid|unsupported) (base |chat )?(model|deployment)\b",
        r"(could not|couldn't|cannot|can't) find (the )?(model|deployment)\b",
        r"模型[^\n]{0,60}不存在|不存在[^\n]{0,10}模型|无效的模型",
    ])
});

static NO_PATH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"\b(invalid|unknown|unrecognized|unsupported|unexpected|no such) (request )?(url|endpoint|path|route)\b",
        r"\bno (matching )?(route|handler|endpoint)\b",
        r"\b(url|endpoint|path|route|page|file|resource)\b[^.\n]{0,60}(not found|does not exist|doesn't exist)",
        r"\b(could not route|cannot (get|post)|no static resource)\b",
        r"method not allowed",
    ])
});

static NO_TOKEN: LazyLock<Regex> = LazyLock::new(|| pattern(&[r"missing authentication token"]));

/// What stands between two causes.
static EITHER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"\b(or|and/or|oder|ou|o|или)\b",
        r"\s/\s",
        r"或者?|または|또는",
    ])
});

static FIREWALL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"^error code: 1[0-9]{3}\b",
        r"\berror 1[0-9]{3}\b: ",
        r"\brbac: access denied",
        r"(request|access)[^.\n]{0,40}(blocked|denied) by[^.\n]{0,40}(firewall|waf|security|policy|administrator|proxy)",
        r"\bweb application firewall\b",
        r"\b(cloudflare|akamai|incapsula|imperva|zscaler|fortigate|fortiguard|netskope)\b[^\n]{0,200}(block|denied|reference|error)",
    ])
});

static CUT_SHORT: LazyLock<Regex> = LazyLock::new(|| pattern(&[r"model output limit was reached"]));

static OTHER_OPERATION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"not a chat model",
        r"not in v1/chat/completions",
        r"not supported in the v1/",
        r"operation does not work with the specified model",
    ])
});
