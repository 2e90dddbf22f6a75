# Made by generate.py; edit the routes of the API, then run make generate-python instead.
"""Answers of the API, typed."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AwareDatetime,
    Field,
    RootModel,
    SecretStr,
    StringConstraints,
)
from typing_extensions import TypeAliasType

from llmplane._base import Answer


class AuditRow(Answer):
    """
    A row of the audit.
    """

    action: Annotated[str, Field(description="What was done.")]
    """What was done."""

    actor: Annotated[str, Field(description="Who did it: the Kubernetes user name.")]
    """Who did it: the Kubernetes user name."""

    actor_groups: Annotated[list[str], Field(description="The user's groups.")]
    """The user's groups."""

    actor_uid: Annotated[str | None, Field(description="The user's UID.")]
    """The user's UID."""

    at: Annotated[AwareDatetime, Field(description="When, by the database's clock.")]
    """When, by the database's clock."""

    count: Annotated[int, Field(description="How many equal requests it stands for.")]
    """How many equal requests it stands for."""

    credential_version: Annotated[int | None, Field(description="Version of the key.")]
    """Version of the key."""

    detail: Annotated[dict[str, Any], Field(description="Anything further.")]
    """Anything further."""

    fingerprint: Annotated[str | None, Field(description="Fingerprint of the key.")]
    """Fingerprint of the key."""

    hash: Annotated[
        str,
        Field(description="SHA-256 of this row, which covers the hash of the row before it: hexadecimal."),
    ]
    """SHA-256 of this row, which covers the hash of the row before it: hexadecimal."""

    kind: Annotated[str | None, Field(description="Kind of the object.")]
    """Kind of the object."""

    name: Annotated[str | None, Field(description="Name of the object.")]
    """Name of the object."""

    namespace: Annotated[str | None, Field(description="Namespace of the object.")]
    """Namespace of the object."""

    node: Annotated[str | None, Field(description="The node that the pod ran on.")]
    """The node that the pod ran on."""

    object_id: Annotated[UUID | None, Field(description="UID of the object.")]
    """UID of the object."""

    pod: Annotated[str | None, Field(description="The pod that the token was bound to.")]
    """The pod that the token was bound to."""

    pod_uid: Annotated[str | None, Field(description="UID of that pod.")]
    """UID of that pod."""

    purpose: Annotated[str | None, Field(description="Why, in the caller's words.")]
    """Why, in the caller's words."""

    result: Annotated[str, Field(description="What came of it: `Done` or `Disclosed`, or why not.")]
    """What came of it: `Done` or `Disclosed`, or why not."""

    seq: Annotated[int, Field(description="Position in the chain: 1 for the first.")]
    """Position in the chain: 1 for the first."""

    token_id: Annotated[str | None, Field(description="The token's id.")]
    """The token's id."""

    unreadable: Annotated[
        list[str] | None,
        Field(
            description="Columns that hold what cannot be read, so that someone edited them: they count as empty here. Only\nwhere there are some."
        ),
    ] = None
    """
    Columns that hold what cannot be read, so that someone edited them: they count as empty here. Only
    where there are some.
    """


class Capability(Answer):
    """
    One thing a model can do, and how well.
    """

    name: str
    score: Annotated[
        int | None,
        Field(description="How well, from 1 (poor) to 5 (excellent); null: nobody said."),
    ]
    """How well, from 1 (poor) to 5 (excellent); null: nobody said."""


class ClassNeed(Answer):
    """
    What a model must be: every part that is null or empty asks for nothing.
    """

    cached_tokens: Annotated[
        int | None,
        Field(description="Of those, the tokens that the vendor's cache holds."),
    ]
    """Of those, the tokens that the vendor's cache holds."""

    capabilities: list[str]
    currency: Annotated[
        str | None,
        Field(description="ISO 4217 code of the only currency that its prices may be in."),
    ]
    """ISO 4217 code of the only currency that its prices may be in."""

    embedding_dimensions: Annotated[int | None, Field(description="It answers vectors of so many numbers.")]
    """It answers vectors of so many numbers."""

    exclude: Annotated[
        list[str],
        Field(description="It is none of these, by name, display name or `model_id`."),
    ]
    """It is none of these, by name, display name or `model_id`."""

    input_modalities: list[str]
    max_input_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of prompt in `currency`, at most: a decimal number."),
    ]
    """Price of 1,000 tokens of prompt in `currency`, at most: a decimal number."""

    max_output_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of answer in `currency`, at most: a decimal number."),
    ]
    """Price of 1,000 tokens of answer in `currency`, at most: a decimal number."""

    min_context_window: Annotated[int | None, Field(description="Tokens of prompt and answer together, at least.")]
    """Tokens of prompt and answer together, at least."""

    min_output_tokens: Annotated[int | None, Field(description="Tokens of answer, at least.")]
    """Tokens of answer, at least."""

    min_score: Annotated[int | None, Field(description="It scores at least this in each of them.")]
    """It scores at least this in each of them."""

    output_modalities: list[str]
    output_tokens: Annotated[
        int | None,
        Field(description="Tokens of answer of a typical call, which prices are compared for."),
    ]
    """Tokens of answer of a typical call, which prices are compared for."""

    prompt_tokens: Annotated[
        int | None,
        Field(description="Tokens of prompt of a typical call, which prices are compared for."),
    ]
    """Tokens of prompt of a typical call, which prices are compared for."""

    provider_types: list[str]
    recommended_for: Annotated[list[str], Field(description="It is recommended for all of these tasks.")]
    """It is recommended for all of these tasks."""

    regions: Annotated[list[str], Field(description="It is served in one of these regions.")]
    """It is served in one of these regions."""

    selector: Annotated[dict[str, str], Field(description="It has these labels.")]
    """It has these labels."""


class Condition(Answer):
    """
    A condition, with Kubernetes' field names.
    """

    lastTransitionTime: Annotated[AwareDatetime, Field(description="When the status last changed.")]
    """When the status last changed."""

    message: Annotated[str, Field(description="Why, in a sentence or two.")]
    """Why, in a sentence or two."""

    observedGeneration: Annotated[int | None, Field(description="The generation of the object that it speaks of.")]
    """The generation of the object that it speaks of."""

    reason: Annotated[str, Field(description="Why, in one word.")]
    """Why, in one word."""

    status: Annotated[str, Field(description="`True`, `False` or `Unknown`.")]
    """`True`, `False` or `Unknown`."""

    type: Annotated[str, Field(description="What it is about, for example `Ready`.")]
    """What it is about, for example `Ready`."""


class ConsideredModel(Answer):
    """
    A model that was passed over.
    """

    detail: Annotated[str | None, Field(description="What of it, where the word alone does not say.")]
    """What of it, where the word alone does not say."""

    model: Annotated[str, Field(description="Its name.")]
    """Its name."""

    namespace: Annotated[str, Field(description="Its namespace.")]
    """Its namespace."""

    reason: str


class CountedNeed(Answer):
    """
    Requests for one thing.
    """

    count: Annotated[int, Field(description="How many requests.")]
    """How many requests."""

    last_day: Annotated[
        date,
        Field(description="The last day (UTC) on which one came.", examples=["2026-03-04"]),
    ]
    """The last day (UTC) on which one came."""

    namespaces: Annotated[
        list[list[str]],
        Field(
            description='Where it was looked for: lists of namespaces, those of a later list only where an earlier one has\nnothing. `["*"]`: in all.'
        ),
    ]
    """
    Where it was looked for: lists of namespaces, those of a later list only where an earlier one has
    nothing. `["*"]`: in all.
    """

    need: Annotated[
        dict[str, Any],
        Field(
            description="What was asked for: the body of `POST /resolve` in one form, without `purpose` and `all_targets`."
        ),
    ]
    """What was asked for: the body of `POST /resolve` in one form, without `purpose` and `all_targets`."""


class Anthropic(Answer):
    """
    Exchange at Anthropic, for a provider of type `Anthropic`.
    """

    federation_rule_id: Annotated[
        str,
        Field(
            description="The federation rule, `fdrl_...`.",
            max_length=128,
            pattern="^fdrl_[A-Za-z0-9_-]+$",
        ),
    ]
    """The federation rule, `fdrl_...`."""

    organization_id: Annotated[
        str,
        Field(
            description="The organization, a UUID.",
            max_length=36,
            pattern="^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
        ),
    ]
    """The organization, a UUID."""

    service_account_id: Annotated[
        str,
        Field(
            description="The service account that the token acts as, `svac_...`.",
            max_length=128,
            pattern="^svac_[A-Za-z0-9_-]+$",
        ),
    ]
    """The service account that the token acts as, `svac_...`."""

    workspace_id: Annotated[
        str | None,
        Field(
            description="The workspace, `wrkspc_...` or `default`: needed where the rule covers several.",
            max_length=128,
            pattern="^(default|wrkspc_[A-Za-z0-9_-]+)$",
        ),
    ] = None
    """The workspace, `wrkspc_...` or `default`: needed where the rule covers several."""


class Aws(Answer):
    """
    Exchange at AWS STS, for a provider of type `Bedrock`.
    """

    role_arn: Annotated[
        str,
        Field(
            description="The role that is assumed.",
            max_length=2048,
            pattern="^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$",
        ),
    ]
    """The role that is assumed."""

    session_name: Annotated[
        str | None,
        Field(
            description="Name of the session in CloudTrail; namespace and name of the credential without it.",
            max_length=64,
            min_length=2,
            pattern="^[A-Za-z0-9_+=,.@-]+$",
        ),
    ] = None
    """Name of the session in CloudTrail; namespace and name of the credential without it."""


class Entra(Answer):
    """
    Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`.
    """

    client_id: Annotated[
        str,
        Field(
            description="The application, or the user-assigned identity, that has the federated credential.",
            max_length=36,
            pattern="^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
        ),
    ]
    """The application, or the user-assigned identity, that has the federated credential."""

    scope: Annotated[
        str | None,
        Field(
            description="What the token is for; Foundry's projects take `https://ai.azure.com/.default`.",
            max_length=255,
            pattern="^[a-z]+://[A-Za-z0-9._~/-]+/\\.default$",
        ),
    ] = "https://cognitiveservices.azure.com/.default"
    """What the token is for; Foundry's projects take `https://ai.azure.com/.default`."""

    tenant_id: Annotated[
        str,
        Field(
            description="The tenant, its id or a domain of it.",
            max_length=253,
            pattern="^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        ),
    ]
    """The tenant, its id or a domain of it."""


class Google(Answer):
    """
    Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI.
    """

    provider: Annotated[
        str,
        Field(
            description="Resource name of the pool's provider:\n`projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.",
            max_length=300,
            pattern="^(//iam\\.googleapis\\.com/)?projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$",
        ),
    ]
    """
    Resource name of the pool's provider:
    `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    """

    service_account_email: Annotated[
        str | None,
        Field(
            description="The service account that is impersonated; without it the federated token itself is used.",
            max_length=255,
            pattern="^[a-z0-9-]+@([a-z0-9-]+\\.)+gserviceaccount\\.com$",
        ),
    ] = None
    """The service account that is impersonated; without it the federated token itself is used."""


class OpenAi(Answer):
    """
    Exchange at OpenAI, for a provider of type `OpenAI`.
    """

    identity_provider_id: Annotated[
        str,
        Field(
            description="The workload identity provider, for example `idp_abc123`.",
            max_length=128,
            pattern="^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$",
        ),
    ]
    """The workload identity provider, for example `idp_abc123`."""

    service_account_id: Annotated[
        str,
        Field(
            description="The service account that the token acts as, for example `svc_acct_abc123`.",
            max_length=128,
            pattern="^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$",
        ),
    ]
    """The service account that the token acts as, for example `svc_acct_abc123`."""


class OpenRouter(Answer):
    """
    Exchange at OpenRouter, for a provider of type `OpenAICompatible`.
    """

    federation_policy_id: Annotated[
        str,
        Field(
            description="The federation policy.",
            max_length=128,
            pattern="^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$",
        ),
    ]
    """The federation policy."""


class ServiceAccountRef(Answer):
    """
    The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject.
    """

    name: Annotated[
        str,
        Field(
            description="Name of the object, in this namespace.",
            max_length=253,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ]
    """Name of the object, in this namespace."""


class Federation(Answer):
    """
    No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own.
    """

    anthropic: Annotated[
        Anthropic | None,
        Field(description="Exchange at Anthropic, for a provider of type `Anthropic`."),
    ] = None
    """Exchange at Anthropic, for a provider of type `Anthropic`."""

    audience: Annotated[
        str,
        Field(
            description="Audience of the tokens, as the vendor is told to expect it. Not the cluster's issuer, the controller's own or the API's.",
            max_length=255,
            min_length=1,
            pattern="^[!-~]+$",
        ),
    ]
    """Audience of the tokens, as the vendor is told to expect it. Not the cluster's issuer, the controller's own or the API's."""

    aws: Annotated[
        Aws | None,
        Field(description="Exchange at AWS STS, for a provider of type `Bedrock`."),
    ] = None
    """Exchange at AWS STS, for a provider of type `Bedrock`."""

    entra: Annotated[
        Entra | None,
        Field(description="Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`."),
    ] = None
    """Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`."""

    expiration_seconds: Annotated[
        int | None,
        Field(
            description="Seconds that a token of the ServiceAccount lives before it is exchanged.",
            ge=600,
            le=3600,
        ),
    ] = 3600
    """Seconds that a token of the ServiceAccount lives before it is exchanged."""

    google: Annotated[
        Google | None,
        Field(description="Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI."),
    ] = None
    """Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI."""

    open_ai: Annotated[
        OpenAi | None,
        Field(description="Exchange at OpenAI, for a provider of type `OpenAI`."),
    ] = None
    """Exchange at OpenAI, for a provider of type `OpenAI`."""

    open_router: Annotated[
        OpenRouter | None,
        Field(description="Exchange at OpenRouter, for a provider of type `OpenAICompatible`."),
    ] = None
    """Exchange at OpenRouter, for a provider of type `OpenAICompatible`."""

    service_account_ref: Annotated[
        ServiceAccountRef,
        Field(description="The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject."),
    ]
    """The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject."""


class AllowedHost(RootModel[str]):
    root: Annotated[
        str,
        Field(
            max_length=255,
            pattern="^((https?://)?(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|([A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?\\.)*[A-Za-z]([-A-Za-z0-9_]*[A-Za-z0-9_])?)(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?|(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:)))$",
        ),
    ]


class EndpointId(RootModel[str]):
    root: Annotated[
        str,
        Field(
            max_length=253,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ]


class Federation1(Answer):
    """
    No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own. Without it: as it is.
    """

    anthropic: Annotated[
        Anthropic | None,
        Field(description="Exchange at Anthropic, for a provider of type `Anthropic`."),
    ] = None
    """Exchange at Anthropic, for a provider of type `Anthropic`."""

    audience: Annotated[
        str,
        Field(
            description="Audience of the tokens, as the vendor is told to expect it. Not the cluster's issuer, the controller's own or the API's.",
            max_length=255,
            min_length=1,
            pattern="^[!-~]+$",
        ),
    ]
    """Audience of the tokens, as the vendor is told to expect it. Not the cluster's issuer, the controller's own or the API's."""

    aws: Annotated[
        Aws | None,
        Field(description="Exchange at AWS STS, for a provider of type `Bedrock`."),
    ] = None
    """Exchange at AWS STS, for a provider of type `Bedrock`."""

    entra: Annotated[
        Entra | None,
        Field(description="Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`."),
    ] = None
    """Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`."""

    expiration_seconds: Annotated[
        int | None,
        Field(
            description="Seconds that a token of the ServiceAccount lives before it is exchanged.",
            ge=600,
            le=3600,
        ),
    ] = 3600
    """Seconds that a token of the ServiceAccount lives before it is exchanged."""

    google: Annotated[
        Google | None,
        Field(description="Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI."),
    ] = None
    """Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI."""

    open_ai: Annotated[
        OpenAi | None,
        Field(description="Exchange at OpenAI, for a provider of type `OpenAI`."),
    ] = None
    """Exchange at OpenAI, for a provider of type `OpenAI`."""

    open_router: Annotated[
        OpenRouter | None,
        Field(description="Exchange at OpenRouter, for a provider of type `OpenAICompatible`."),
    ] = None
    """Exchange at OpenRouter, for a provider of type `OpenAICompatible`."""

    service_account_ref: Annotated[
        ServiceAccountRef,
        Field(description="The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject."),
    ]
    """The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject."""


class CredentialReplacement(Answer):
    access_token: Annotated[
        SecretStr | None,
        Field(
            description="A session token or an access token. It is stored in a Secret and never shown.",
            max_length=16384,
            min_length=1,
        ),
    ] = None
    """A session token or an access token. It is stored in a Secret and never shown."""

    access_token_entry: Annotated[
        str | None,
        Field(
            description="Entry that holds a session token or an access token. Without it: as it is.",
            max_length=253,
            pattern="^[-._a-zA-Z0-9]+$",
        ),
    ] = None
    """Entry that holds a session token or an access token. Without it: as it is."""

    alias: Annotated[
        str | None,
        Field(
            description="A short name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """A short name shown to people."""

    allowed_hosts: Annotated[
        list[AllowedHost] | None,
        Field(
            description="Hosts beside the vendor's own that the key may be sent to: the annotation of its Secret.",
            max_length=50,
        ),
    ] = None
    """Hosts beside the vendor's own that the key may be sent to: the annotation of its Secret."""

    api_key: Annotated[
        SecretStr | None,
        Field(
            description="The API key, or the access key id. It is stored in a Secret and never shown.",
            max_length=500,
            min_length=1,
        ),
    ] = None
    """The API key, or the access key id. It is stored in a Secret and never shown."""

    api_key_entry: Annotated[
        str | None,
        Field(
            description="Entry that holds the API key, or the access key id. Without it: as it is.",
            max_length=253,
            pattern="^[-._a-zA-Z0-9]+$",
        ),
    ] = None
    """Entry that holds the API key, or the access key id. Without it: as it is."""

    description: Annotated[
        str | None,
        Field(
            description="What it is for, in a sentence or two.",
            max_length=1000,
            pattern="^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]*$",
        ),
    ] = None
    """What it is for, in a sentence or two."""

    endpoint_ids: Annotated[
        list[EndpointId] | None,
        Field(
            description="The endpoints that it is for, by id or name; empty: all of the provider's.",
            max_length=10,
        ),
    ] = None
    """The endpoints that it is for, by id or name; empty: all of the provider's."""

    expires_at: Annotated[
        AwareDatetime | None,
        Field(description="When it stops being given out (RFC 3339)."),
    ] = None
    """When it stops being given out (RFC 3339)."""

    federation: Annotated[
        Federation1 | None,
        Field(
            description="No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own. Without it: as it is."
        ),
    ] = None
    """No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own. Without it: as it is."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: it is not checked and not given to anyone. Without it: as it is."),
    ] = None
    """Off: it is not checked and not given to anyone. Without it: as it is."""

    name: Annotated[
        str | None,
        Field(
            description="Name of the object, which cannot be changed.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ] = None
    """Name of the object, which cannot be changed."""

    priority: Annotated[
        int | None,
        Field(
            description="Preference among the provider's credentials: lower is given first.",
            ge=0,
            le=1000000,
        ),
    ] = 100
    """Preference among the provider's credentials: lower is given first."""

    quota_limit: Annotated[
        int | None,
        Field(description="How many units in a period.", ge=1, le=1000000000000),
    ] = None
    """How many units in a period."""

    quota_period: Annotated[str | None, Field(description="The period.")] = None
    """The period."""

    quota_unit: Annotated[
        str | None,
        Field(description="What is counted: `Disclosures` is enforced; the others are published for the client."),
    ] = None
    """What is counted: `Disclosures` is enforced; the others are published for the client."""

    secret_key: Annotated[
        SecretStr | None,
        Field(
            description="The secret key that goes with it. It is stored in a Secret and never shown.",
            max_length=500,
            min_length=1,
        ),
    ] = None
    """The secret key that goes with it. It is stored in a Secret and never shown."""

    secret_key_entry: Annotated[
        str | None,
        Field(
            description="Entry that holds the secret key. Without it: as it is.",
            max_length=253,
            pattern="^[-._a-zA-Z0-9]+$",
        ),
    ] = None
    """Entry that holds the secret key. Without it: as it is."""

    secret_name: Annotated[
        str | None,
        Field(
            description="Name of the Secret, in this namespace. It needs the label `llmplane.dev/credential`. Without it: as it is.",
            max_length=253,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ] = None
    """Name of the Secret, in this namespace. It needs the label `llmplane.dev/credential`. Without it: as it is."""


class CredentialVersion(Answer):
    """
    A version of a key.
    """

    fingerprint: Annotated[str, Field(description="Fingerprint of the key.")]
    """Fingerprint of the key."""

    since: Annotated[AwareDatetime, Field(description="Since when it is in this state.")]
    """Since when it is in this state."""

    state: str
    version: Annotated[int, Field(description="Its number: 1 for the first.")]
    """Its number: 1 for the first."""


class CurrentModel(Answer):
    """
    The model that a class means, and where that is called.
    """

    endpoint: Annotated[str, Field(description="Name of the endpoint that is tried first.")]
    """Name of the endpoint that is tried first."""

    model: Annotated[str, Field(description="Name of the model.")]
    """Name of the model."""


class Declared(Answer):
    """
    What is declared now, or would be; its row is not there yet, or is not to be made.
    """

    conditions: Annotated[
        list[Condition],
        Field(
            description="The conditions of the object's status: they say why there is no row, where the controller has\nlooked at it."
        ),
    ]
    """
    The conditions of the object's status: they say why there is no row, where the controller has
    looked at it.
    """

    declared: Annotated[
        dict[str, Any],
        Field(description="The fields that are declared, by their names in rows; `endpoint_ids` holds names."),
    ]
    """The fields that are declared, by their names in rows; `endpoint_ids` holds names."""

    dry_run: Annotated[bool, Field(description="Whether nothing was changed, for it was only tried.")]
    """Whether nothing was changed, for it was only tried."""

    id: Annotated[
        UUID | None,
        Field(description="UID of the object; null where it would be made."),
    ]
    """UID of the object; null where it would be made."""

    kind: Annotated[str, Field(description="Kind of the object, for example `LlmProvider`.")]
    """Kind of the object, for example `LlmProvider`."""

    name: Annotated[str, Field(description="Its name.")]
    """Its name."""

    namespace: Annotated[str, Field(description="Its namespace.")]
    """Its namespace."""


class DeletedObject(Answer):
    """
    An object that is deleted.
    """

    id: Annotated[UUID | None, Field(description="Its UID.")]
    """Its UID."""

    kind: Annotated[str, Field(description="Its kind, for example `LlmProvider`.")]
    """Its kind, for example `LlmProvider`."""

    name: Annotated[str, Field(description="Its name.")]
    """Its name."""

    namespace: Annotated[str, Field(description="Its namespace.")]
    """Its namespace."""


class EndpointReplacement(Answer):
    api_version: Annotated[
        str | None,
        Field(
            description="API version that the vendor wants in its calls, for example Azure's `2024-10-21`.",
            max_length=64,
            pattern="^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$",
        ),
    ] = None
    """API version that the vendor wants in its calls, for example Azure's `2024-10-21`."""

    base_url: Annotated[
        str | None,
        Field(
            description="Where it answers, for example `https://api.openai.com/v1`. Optional where the provider's\ntype has a default for the region.",
            max_length=2048,
            pattern="^https?://(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|([A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?\\.)*[A-Za-z]([-A-Za-z0-9_]*[A-Za-z0-9_])?)(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?(/([-A-Za-z0-9._~!$&()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?$",
        ),
    ] = None
    """
    Where it answers, for example `https://api.openai.com/v1`. Optional where the provider's
    type has a default for the region.
    """

    display_name: Annotated[
        str | None,
        Field(
            description="Name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """Name shown to people."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: it is not checked and not given to clients. Without it: as it is."),
    ] = None
    """Off: it is not checked and not given to clients. Without it: as it is."""

    name: Annotated[
        str | None,
        Field(
            description="Name of the object, which cannot be changed.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ] = None
    """Name of the object, which cannot be changed."""

    priority: Annotated[
        int | None,
        Field(
            description="Failover order among the provider's endpoints: lower is tried first.",
            ge=0,
            le=1000000,
        ),
    ] = 100
    """Failover order among the provider's endpoints: lower is tried first."""

    region: Annotated[
        str | None,
        Field(
            description="The vendor's name of the region, for example `us-east-1`.",
            max_length=64,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        ),
    ] = None
    """The vendor's name of the region, for example `us-east-1`."""

    retry_count: Annotated[int | None, Field(description="Further attempts after the first.", ge=0, le=10)] = 2
    """Further attempts after the first."""

    retry_interval_ms: Annotated[
        int | None,
        Field(description="Milliseconds between two attempts.", ge=0, le=60000),
    ] = 500
    """Milliseconds between two attempts."""

    timeout_connect: Annotated[
        int | None,
        Field(
            description="Seconds that a client that calls models should wait for a connection.",
            ge=1,
            le=300,
        ),
    ] = 5
    """Seconds that a client that calls models should wait for a connection."""

    timeout_read: Annotated[
        int | None,
        Field(
            description="Seconds that a client that calls models should wait for an answer.",
            ge=1,
            le=3600,
        ),
    ] = 60
    """Seconds that a client that calls models should wait for an answer."""


class Exchange(Answer):
    """
    How a caller exchanges a token of its ServiceAccount for one of the vendor's. Nothing of it is secret.
    """

    audience: Annotated[str, Field(description="Audience that the token must have.")]
    """Audience that the token must have."""

    ids: Annotated[
        dict[str, Any],
        Field(description="The vendor's ids of the agreement, by the vendor's own names of them."),
    ]
    """The vendor's ids of the agreement, by the vendor's own names of them."""

    method: Annotated[
        str,
        Field(
            description="The protocol: `token_exchange` (RFC 8693), `jwt_bearer` (RFC 7523), `client_assertion` (RFC 7521) or\n`assume_role_with_web_identity` (AWS STS)."
        ),
    ]
    """
    The protocol: `token_exchange` (RFC 8693), `jwt_bearer` (RFC 7523), `client_assertion` (RFC 7521) or
    `assume_role_with_web_identity` (AWS STS).
    """

    token_url: Annotated[str, Field(description="Where the token is sent to.")]
    """Where the token is sent to."""


class FoundString(Answer):
    """
    A string that was found somewhere.
    """

    key: Annotated[
        SecretStr,
        Field(
            description="The string: a key, or a field of one, or a line that it stands in. It is never logged.",
            max_length=16384,
            min_length=1,
        ),
    ]
    """The string: a key, or a field of one, or a line that it stands in. It is never logged."""


class Holder(Answer):
    """
    Someone who was given a key.
    """

    actor: Annotated[str, Field(description="The Kubernetes user name.")]
    """The Kubernetes user name."""

    fingerprint: Annotated[str, Field(description="Fingerprint of that version.")]
    """Fingerprint of that version."""

    last_at: Annotated[AwareDatetime, Field(description="When that was.")]
    """When that was."""

    node: Annotated[str | None, Field(description="The node that the pod ran on.")]
    """The node that the pod ran on."""

    pod: Annotated[
        str | None,
        Field(description="The pod that its token was bound to; null: a token of no pod."),
    ]
    """The pod that its token was bound to; null: a token of no pod."""

    pod_uid: Annotated[str | None, Field(description="UID of that pod.")]
    """UID of that pod."""

    purpose: Annotated[str | None, Field(description="Why, in its words.")]
    """Why, in its words."""

    seq: Annotated[int, Field(description="Position of the row of the audit that says so.")]
    """Position of the row of the audit that says so."""

    version: Annotated[int, Field(description="The version that it was given last.")]
    """The version that it was given last."""


class Holders(Answer):
    """
    Who was given which version of a key last.
    """

    credential_id: Annotated[UUID, Field(description="The credential.")]
    """The credential."""

    is_partial: Annotated[
        bool,
        Field(
            description="Whether there are more than the answer holds, or may be: of thousands, those are looked up that are found\nsoon, and those of the newest rows. The command `llmplane rotation status` counts all."
        ),
    ]
    """
    Whether there are more than the answer holds, or may be: of thousands, those are looked up that are found
    soon, and those of the newest rows. The command `llmplane rotation status` counts all.
    """

    items: Annotated[
        list[Holder],
        Field(description="One row for each caller and pod, the latest first."),
    ]
    """One row for each caller and pod, the latest first."""

    revision: Annotated[int, Field(description="The revision that `versions` is of.")]
    """The revision that `versions` is of."""

    versions: Annotated[
        list[CredentialVersion],
        Field(description="The versions of its key, newest first; at most 10."),
    ]
    """The versions of its key, newest first; at most 10."""


class KeyDisclosure(Answer):
    """
    A key that was given out.
    """

    actor: Annotated[str, Field(description="To whom: the Kubernetes user name.")]
    """To whom: the Kubernetes user name."""

    at: Annotated[AwareDatetime, Field(description="When.")]
    """When."""

    node: Annotated[str | None, Field(description="The node that the pod ran on.")]
    """The node that the pod ran on."""

    pod: Annotated[str | None, Field(description="The pod that its token was bound to.")]
    """The pod that its token was bound to."""

    pod_uid: Annotated[str | None, Field(description="UID of that pod.")]
    """UID of that pod."""

    purpose: Annotated[str | None, Field(description="Why, in its words.")]
    """Why, in its words."""

    seq: Annotated[int, Field(description="Position of the row of the audit that says so.")]
    """Position of the row of the audit that says so."""


class LangChain(Answer):
    """
    Arguments of LangChain's `init_chat_model`.
    """

    callable_kwargs: Annotated[
        list[str] | None,
        Field(
            description="Arguments that take a function in place of the token, which the client calls for each request; only\nwhere the credential is a short-lived token. Without one the client is made anew when its token ends."
        ),
    ] = None
    """
    Arguments that take a function in place of the token, which the client calls for each request; only
    where the credential is a short-lived token. Without one the client is made anew when its token ends.
    """

    kwargs: Annotated[dict[str, Any], Field(description="All its other arguments.")]
    """All its other arguments."""

    model: Annotated[str, Field(description="Its argument `model`.")]
    """Its argument `model`."""

    model_provider: Annotated[str, Field(description="Its argument `model_provider`.")]
    """Its argument `model_provider`."""

    secret_kwargs: Annotated[
        dict[str, Any] | None,
        Field(
            description="By argument, the field of `secret` that goes into it; only beside a key. A name with dots is a\npath into nested arguments; what goes into one that ends in `Authorization` has `Bearer ` before\nit."
        ),
    ] = None
    """
    By argument, the field of `secret` that goes into it; only beside a key. A name with dots is a
    path into nested arguments; what goes into one that ends in `Authorization` has `Bearer ` before
    it.
    """


class Limit(Answer):
    """
    How much of a model may be used.
    """

    limit: Annotated[int, Field(description="How many in a period, or at once.")]
    """How many in a period, or at once."""

    period: str | None
    unit: str


class Capability1(Answer):
    """
    One thing a model can do, and how well.
    """

    name: Annotated[str, Field(description="What it can do.")]
    """What it can do."""

    score: Annotated[
        int | None,
        Field(
            description="How well, from 1 (poor) to 5 (excellent); without it: it can, and nobody said how well.",
            ge=1,
            le=5,
        ),
    ] = None
    """How well, from 1 (poor) to 5 (excellent); without it: it can, and nobody said how well."""


class Limit1(Answer):
    """
    How much of a model may be used.
    """

    limit: Annotated[
        int,
        Field(description="How many in a period, or at once.", ge=1, le=1000000000000),
    ]
    """How many in a period, or at once."""

    period: Annotated[str | None, Field(description="The period; `ConcurrentRequests` has none.")] = None
    """The period; `ConcurrentRequests` has none."""

    unit: Annotated[str, Field(description="What is counted.")]
    """What is counted."""


class PriceTier1(Answer):
    """
    Prices of calls with at least so many tokens of prompt.
    """

    audio_input_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of audio in the prompt.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of audio in the prompt."""

    audio_output_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of audio in the answer.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of audio in the answer."""

    batch_input_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt in a batch.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt in a batch."""

    batch_output_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of answer in a batch.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of answer in a batch."""

    cache_read_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt that the vendor's cache holds.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt that the vendor's cache holds."""

    cache_write_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt that are written into the vendor's cache.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt that are written into the vendor's cache."""

    from_input_tokens: Annotated[
        int,
        Field(
            description="Tokens of prompt from which these prices hold.",
            ge=1,
            le=1000000000,
        ),
    ]
    """Tokens of prompt from which these prices hold."""

    input_price: Annotated[
        str | None,
        Field(
            description='Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`.',
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`."""

    output_price: Annotated[
        str | None,
        Field(
            description='Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`.',
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`."""

    reasoning_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of reasoning, where it is not that of the answer.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of reasoning, where it is not that of the answer."""


class RecommendedForItem(RootModel[str]):
    root: Annotated[str, Field(max_length=100, min_length=1, pattern="^[^\\x00-\\x1f\\x7f]*$")]


class ModelReplacement(Answer):
    audio_input_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of audio in the prompt.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of audio in the prompt."""

    audio_output_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of audio in the answer.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of audio in the answer."""

    base_model: Annotated[
        str | None,
        Field(
            description="The vendor's model behind a deployment, a fine-tune or a local name: the catalog is asked for\nthis one.",
            max_length=256,
            pattern="^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?$",
        ),
    ] = None
    """
    The vendor's model behind a deployment, a fine-tune or a local name: the catalog is asked for
    this one.
    """

    batch_input_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt in a batch.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt in a batch."""

    batch_output_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of answer in a batch.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of answer in a batch."""

    cache_read_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt that the vendor's cache holds.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt that the vendor's cache holds."""

    cache_write_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt that are written into the vendor's cache.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt that are written into the vendor's cache."""

    capabilities: Annotated[list[Capability1] | None, Field(description="What it can do.", max_length=13)] = None
    """What it can do."""

    context_window: Annotated[
        int | None,
        Field(description="Tokens of prompt and answer together.", ge=1, le=1000000000),
    ] = None
    """Tokens of prompt and answer together."""

    currency: Annotated[
        str | None,
        Field(
            description="ISO 4217 code of the currency, for example `USD`.",
            max_length=3,
            pattern="^[A-Z]{3}$",
        ),
    ] = None
    """ISO 4217 code of the currency, for example `USD`."""

    default_parameters: Annotated[
        dict[str, Any] | None,
        Field(
            description="Parameters that clients send unless they know better. Any JSON object of at most 32 levels\nand 16 KiB."
        ),
    ] = None
    """
    Parameters that clients send unless they know better. Any JSON object of at most 32 levels
    and 16 KiB.
    """

    deprecated_at: Annotated[
        AwareDatetime | None,
        Field(description="Since when the vendor advises against it (RFC 3339)."),
    ] = None
    """Since when the vendor advises against it (RFC 3339)."""

    display_name: Annotated[
        str | None,
        Field(
            description="Name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """Name shown to people."""

    embedding_dimensions: Annotated[
        int | None,
        Field(
            description="Numbers in a vector that it answers, where it embeds.",
            ge=1,
            le=1000000,
        ),
    ] = None
    """Numbers in a vector that it answers, where it embeds."""

    endpoint_ids: Annotated[
        list[EndpointId] | None,
        Field(
            description="The endpoints that it is for, by id or name; empty: all of the provider's.",
            max_length=10,
        ),
    ] = None
    """The endpoints that it is for, by id or name; empty: all of the provider's."""

    image_price: Annotated[
        str | None,
        Field(
            description="Price of one image that is made.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of one image that is made."""

    input_modalities: Annotated[
        list[str] | None,
        Field(description="What it takes; empty: unknown.", max_length=5),
    ] = None
    """What it takes; empty: unknown."""

    input_price: Annotated[
        str | None,
        Field(
            description='Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`.',
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: it is not checked and not given to clients. Without it: as it is."),
    ] = None
    """Off: it is not checked and not given to clients. Without it: as it is."""

    limits: Annotated[
        list[Limit1] | None,
        Field(
            description="How much of it may be used, published for clients.",
            max_length=20,
        ),
    ] = None
    """How much of it may be used, published for clients."""

    max_input_tokens: Annotated[int | None, Field(description="Tokens of prompt.", ge=1, le=1000000000)] = None
    """Tokens of prompt."""

    max_output_tokens: Annotated[int | None, Field(description="Tokens of answer.", ge=1, le=1000000000)] = None
    """Tokens of answer."""

    model_id: Annotated[
        str,
        Field(
            description="The vendor's id of the model, as its API takes it (Azure: the deployment's name).",
            max_length=256,
            pattern="^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?$",
        ),
    ]
    """The vendor's id of the model, as its API takes it (Azure: the deployment's name)."""

    name: Annotated[
        str | None,
        Field(
            description="Name of the object, which cannot be changed.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ] = None
    """Name of the object, which cannot be changed."""

    output_modalities: Annotated[
        list[str] | None,
        Field(description="What it gives; empty: unknown.", max_length=5),
    ] = None
    """What it gives; empty: unknown."""

    output_price: Annotated[
        str | None,
        Field(
            description='Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`.',
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`."""

    price_tiers: Annotated[
        list[PriceTier1] | None,
        Field(
            description="Prices of calls with longer prompts, by where they begin, the least first. A tier's prices\nhold for the whole call, in the place of all those above; one that it leaves out is unknown.",
            max_length=10,
        ),
    ] = None
    """
    Prices of calls with longer prompts, by where they begin, the least first. A tier's prices
    hold for the whole call, in the place of all those above; one that it leaves out is unknown.
    """

    reasoning_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of reasoning, where it is not that of the answer.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of reasoning, where it is not that of the answer."""

    recommended_for: Annotated[
        list[RecommendedForItem] | None,
        Field(
            description="Tasks it is recommended for, in one's own words.",
            max_length=50,
        ),
    ] = None
    """Tasks it is recommended for, in one's own words."""

    replacement_model_id: Annotated[
        str | None,
        Field(
            description="Its `modelId`, at the same provider.",
            max_length=256,
            pattern="^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?$",
        ),
    ] = None
    """Its `modelId`, at the same provider."""

    request_price: Annotated[
        str | None,
        Field(
            description="Price of each call, beside its tokens.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of each call, beside its tokens."""

    retires_at: Annotated[
        AwareDatetime | None,
        Field(
            description="When it ends (RFC 3339): it is announced from 30 days before, and given to nobody from then on."
        ),
    ] = None
    """When it ends (RFC 3339): it is announced from 30 days before, and given to nobody from then on."""

    status: Annotated[str | None, Field(description="Where it is in its life.")] = "available"
    """Where it is in its life."""

    type: Annotated[str | None, Field(description="What kind of model it is.")] = None
    """What kind of model it is."""

    version: Annotated[
        str | None,
        Field(
            description="The model's version, in the vendor's words.",
            max_length=64,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """The model's version, in the vendor's words."""


class NeedPage(Answer):
    """
    A page of what was asked for.
    """

    counted_together: Annotated[
        int | None,
        Field(
            description="Requests of all namespaces that are not among these, for more different things were asked for in a\nday than are counted apart; null where one namespace is asked about."
        ),
    ]
    """
    Requests of all namespaces that are not among these, for more different things were asked for in a
    day than are counted apart; null where one namespace is asked about.
    """

    days: Annotated[int, Field(description="Days that are counted, today among them.")]
    """Days that are counted, today among them."""

    items: Annotated[
        list[CountedNeed],
        Field(description="What was asked for, in an order that does not change with the counts."),
    ]
    """What was asked for, in an order that does not change with the counts."""

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for more; null on the last page."),
    ]
    """What to send as `cursor` for more; null on the last page."""

    revision: Annotated[int, Field(description="The revision of the configuration at this moment.")]
    """The revision of the configuration at this moment."""


class Federation2(Answer):
    """
    No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own.
    """

    anthropic: Annotated[
        Anthropic | None,
        Field(description="Exchange at Anthropic, for a provider of type `Anthropic`."),
    ] = None
    """Exchange at Anthropic, for a provider of type `Anthropic`."""

    audience: Annotated[
        str,
        Field(
            description="Audience of the tokens, as the vendor is told to expect it. Not the cluster's issuer, the controller's own or the API's.",
            max_length=255,
            min_length=1,
            pattern="^[!-~]+$",
        ),
    ]
    """Audience of the tokens, as the vendor is told to expect it. Not the cluster's issuer, the controller's own or the API's."""

    aws: Annotated[
        Aws | None,
        Field(description="Exchange at AWS STS, for a provider of type `Bedrock`."),
    ] = None
    """Exchange at AWS STS, for a provider of type `Bedrock`."""

    entra: Annotated[
        Entra | None,
        Field(description="Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`."),
    ] = None
    """Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`."""

    expiration_seconds: Annotated[
        int | None,
        Field(
            description="Seconds that a token of the ServiceAccount lives before it is exchanged.",
            ge=600,
            le=3600,
        ),
    ] = 3600
    """Seconds that a token of the ServiceAccount lives before it is exchanged."""

    google: Annotated[
        Google | None,
        Field(description="Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI."),
    ] = None
    """Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI."""

    open_ai: Annotated[
        OpenAi | None,
        Field(description="Exchange at OpenAI, for a provider of type `OpenAI`."),
    ] = None
    """Exchange at OpenAI, for a provider of type `OpenAI`."""

    open_router: Annotated[
        OpenRouter | None,
        Field(description="Exchange at OpenRouter, for a provider of type `OpenAICompatible`."),
    ] = None
    """Exchange at OpenRouter, for a provider of type `OpenAICompatible`."""

    service_account_ref: Annotated[
        ServiceAccountRef,
        Field(description="The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject."),
    ]
    """The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject."""


class NewCredential(Answer):
    access_token: Annotated[
        SecretStr | None,
        Field(
            description="A session token or an access token. It is stored in a Secret and never shown.",
            max_length=16384,
            min_length=1,
        ),
    ] = None
    """A session token or an access token. It is stored in a Secret and never shown."""

    access_token_entry: Annotated[
        str | None,
        Field(
            description="Entry that holds a session token or an access token.",
            max_length=253,
            pattern="^[-._a-zA-Z0-9]+$",
        ),
    ] = None
    """Entry that holds a session token or an access token."""

    alias: Annotated[
        str | None,
        Field(
            description="A short name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """A short name shown to people."""

    allowed_hosts: Annotated[
        list[AllowedHost] | None,
        Field(
            description="Hosts beside the vendor's own that the key may be sent to: the annotation of its Secret.",
            max_length=50,
        ),
    ] = None
    """Hosts beside the vendor's own that the key may be sent to: the annotation of its Secret."""

    api_key: Annotated[
        SecretStr | None,
        Field(
            description="The API key, or the access key id. It is stored in a Secret and never shown.",
            max_length=500,
            min_length=1,
        ),
    ] = None
    """The API key, or the access key id. It is stored in a Secret and never shown."""

    api_key_entry: Annotated[
        str | None,
        Field(
            description="Entry that holds the API key, or the access key id.",
            max_length=253,
            pattern="^[-._a-zA-Z0-9]+$",
        ),
    ] = None
    """Entry that holds the API key, or the access key id."""

    description: Annotated[
        str | None,
        Field(
            description="What it is for, in a sentence or two.",
            max_length=1000,
            pattern="^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]*$",
        ),
    ] = None
    """What it is for, in a sentence or two."""

    endpoint_ids: Annotated[
        list[EndpointId] | None,
        Field(
            description="The endpoints that it is for, by id or name; empty: all of the provider's.",
            max_length=10,
        ),
    ] = None
    """The endpoints that it is for, by id or name; empty: all of the provider's."""

    expires_at: Annotated[
        AwareDatetime | None,
        Field(description="When it stops being given out (RFC 3339)."),
    ] = None
    """When it stops being given out (RFC 3339)."""

    federation: Annotated[
        Federation2 | None,
        Field(
            description="No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own."
        ),
    ] = None
    """No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: it is not checked and not given to anyone."),
    ] = True
    """Off: it is not checked and not given to anyone."""

    name: Annotated[
        str,
        Field(
            description="Name of the object.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ]
    """Name of the object."""

    priority: Annotated[
        int | None,
        Field(
            description="Preference among the provider's credentials: lower is given first.",
            ge=0,
            le=1000000,
        ),
    ] = 100
    """Preference among the provider's credentials: lower is given first."""

    quota_limit: Annotated[
        int | None,
        Field(description="How many units in a period.", ge=1, le=1000000000000),
    ] = None
    """How many units in a period."""

    quota_period: Annotated[str | None, Field(description="The period.")] = None
    """The period."""

    quota_unit: Annotated[
        str | None,
        Field(description="What is counted: `Disclosures` is enforced; the others are published for the client."),
    ] = None
    """What is counted: `Disclosures` is enforced; the others are published for the client."""

    secret_key: Annotated[
        SecretStr | None,
        Field(
            description="The secret key that goes with it. It is stored in a Secret and never shown.",
            max_length=500,
            min_length=1,
        ),
    ] = None
    """The secret key that goes with it. It is stored in a Secret and never shown."""

    secret_key_entry: Annotated[
        str | None,
        Field(
            description="Entry that holds the secret key.",
            max_length=253,
            pattern="^[-._a-zA-Z0-9]+$",
        ),
    ] = None
    """Entry that holds the secret key."""

    secret_name: Annotated[
        str | None,
        Field(
            description="Name of the Secret, in this namespace. It needs the label `llmplane.dev/credential`.",
            max_length=253,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ] = None
    """Name of the Secret, in this namespace. It needs the label `llmplane.dev/credential`."""


class NewEndpoint(Answer):
    api_version: Annotated[
        str | None,
        Field(
            description="API version that the vendor wants in its calls, for example Azure's `2024-10-21`.",
            max_length=64,
            pattern="^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$",
        ),
    ] = None
    """API version that the vendor wants in its calls, for example Azure's `2024-10-21`."""

    base_url: Annotated[
        str | None,
        Field(
            description="Where it answers, for example `https://api.openai.com/v1`. Optional where the provider's\ntype has a default for the region.",
            max_length=2048,
            pattern="^https?://(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|\\[(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))\\]|([A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?\\.)*[A-Za-z]([-A-Za-z0-9_]*[A-Za-z0-9_])?)(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?(/([-A-Za-z0-9._~!$&()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?$",
        ),
    ] = None
    """
    Where it answers, for example `https://api.openai.com/v1`. Optional where the provider's
    type has a default for the region.
    """

    display_name: Annotated[
        str | None,
        Field(
            description="Name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """Name shown to people."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: it is not checked and not given to clients."),
    ] = True
    """Off: it is not checked and not given to clients."""

    name: Annotated[
        str,
        Field(
            description="Name of the object.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ]
    """Name of the object."""

    priority: Annotated[
        int | None,
        Field(
            description="Failover order among the provider's endpoints: lower is tried first.",
            ge=0,
            le=1000000,
        ),
    ] = 100
    """Failover order among the provider's endpoints: lower is tried first."""

    region: Annotated[
        str | None,
        Field(
            description="The vendor's name of the region, for example `us-east-1`.",
            max_length=64,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        ),
    ] = None
    """The vendor's name of the region, for example `us-east-1`."""

    retry_count: Annotated[int | None, Field(description="Further attempts after the first.", ge=0, le=10)] = 2
    """Further attempts after the first."""

    retry_interval_ms: Annotated[
        int | None,
        Field(description="Milliseconds between two attempts.", ge=0, le=60000),
    ] = 500
    """Milliseconds between two attempts."""

    timeout_connect: Annotated[
        int | None,
        Field(
            description="Seconds that a client that calls models should wait for a connection.",
            ge=1,
            le=300,
        ),
    ] = 5
    """Seconds that a client that calls models should wait for a connection."""

    timeout_read: Annotated[
        int | None,
        Field(
            description="Seconds that a client that calls models should wait for an answer.",
            ge=1,
            le=3600,
        ),
    ] = 60
    """Seconds that a client that calls models should wait for an answer."""


class NewModel(Answer):
    audio_input_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of audio in the prompt.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of audio in the prompt."""

    audio_output_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of audio in the answer.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of audio in the answer."""

    base_model: Annotated[
        str | None,
        Field(
            description="The vendor's model behind a deployment, a fine-tune or a local name: the catalog is asked for\nthis one.",
            max_length=256,
            pattern="^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?$",
        ),
    ] = None
    """
    The vendor's model behind a deployment, a fine-tune or a local name: the catalog is asked for
    this one.
    """

    batch_input_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt in a batch.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt in a batch."""

    batch_output_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of answer in a batch.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of answer in a batch."""

    cache_read_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt that the vendor's cache holds.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt that the vendor's cache holds."""

    cache_write_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt that are written into the vendor's cache.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt that are written into the vendor's cache."""

    capabilities: Annotated[list[Capability1] | None, Field(description="What it can do.", max_length=13)] = None
    """What it can do."""

    context_window: Annotated[
        int | None,
        Field(description="Tokens of prompt and answer together.", ge=1, le=1000000000),
    ] = None
    """Tokens of prompt and answer together."""

    currency: Annotated[
        str | None,
        Field(
            description="ISO 4217 code of the currency, for example `USD`.",
            max_length=3,
            pattern="^[A-Z]{3}$",
        ),
    ] = None
    """ISO 4217 code of the currency, for example `USD`."""

    default_parameters: Annotated[
        dict[str, Any] | None,
        Field(
            description="Parameters that clients send unless they know better. Any JSON object of at most 32 levels\nand 16 KiB."
        ),
    ] = None
    """
    Parameters that clients send unless they know better. Any JSON object of at most 32 levels
    and 16 KiB.
    """

    deprecated_at: Annotated[
        AwareDatetime | None,
        Field(description="Since when the vendor advises against it (RFC 3339)."),
    ] = None
    """Since when the vendor advises against it (RFC 3339)."""

    display_name: Annotated[
        str | None,
        Field(
            description="Name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """Name shown to people."""

    embedding_dimensions: Annotated[
        int | None,
        Field(
            description="Numbers in a vector that it answers, where it embeds.",
            ge=1,
            le=1000000,
        ),
    ] = None
    """Numbers in a vector that it answers, where it embeds."""

    endpoint_ids: Annotated[
        list[EndpointId] | None,
        Field(
            description="The endpoints that it is for, by id or name; empty: all of the provider's.",
            max_length=10,
        ),
    ] = None
    """The endpoints that it is for, by id or name; empty: all of the provider's."""

    image_price: Annotated[
        str | None,
        Field(
            description="Price of one image that is made.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of one image that is made."""

    input_modalities: Annotated[
        list[str] | None,
        Field(description="What it takes; empty: unknown.", max_length=5),
    ] = None
    """What it takes; empty: unknown."""

    input_price: Annotated[
        str | None,
        Field(
            description='Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`.',
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: it is not checked and not given to clients."),
    ] = True
    """Off: it is not checked and not given to clients."""

    limits: Annotated[
        list[Limit1] | None,
        Field(
            description="How much of it may be used, published for clients.",
            max_length=20,
        ),
    ] = None
    """How much of it may be used, published for clients."""

    max_input_tokens: Annotated[int | None, Field(description="Tokens of prompt.", ge=1, le=1000000000)] = None
    """Tokens of prompt."""

    max_output_tokens: Annotated[int | None, Field(description="Tokens of answer.", ge=1, le=1000000000)] = None
    """Tokens of answer."""

    model_id: Annotated[
        str,
        Field(
            description="The vendor's id of the model, as its API takes it (Azure: the deployment's name).",
            max_length=256,
            pattern="^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?$",
        ),
    ]
    """The vendor's id of the model, as its API takes it (Azure: the deployment's name)."""

    name: Annotated[
        str,
        Field(
            description="Name of the object.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ]
    """Name of the object."""

    output_modalities: Annotated[
        list[str] | None,
        Field(description="What it gives; empty: unknown.", max_length=5),
    ] = None
    """What it gives; empty: unknown."""

    output_price: Annotated[
        str | None,
        Field(
            description='Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`.',
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`."""

    price_tiers: Annotated[
        list[PriceTier1] | None,
        Field(
            description="Prices of calls with longer prompts, by where they begin, the least first. A tier's prices\nhold for the whole call, in the place of all those above; one that it leaves out is unknown.",
            max_length=10,
        ),
    ] = None
    """
    Prices of calls with longer prompts, by where they begin, the least first. A tier's prices
    hold for the whole call, in the place of all those above; one that it leaves out is unknown.
    """

    reasoning_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of reasoning, where it is not that of the answer.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of 1,000 tokens of reasoning, where it is not that of the answer."""

    recommended_for: Annotated[
        list[RecommendedForItem] | None,
        Field(
            description="Tasks it is recommended for, in one's own words.",
            max_length=50,
        ),
    ] = None
    """Tasks it is recommended for, in one's own words."""

    replacement_model_id: Annotated[
        str | None,
        Field(
            description="Its `modelId`, at the same provider.",
            max_length=256,
            pattern="^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?$",
        ),
    ] = None
    """Its `modelId`, at the same provider."""

    request_price: Annotated[
        str | None,
        Field(
            description="Price of each call, beside its tokens.",
            max_length=32,
            pattern="^(0|[1-9][0-9]{0,11})(\\.[0-9]{1,12})?$",
        ),
    ] = None
    """Price of each call, beside its tokens."""

    retires_at: Annotated[
        AwareDatetime | None,
        Field(
            description="When it ends (RFC 3339): it is announced from 30 days before, and given to nobody from then on."
        ),
    ] = None
    """When it ends (RFC 3339): it is announced from 30 days before, and given to nobody from then on."""

    status: Annotated[str | None, Field(description="Where it is in its life.")] = "available"
    """Where it is in its life."""

    type: Annotated[str | None, Field(description="What kind of model it is.")] = None
    """What kind of model it is."""

    version: Annotated[
        str | None,
        Field(
            description="The model's version, in the vendor's words.",
            max_length=64,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """The model's version, in the vendor's words."""


class NewProvider(Answer):
    description: Annotated[
        str | None,
        Field(
            description="What it is for, in a sentence or two.",
            max_length=1000,
            pattern="^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]*$",
        ),
    ] = None
    """What it is for, in a sentence or two."""

    display_name: Annotated[
        str | None,
        Field(
            description="Name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """Name shown to people."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: its endpoints, credentials and models are off too."),
    ] = True
    """Off: its endpoints, credentials and models are off too."""

    name: Annotated[
        str,
        Field(
            description="Name of the object.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ]
    """Name of the object."""

    type: Annotated[
        str,
        Field(description="The vendor or protocol. It cannot be changed: delete the provider and create another."),
    ]
    """The vendor or protocol. It cannot be changed: delete the provider and create another."""


class NoModelProblem(Answer):
    """
    The body where there is no answer: a problem that says of each model why it is none.
    """

    considered: Annotated[
        list[ConsideredModel],
        Field(description="The models that were looked at, those first that came nearest; at most 200."),
    ]
    """The models that were looked at, those first that came nearest; at most 200."""

    considered_omitted: Annotated[int, Field(description="How many there are beyond these.", ge=0)]
    """How many there are beyond these."""

    detail: Annotated[str, Field(description="What is wrong with this request, and what to do.")]
    """What is wrong with this request, and what to do."""

    revision: Annotated[int, Field(description="The revision that the answer is of.")]
    """The revision that the answer is of."""

    status: Annotated[int, Field(description="The HTTP status.", ge=0)]
    """The HTTP status."""

    title: Annotated[str, Field(description="The kind of problem in words.")]
    """The kind of problem in words."""

    type: Annotated[
        str,
        Field(description="URL that names the kind of problem: `no-model` or `ambiguous-model`."),
    ]
    """URL that names the kind of problem: `no-model` or `ambiguous-model`."""


class PendingCheck(Answer):
    """
    A check that was asked for and not made in time.
    """

    detail: Annotated[str, Field(description="What becomes of it, and what to do.")]
    """What becomes of it, and what to do."""

    id: Annotated[UUID, Field(description="UID of the object.")]
    """UID of the object."""

    kind: Annotated[str, Field(description="Its kind, for example `LlmEndpoint`.")]
    """Its kind, for example `LlmEndpoint`."""

    location: Annotated[
        str,
        Field(description="Path of the object's row, which will say what was found."),
    ]
    """Path of the object's row, which will say what was found."""

    name: Annotated[str, Field(description="Its name.")]
    """Its name."""

    namespace: Annotated[str, Field(description="Its namespace.")]
    """Its namespace."""


class PriceTier(Answer):
    """
    Prices of calls with at least so many tokens of prompt, in the place of all prices of tokens beside it. What
    is null is unknown.
    """

    audio_input_price: Annotated[str | None, Field(description="Price of 1,000 tokens of audio in the prompt.")]
    """Price of 1,000 tokens of audio in the prompt."""

    audio_output_price: Annotated[str | None, Field(description="Price of 1,000 tokens of audio in the answer.")]
    """Price of 1,000 tokens of audio in the answer."""

    batch_input_price: Annotated[str | None, Field(description="Price of 1,000 tokens of prompt in a batch.")]
    """Price of 1,000 tokens of prompt in a batch."""

    batch_output_price: Annotated[str | None, Field(description="Price of 1,000 tokens of answer in a batch.")]
    """Price of 1,000 tokens of answer in a batch."""

    cache_read_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of prompt that the vendor's cache holds."),
    ]
    """Price of 1,000 tokens of prompt that the vendor's cache holds."""

    cache_write_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of prompt that are written into the vendor's cache."),
    ]
    """Price of 1,000 tokens of prompt that are written into the vendor's cache."""

    from_input_tokens: Annotated[int, Field(description="Tokens of prompt from which these prices hold.")]
    """Tokens of prompt from which these prices hold."""

    input_price: Annotated[str | None, Field(description="Price of 1,000 tokens of prompt.")]
    """Price of 1,000 tokens of prompt."""

    output_price: Annotated[str | None, Field(description="Price of 1,000 tokens of answer.")]
    """Price of 1,000 tokens of answer."""

    reasoning_price: Annotated[str | None, Field(description="Price of 1,000 tokens of reasoning.")]
    """Price of 1,000 tokens of reasoning."""


class Probe(Answer):
    """
    A probe.
    """

    checked_at: Annotated[AwareDatetime, Field(description="When it ended.")]
    """When it ended."""

    http_status: Annotated[int | None, Field(description="HTTP status of the answer, if there was one.")]
    """HTTP status of the answer, if there was one."""

    latency_ms: Annotated[int, Field(description="How long it took, in milliseconds.")]
    """How long it took, in milliseconds."""

    message: Annotated[str, Field(description="What was found, in a sentence or two.")]
    """What was found, in a sentence or two."""

    reason: Annotated[str, Field(description="What was found, in one word.")]
    """What was found, in one word."""

    request_id: Annotated[str | None, Field(description="The vendor's id of the request.")]
    """The vendor's id of the request."""

    success: Annotated[bool | None, Field(description="Whether it passed; null: it proved nothing.")]
    """Whether it passed; null: it proved nothing."""


class Problem(Answer):
    """
    The body of every error.
    """

    detail: Annotated[str, Field(description="What is wrong with this request, and what to do.")]
    """What is wrong with this request, and what to do."""

    status: Annotated[int, Field(description="The HTTP status.", ge=0)]
    """The HTTP status."""

    title: Annotated[str, Field(description="The kind of problem in words.")]
    """The kind of problem in words."""

    type: Annotated[
        str,
        Field(description="URL that names the kind of problem; `docs/api.md` explains each."),
    ]
    """URL that names the kind of problem; `docs/api.md` explains each."""


class ProviderReplacement(Answer):
    description: Annotated[
        str | None,
        Field(
            description="What it is for, in a sentence or two.",
            max_length=1000,
            pattern="^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]*$",
        ),
    ] = None
    """What it is for, in a sentence or two."""

    display_name: Annotated[
        str | None,
        Field(
            description="Name shown to people.",
            max_length=100,
            pattern="^[^\\x00-\\x1f\\x7f]*$",
        ),
    ] = None
    """Name shown to people."""

    is_active: Annotated[
        bool | None,
        Field(description="Off: its endpoints, credentials and models are off too. Without it: as it is."),
    ] = None
    """Off: its endpoints, credentials and models are off too. Without it: as it is."""

    name: Annotated[
        str | None,
        Field(
            description="Name of the object, which cannot be changed.",
            max_length=253,
            min_length=1,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ),
    ] = None
    """Name of the object, which cannot be changed."""

    type: Annotated[
        str,
        Field(description="The vendor or protocol. It cannot be changed: delete the provider and create another."),
    ]
    """The vendor or protocol. It cannot be changed: delete the provider and create another."""


class ExcludeItem(RootModel[str]):
    root: Annotated[str, Field(max_length=256, min_length=1, pattern="^[^\\x00-\\x1f\\x7f-\\x9f]+$")]


class RecommendedForItem2(RootModel[str]):
    root: Annotated[str, Field(max_length=256, min_length=1, pattern="^[^\\x00-\\x1f\\x7f-\\x9f]+$")]


class Region(RootModel[str]):
    root: Annotated[str, Field(max_length=256, min_length=1, pattern="^[^\\x00-\\x1f\\x7f-\\x9f]+$")]


SelectorAdditionalProperty = TypeAliasType(
    "SelectorAdditionalProperty",
    Annotated[str, Field(pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")],
)


class ResolveRequest(Answer):
    """
    Either `model`, or `class`, or what the model must be: any of the other fields but the last three.
    """

    all_targets: Annotated[
        bool | None,
        Field(description="Whether every target is to carry its key, and not the first alone."),
    ] = False
    """Whether every target is to carry its key, and not the first alone."""

    allow_deprecated: Annotated[bool | None, Field(description="It may be deprecated.")] = False
    """It may be deprecated."""

    cached_tokens: Annotated[
        int | None,
        Field(
            description="Of those, the tokens that the vendor's cache holds: they are counted at its price.",
            ge=0,
            le=1000000000,
        ),
    ] = None
    """Of those, the tokens that the vendor's cache holds: they are counted at its price."""

    capabilities: Annotated[list[str] | None, Field(max_length=13)] = None
    class_: Annotated[
        str | None,
        Field(
            alias="class",
            max_length=256,
            min_length=1,
            pattern="^[^\\x00-\\x1f\\x7f-\\x9f]+$",
        ),
    ] = None
    currency: Annotated[
        str | None,
        Field(
            description="Its prices are in no other currency: an ISO 4217 code.",
            examples=["USD"],
            pattern="^[A-Z]{3}$",
        ),
    ] = None
    """Its prices are in no other currency: an ISO 4217 code."""

    embedding_dimensions: Annotated[
        int | None,
        Field(description="It answers vectors of so many numbers.", ge=1, le=1000000),
    ] = None
    """It answers vectors of so many numbers."""

    exclude: Annotated[list[ExcludeItem] | None, Field(max_length=100)] = None
    input_modalities: Annotated[list[str] | None, Field(max_length=5)] = None
    max_input_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of prompt in `currency`, at most: a decimal number.",
            examples=["0.0025"],
            max_length=64,
            pattern="^[0-9]+(\\.[0-9]+)?$",
        ),
    ] = None
    """Price of 1,000 tokens of prompt in `currency`, at most: a decimal number."""

    max_output_price: Annotated[
        str | None,
        Field(
            description="Price of 1,000 tokens of answer in `currency`, at most: a decimal number.",
            examples=["0.01"],
            max_length=64,
            pattern="^[0-9]+(\\.[0-9]+)?$",
        ),
    ] = None
    """Price of 1,000 tokens of answer in `currency`, at most: a decimal number."""

    min_context_window: Annotated[
        int | None,
        Field(
            description="Tokens of prompt and answer together, at least.",
            ge=1,
            le=1000000000,
        ),
    ] = None
    """Tokens of prompt and answer together, at least."""

    min_output_tokens: Annotated[
        int | None,
        Field(description="Tokens of answer, at least.", ge=1, le=1000000000),
    ] = None
    """Tokens of answer, at least."""

    min_score: Annotated[
        int | None,
        Field(description="It scores at least this in each of `capabilities`.", ge=1, le=5),
    ] = None
    """It scores at least this in each of `capabilities`."""

    model: Annotated[
        str | None,
        Field(max_length=256, min_length=1, pattern="^[^\\x00-\\x1f\\x7f-\\x9f]+$"),
    ] = None
    output_modalities: Annotated[list[str] | None, Field(max_length=5)] = None
    output_tokens: Annotated[
        int | None,
        Field(
            description="Tokens of answer of a typical call, which prices are compared for.",
            ge=0,
            le=1000000000,
        ),
    ] = None
    """Tokens of answer of a typical call, which prices are compared for."""

    prefer: str | None = None
    prompt_tokens: Annotated[
        int | None,
        Field(
            description="Tokens of prompt of a typical call, which prices are compared for.",
            ge=0,
            le=1000000000,
        ),
    ] = None
    """Tokens of prompt of a typical call, which prices are compared for."""

    provider_types: Annotated[list[str] | None, Field(max_length=100)] = None
    purpose: Annotated[
        str | None,
        Field(max_length=256, min_length=1, pattern="^[^\\x00-\\x1f\\x7f-\\x9f]+$"),
    ] = None
    recommended_for: Annotated[list[RecommendedForItem2] | None, Field(max_length=100)] = None
    regions: Annotated[list[Region] | None, Field(max_length=100)] = None
    selector: Annotated[
        dict[
            Annotated[
                str,
                StringConstraints(
                    pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
                ),
            ],
            SelectorAdditionalProperty,
        ]
        | None,
        Field(max_length=100),
    ] = None
    with_secret: Annotated[bool | None, Field(description="Whether the key is wanted too.")] = False
    """Whether the key is wanted too."""


class Secret(Answer):
    """
    A key. Never logged, never kept.
    """

    access_token: Annotated[SecretStr | None, Field(description="A session token or an access token.")]
    """A session token or an access token."""

    api_key: Annotated[
        SecretStr | None,
        Field(description="The API key, or the access key's id where the vendor has a pair."),
    ]
    """The API key, or the access key's id where the vendor has a pair."""

    secret_key: Annotated[SecretStr | None, Field(description="The second half of a key pair.")]
    """The second half of a key pair."""

    valid_until: Annotated[
        AwareDatetime | None,
        Field(
            description="Until when it may be used: the credential's expiry, or the end of the grace of a key that was\nreplaced. Null: nobody set an end."
        ),
    ]
    """
    Until when it may be used: the credential's expiry, or the end of the grace of a key that was
    replaced. Null: nobody set an end.
    """


class StatusChange(Answer):
    """
    A switch.
    """

    is_active: Annotated[
        bool,
        Field(description="Whether the provider, and with it all that is its own, is in force."),
    ]
    """Whether the provider, and with it all that is its own, is in force."""


class Applied(Answer):
    """
    An object, and what became of it.
    """

    kind: Annotated[str, Field(description="Its kind.")]
    """Its kind."""

    name: Annotated[str, Field(description="Its name.")]
    """Its name."""

    namespace: Annotated[str, Field(description="Its namespace.")]
    """Its namespace."""

    outcome: Annotated[str, Field(description="What became of it.")]
    """What became of it."""


class AuditPage(Answer):
    """
    A page of the audit.
    """

    items: Annotated[
        list[AuditRow],
        Field(
            description="Its rows, newest first. There may be fewer than asked for, or none, before the last page: a page looks at a\nbounded number of rows."
        ),
    ]
    """
    Its rows, newest first. There may be fewer than asked for, or none, before the last page: a page looks at a
    bounded number of rows.
    """

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for older ones; null on the last page, and on no other."),
    ]
    """What to send as `cursor` for older ones; null on the last page, and on no other."""

    revision: Annotated[int, Field(description="The revision of the configuration at this moment.")]
    """The revision of the configuration at this moment."""


class Availability(Answer):
    """
    Whether a model can be called.
    """

    reason: Annotated[str, Field(description="Why: a reason of the condition.")]
    """Why: a reason of the condition."""

    since: Annotated[
        AwareDatetime | None,
        Field(description="Since when it is so; null where nothing was found yet."),
    ]
    """Since when it is so; null where nothing was found yet."""

    state: Annotated[str, Field(description="What is known.")]
    """What is known."""


class Common(Answer):
    """
    What all rows carry.
    """

    conditions: Annotated[list[Condition], Field(description="The conditions of the object's status.")]
    """The conditions of the object's status."""

    created_at: Annotated[AwareDatetime, Field(description="When the object was created.")]
    """When the object was created."""

    deleted_at: Annotated[
        AwareDatetime | None,
        Field(description="When it was found deleted; only on rows that `include_deleted` adds."),
    ] = None
    """When it was found deleted; only on rows that `include_deleted` adds."""

    id: Annotated[UUID, Field(description="UID of the object.")]
    """UID of the object."""

    is_active: Annotated[
        bool,
        Field(description="Whether it is in force: its own switch and its provider's are on."),
    ]
    """Whether it is in force: its own switch and its provider's are on."""

    name: Annotated[str, Field(description="Its name.")]
    """Its name."""

    namespace: Annotated[str, Field(description="Its namespace.")]
    """Its namespace."""

    updated_at: Annotated[AwareDatetime, Field(description="When this row last changed.")]
    """When this row last changed."""


class Deleted(Answer):
    """
    What is deleted now, or would be.
    """

    dry_run: Annotated[bool, Field(description="Whether nothing was deleted, for it was only tried.")]
    """Whether nothing was deleted, for it was only tried."""

    items: Annotated[list[DeletedObject], Field(description="The objects, children first.")]
    """The objects, children first."""


class Finding(Answer):
    """
    One field of the source, or a part of it, and what became of it.
    """

    commands: Annotated[list[str], Field(description="Commands that do it.")]
    """Commands that do it."""

    document: Annotated[
        int,
        Field(
            description="Which of the file's documents that are not empty, from 1.",
            ge=0,
        ),
    ]
    """Which of the file's documents that are not empty, from 1."""

    file: Annotated[str, Field(description="The file, as it was named.")]
    """The file, as it was named."""

    level: Annotated[str, Field(description="How it came over.")]
    """How it came over."""

    line: Annotated[int, Field(description="Line in the file, from 1.", ge=0)]
    """Line in the file, from 1."""

    message: Annotated[str, Field(description="What was changed, or what to do.")]
    """What was changed, or what to do."""

    path: Annotated[
        str,
        Field(
            description="The field, for example `model_list[3].litellm_params.api_base`. It stands for all below it."
        ),
    ]
    """The field, for example `model_list[3].litellm_params.api_base`. It stands for all below it."""

    target: Annotated[
        str | None,
        Field(description="Where it went, for example `LlmModel/gpt-4o spec.contextWindow`."),
    ]
    """Where it went, for example `LlmModel/gpt-4o spec.contextWindow`."""


class FoundVersion(Answer):
    """
    A version of a key, and who was given it.
    """

    credential_id: Annotated[UUID, Field(description="The credential.")]
    """The credential."""

    disclosures: Annotated[
        list[KeyDisclosure],
        Field(
            description="When it was given to whom last: one row for each caller and pod, the latest first; at most 1000."
        ),
    ]
    """When it was given to whom last: one row for each caller and pod, the latest first; at most 1000."""

    fingerprint: Annotated[str, Field(description="Its fingerprint.")]
    """Its fingerprint."""

    is_deleted: Annotated[bool, Field(description="Whether the credential was deleted since.")]
    """Whether the credential was deleted since."""

    is_partial: Annotated[
        bool,
        Field(
            description="Whether it was given to more than these, or may have been: where there are thousands, those that are\nfound in time and those of the newest rows are named. The command `llmplane audit whose-key` names all."
        ),
    ]
    """
    Whether it was given to more than these, or may have been: where there are thousands, those that are
    found in time and those of the newest rows are named. The command `llmplane audit whose-key` names all.
    """

    name: Annotated[str, Field(description="Its name.")]
    """Its name."""

    namespace: Annotated[str, Field(description="Its namespace.")]
    """Its namespace."""

    since: Annotated[AwareDatetime, Field(description="Since when it is in this state.")]
    """Since when it is in this state."""

    state: str
    version: Annotated[int, Field(description="The version.")]
    """The version."""


class Health(Answer):
    """
    Whether an endpoint answers.
    """

    reason: Annotated[str, Field(description="Why: a reason of the condition.")]
    """Why: a reason of the condition."""

    since: Annotated[
        AwareDatetime | None,
        Field(description="Since when it is so; null where nothing was found yet."),
    ]
    """Since when it is so; null where nothing was found yet."""

    state: Annotated[str, Field(description="What is known.")]
    """What is known."""


class Imported(Answer):
    """
    What became of an import.
    """

    dry_run: Annotated[bool, Field(description="Whether it was only tried.")]
    """Whether it was only tried."""

    findings: Annotated[list[Finding], Field(description="What became of each field of the source.")]
    """What became of each field of the source."""

    format: str
    manifests: Annotated[list[dict[str, Any]], Field(description="The manifests that were made of it.")]
    """The manifests that were made of it."""

    objects: Annotated[list[Applied], Field(description="What became of each object, or would.")]
    """What became of each object, or would."""

    worst: Annotated[str, Field(description="The worst of the findings.")]
    """The worst of the findings."""


class Model(Common):
    """
    A model that can be called.
    """

    audio_input_price: Annotated[str | None, Field(description="Price of 1,000 tokens of audio in the prompt.")]
    """Price of 1,000 tokens of audio in the prompt."""

    audio_output_price: Annotated[str | None, Field(description="Price of 1,000 tokens of audio in the answer.")]
    """Price of 1,000 tokens of audio in the answer."""

    availability: Annotated[Availability, Field(description="Whether it can be called.")]
    """Whether it can be called."""

    base_model: Annotated[
        str | None,
        Field(description="The vendor's model behind a deployment, a fine-tune or a local name."),
    ]
    """The vendor's model behind a deployment, a fine-tune or a local name."""

    batch_input_price: Annotated[str | None, Field(description="Price of 1,000 tokens of prompt in a batch.")]
    """Price of 1,000 tokens of prompt in a batch."""

    batch_output_price: Annotated[str | None, Field(description="Price of 1,000 tokens of answer in a batch.")]
    """Price of 1,000 tokens of answer in a batch."""

    cache_read_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of prompt that the vendor's cache holds."),
    ]
    """Price of 1,000 tokens of prompt that the vendor's cache holds."""

    cache_write_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of prompt that are written into the vendor's cache."),
    ]
    """Price of 1,000 tokens of prompt that are written into the vendor's cache."""

    capabilities: Annotated[list[Capability], Field(description="What it can do, and how well.")]
    """What it can do, and how well."""

    context_window: Annotated[int | None, Field(description="Tokens of prompt and answer together.")]
    """Tokens of prompt and answer together."""

    currency: Annotated[str | None, Field(description="ISO 4217 code of the prices' currency.")]
    """ISO 4217 code of the prices' currency."""

    default_parameters: Annotated[
        dict[str, Any] | None,
        Field(description="Parameters that clients send unless they know better."),
    ]
    """Parameters that clients send unless they know better."""

    deprecated_at: Annotated[
        AwareDatetime | None,
        Field(description="Since when the vendor advises against it."),
    ]
    """Since when the vendor advises against it."""

    display_name: Annotated[str | None, Field(description="Name shown to people.")]
    """Name shown to people."""

    embedding_dimensions: Annotated[int | None, Field(description="Numbers in a vector that it answers.")]
    """Numbers in a vector that it answers."""

    endpoint_ids: Annotated[
        list[UUID],
        Field(description="The endpoints that serve it; empty: all of its provider's."),
    ]
    """The endpoints that serve it; empty: all of its provider's."""

    image_price: Annotated[str | None, Field(description="Price of one image that is made.")]
    """Price of one image that is made."""

    input_modalities: list[str]
    input_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of prompt: a decimal number."),
    ]
    """Price of 1,000 tokens of prompt: a decimal number."""

    labels: Annotated[
        dict[str, str],
        Field(
            description="Labels of the object: those of `app.kubernetes.io/`, and of the prefixes that the controller is told."
        ),
    ]
    """Labels of the object: those of `app.kubernetes.io/`, and of the prefixes that the controller is told."""

    limits: Annotated[
        list[Limit],
        Field(description="How much of it may be used, published for clients."),
    ]
    """How much of it may be used, published for clients."""

    max_input_tokens: Annotated[int | None, Field(description="Tokens of prompt.")]
    """Tokens of prompt."""

    max_output_tokens: Annotated[int | None, Field(description="Tokens of answer.")]
    """Tokens of answer."""

    model_id: Annotated[str, Field(description="The vendor's id of the model.")]
    """The vendor's id of the model."""

    origin: dict[str, str]
    output_modalities: list[str]
    output_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of answer: a decimal number."),
    ]
    """Price of 1,000 tokens of answer: a decimal number."""

    price_tiers: Annotated[
        list[PriceTier],
        Field(description="Prices of calls with longer prompts, by where they begin, the least first."),
    ]
    """Prices of calls with longer prompts, by where they begin, the least first."""

    provider_id: Annotated[UUID, Field(description="Its provider.")]
    """Its provider."""

    reasoning_price: Annotated[
        str | None,
        Field(description="Price of 1,000 tokens of reasoning, where it is not that of the answer."),
    ]
    """Price of 1,000 tokens of reasoning, where it is not that of the answer."""

    recommended_for: Annotated[list[str], Field(description="Tasks it is recommended for.")]
    """Tasks it is recommended for."""

    replacement_model_id: Annotated[str | None, Field(description="`model_id` of the model to use in its place.")]
    """`model_id` of the model to use in its place."""

    request_price: Annotated[str | None, Field(description="Price of each call, beside its tokens.")]
    """Price of each call, beside its tokens."""

    retires_at: Annotated[AwareDatetime | None, Field(description="When it ends.")]
    """When it ends."""

    status: Annotated[str, Field(description="Where it is in its life.")]
    """Where it is in its life."""

    type: str | None
    version: Annotated[str | None, Field(description="The model's version, in the vendor's words.")]
    """The model's version, in the vendor's words."""


class ModelClass(Common):
    """
    A name that agents ask for, and the model that it means now.
    """

    allow_deprecated: Annotated[bool, Field(description="Whether a deprecated model may be meant.")]
    """Whether a deprecated model may be meant."""

    availability: Annotated[Availability, Field(description="Whether there is a model that can be called.")]
    """Whether there is a model that can be called."""

    candidates: Annotated[
        int,
        Field(description="How many models are what it asks for, whether they can be called at this moment or not."),
    ]
    """How many models are what it asks for, whether they can be called at this moment or not."""

    current: CurrentModel | None
    description: Annotated[str | None, Field(description="What it is for.")]
    """What it is for."""

    display_name: Annotated[str | None, Field(description="Name shown to people.")]
    """Name shown to people."""

    models: Annotated[
        list[str],
        Field(description="Names of the models, in order of preference; empty where `need` says what a model must be."),
    ]
    """Names of the models, in order of preference; empty where `need` says what a model must be."""

    need: ClassNeed | None
    prefer: Annotated[
        str,
        Field(description="Which of several comes first: `order`, `price`, `score` or `context`."),
    ]
    """Which of several comes first: `order`, `price`, `score` or `context`."""


class Provider(Common):
    """
    A vendor account, or a server, that offers models.
    """

    description: Annotated[str | None, Field(description="What it is for.")]
    """What it is for."""

    display_name: Annotated[str | None, Field(description="Name shown to people.")]
    """Name shown to people."""

    type: str


class Validity(Answer):
    """
    Whether the vendor takes a key.
    """

    reason: Annotated[str, Field(description="Why: a reason of the condition.")]
    """Why: a reason of the condition."""

    since: Annotated[
        AwareDatetime | None,
        Field(description="Since when it is so; null where nothing was found yet."),
    ]
    """Since when it is so; null where nothing was found yet."""

    state: Annotated[str, Field(description="What is known.")]
    """What is known."""


class WhoseKey(Answer):
    """
    Whose key a string is.
    """

    items: Annotated[
        list[FoundVersion],
        Field(
            description="The versions that it is, or is a field of; none: it is no key that was stored and is not\nforgotten."
        ),
    ]
    """
    The versions that it is, or is a field of; none: it is no key that was stored and is not
    forgotten.
    """


class WrittenModel(RootModel[Model | Declared]):
    root: Annotated[
        Model | Declared,
        Field(
            description="What a change is answered with: the row, or what would be declared where it was only tried."
        ),
    ]
    """What a change is answered with: the row, or what would be declared where it was only tried."""


class WrittenProvider(RootModel[Provider | Declared]):
    root: Annotated[
        Provider | Declared,
        Field(
            description="What a change is answered with: the row, or what would be declared where it was only tried."
        ),
    ]
    """What a change is answered with: the row, or what would be declared where it was only tried."""


class Credential(Common):
    """
    A key of a provider; never the key itself.
    """

    alias: Annotated[str | None, Field(description="Name shown to people.")]
    """Name shown to people."""

    description: Annotated[str | None, Field(description="What it is for.")]
    """What it is for."""

    endpoint_ids: Annotated[
        list[UUID],
        Field(description="The endpoints it is for; empty: all of its provider's."),
    ]
    """The endpoints it is for; empty: all of its provider's."""

    expires_at: Annotated[AwareDatetime | None, Field(description="When it stops being given out.")]
    """When it stops being given out."""

    federation: Annotated[
        Federation | None,
        Field(
            description="No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own."
        ),
    ]
    """No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own."""

    fingerprint: Annotated[
        str | None,
        Field(description="Changes when the key does, and reveals nothing of it."),
    ]
    """Changes when the key does, and reveals nothing of it."""

    masked_key: Annotated[str | None, Field(description="The key in force, masked.")]
    """The key in force, masked."""

    priority: Annotated[
        int,
        Field(description="Preference among the provider's credentials: lower is given first."),
    ]
    """Preference among the provider's credentials: lower is given first."""

    provider_id: Annotated[UUID, Field(description="Its provider.")]
    """Its provider."""

    quota_limit: Annotated[int | None, Field(description="How much may be used in a period.")]
    """How much may be used in a period."""

    quota_period: str | None
    quota_unit: str | None
    validity: Annotated[Validity, Field(description="Whether the vendor takes the key.")]
    """Whether the vendor takes the key."""

    version: Annotated[int | None, Field(description="Version of the key in force.")]
    """Version of the key in force."""

    versions: Annotated[
        list[CredentialVersion],
        Field(description="Its versions, newest first; at most 10."),
    ]
    """Its versions, newest first; at most 10."""


class Endpoint(Common):
    """
    A base URL of a provider, and how to call it.
    """

    api_version: Annotated[str | None, Field(description="The API version that the vendor wants in calls.")]
    """The API version that the vendor wants in calls."""

    base_url: Annotated[str, Field(description="The URL in force.")]
    """The URL in force."""

    display_name: Annotated[str | None, Field(description="Name shown to people.")]
    """Name shown to people."""

    health: Annotated[Health, Field(description="Whether it answers.")]
    """Whether it answers."""

    is_default: Annotated[
        bool,
        Field(description="Whether it is the one of its provider that is tried first."),
    ]
    """Whether it is the one of its provider that is tried first."""

    priority: Annotated[int, Field(description="Failover order: lower is tried first.")]
    """Failover order: lower is tried first."""

    provider_id: Annotated[UUID, Field(description="Its provider.")]
    """Its provider."""

    region: Annotated[str | None, Field(description="The vendor's name of the region.")]
    """The vendor's name of the region."""

    retry_count: Annotated[int, Field(description="Further attempts that a client should make.")]
    """Further attempts that a client should make."""

    retry_interval_ms: Annotated[int, Field(description="Milliseconds between two attempts.")]
    """Milliseconds between two attempts."""

    timeout_connect: Annotated[int, Field(description="Seconds that a client should wait for a connection.")]
    """Seconds that a client should wait for a connection."""

    timeout_read: Annotated[int, Field(description="Seconds that a client should wait for an answer.")]
    """Seconds that a client should wait for an answer."""


class EndpointHealth(Answer):
    """
    What is known of an endpoint's health, and the probes that it is known from.
    """

    endpoint_id: Annotated[UUID, Field(description="The endpoint.")]
    """The endpoint."""

    health: Annotated[Health, Field(description="Whether it answers.")]
    """Whether it answers."""

    items: Annotated[list[Probe], Field(description="Its probes, newest first.")]
    """Its probes, newest first."""

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for older ones; null on the last page."),
    ]
    """What to send as `cursor` for older ones; null on the last page."""

    revision: Annotated[int, Field(description="The revision that `health` is of.")]
    """The revision that `health` is of."""


class ListCredential(Answer):
    """
    A list, page by page.
    """

    items: Annotated[list[Credential], Field(description="The rows of this page.")]
    """The rows of this page."""

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for the next page; null on the last one."),
    ]
    """What to send as `cursor` for the next page; null on the last one."""

    revision: Annotated[int, Field(description="The revision that the page is of.")]
    """The revision that the page is of."""


class ListEndpoint(Answer):
    """
    A list, page by page.
    """

    items: Annotated[list[Endpoint], Field(description="The rows of this page.")]
    """The rows of this page."""

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for the next page; null on the last one."),
    ]
    """What to send as `cursor` for the next page; null on the last one."""

    revision: Annotated[int, Field(description="The revision that the page is of.")]
    """The revision that the page is of."""


class ListModel(Answer):
    """
    A list, page by page.
    """

    items: Annotated[list[Model], Field(description="The rows of this page.")]
    """The rows of this page."""

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for the next page; null on the last one."),
    ]
    """What to send as `cursor` for the next page; null on the last one."""

    revision: Annotated[int, Field(description="The revision that the page is of.")]
    """The revision that the page is of."""


class ListModelClass(Answer):
    """
    A list, page by page.
    """

    items: Annotated[list[ModelClass], Field(description="The rows of this page.")]
    """The rows of this page."""

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for the next page; null on the last one."),
    ]
    """What to send as `cursor` for the next page; null on the last one."""

    revision: Annotated[int, Field(description="The revision that the page is of.")]
    """The revision that the page is of."""


class ListProvider(Answer):
    """
    A list, page by page.
    """

    items: Annotated[list[Provider], Field(description="The rows of this page.")]
    """The rows of this page."""

    next_cursor: Annotated[
        str | None,
        Field(description="What to send as `cursor` for the next page; null on the last one."),
    ]
    """What to send as `cursor` for the next page; null on the last one."""

    revision: Annotated[int, Field(description="The revision that the page is of.")]
    """The revision that the page is of."""


class Target(Answer):
    """
    An endpoint, and what to call it with.
    """

    credential: Credential | None
    credential_reason: str | None
    endpoint: Annotated[Endpoint, Field(description="The endpoint.")]
    """The endpoint."""

    exchange: Exchange | None
    langchain: Annotated[LangChain, Field(description="What a LangChain client is made with.")]
    """What a LangChain client is made with."""

    model: Annotated[
        str,
        Field(description="Name of the model that is called here, in the namespace of the endpoint."),
    ]
    """Name of the model that is called here, in the namespace of the endpoint."""

    secret: Annotated[
        Secret | None,
        Field(
            description="The key, only where it is asked for; on the first target that has one, or on each with\n`all_targets`."
        ),
    ] = None
    """
    The key, only where it is asked for; on the first target that has one, or on each with
    `all_targets`.
    """


class WrittenCredential(RootModel[Credential | Declared]):
    root: Annotated[
        Credential | Declared,
        Field(
            description="What a change is answered with: the row, or what would be declared where it was only tried."
        ),
    ]
    """What a change is answered with: the row, or what would be declared where it was only tried."""


class WrittenEndpoint(RootModel[Endpoint | Declared]):
    root: Annotated[
        Endpoint | Declared,
        Field(
            description="What a change is answered with: the row, or what would be declared where it was only tried."
        ),
    ]
    """What a change is answered with: the row, or what would be declared where it was only tried."""


class ResolveAnswer(Answer):
    """
    A model and where to call it.
    """

    class_: Annotated[
        str | None,
        Field(
            alias="class",
            description="Name of the class that means it now, in the model's namespace; only where it was found by one.",
        ),
    ] = None
    """Name of the class that means it now, in the model's namespace; only where it was found by one."""

    considered: Annotated[
        list[ConsideredModel],
        Field(description="The other models, those first that came nearest to what was asked for; at most 200."),
    ]
    """The other models, those first that came nearest to what was asked for; at most 200."""

    considered_omitted: Annotated[int, Field(description="How many there are beyond these.", ge=0)]
    """How many there are beyond these."""

    model: Annotated[Model, Field(description="The model.")]
    """The model."""

    revision: Annotated[int, Field(description="The revision that the answer is of.")]
    """The revision that the answer is of."""

    targets: Annotated[
        list[Target],
        Field(
            description="The endpoints that serve it, in the order in which they are to be tried. Of a class those of its\nother models follow, and those that are known not to answer come last."
        ),
    ]
    """
    The endpoints that serve it, in the order in which they are to be tried. Of a class those of its
    other models follow, and those that are known not to answer come last.
    """
