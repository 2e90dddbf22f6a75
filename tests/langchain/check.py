"""Whether LangChain takes what the drivers say: every configuration that `configs.rs` prints goes
into `init_chat_model`, and the client that comes out has the URL, key, timeout, retries and headers
that were declared. Nothing is sent: a connection is an error here.

Usage: check.py CONFIGS.json
"""

import json
import os
import socket
import sys
import warnings

KEYS = {
    "api_key": "key-0123456789abcdef",
    "secret_key": "secret-0123456789abcdef",
    "access_token": "token-0123456789abcdef",
}

# Each case's class, and the base URL that the client of the vendor's SDK must have.
EXPECTED = {
    "openai": ("ChatOpenAI", "https://api.openai.com/v1"),
    "anthropic": ("ChatAnthropic", "https://api.anthropic.com"),
    "gemini": ("ChatGoogleGenerativeAI", "https://generativelanguage.googleapis.com"),
    "bedrock": ("ChatBedrockConverse", "https://bedrock-runtime.eu-central-1.amazonaws.com"),
    "azure-v1": ("ChatOpenAI", "https://res.openai.azure.com/openai/v1"),
    "azure-dated": ("AzureChatOpenAI", "https://res.openai.azure.com/openai/deployments/chat-prod"),
    "dashscope": ("ChatOpenAI", "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    "qianfan": ("ChatOpenAI", "https://qianfan.baidubce.com/v2"),
    "ollama": ("ChatOllama", "http://localhost:11434"),
    "ollama-behind-a-path": ("ChatOllama", "https://gw.example.com/ollama"),
    "vllm": ("ChatOpenAI", "http://vllm.ml.svc:8000/v1"),
    "gateway": ("ChatOpenAI", "https://gw.example.com/v1"),
}

# Classes that can't do without a key at all, and those that have no way to take a bearer token.
NEEDS_A_KEY = {"ChatAnthropic", "AzureChatOpenAI", "ChatGoogleGenerativeAI"}
TAKES_NO_TOKEN = {"ChatAnthropic"}


def refuse_to_connect(*_args, **_kwargs):
    raise AssertionError("a constructor connects somewhere")


def with_secrets(config):
    """The keyword arguments, keys included. A dotted name is a path into nested arguments; a header
    `Authorization` takes the key as a bearer token."""
    kwargs = json.loads(json.dumps(config["kwargs"]))
    for path, field in config["secret_kwargs"].items():
        *outer, last = path.split(".")
        place = kwargs
        for name in outer:
            place = place.setdefault(name, {})
        value = KEYS[field]
        place[last] = f"Bearer {value}" if last == "Authorization" else value
    return kwargs


def unknown_arguments(kwargs, cls):
    """Arguments that the class would pass over or hand on to the vendor."""
    known = set(cls.model_fields)
    known |= {field.alias for field in cls.model_fields.values() if field.alias}
    return sorted(set(kwargs) - known)


def seen_openai(model):
    client = model.root_client
    return {
        "url": str(client.base_url),
        "timeout": client.timeout,
        "retries": client.max_retries,
        "headers": client.default_headers,
        "secrets": {client.api_key, getattr(client, "_azure_ad_token", None)},
    }


def seen_anthropic(model):
    client = model._client
    return {
        "url": str(client.base_url),
        "timeout": client.timeout,
        "retries": client.max_retries,
        "headers": client.default_headers,
        "secrets": {client.api_key, client.default_headers.get("Authorization", "").removeprefix("Bearer ")},
    }


def seen_google(model):
    options = model.client._api_client._http_options
    return {
        "url": options.base_url,
        "timeout": model.timeout,
        # The first attempt counts.
        "retries": model.max_retries - 1,
        "headers": options.headers,
        "secrets": {model.client._api_client.api_key},
    }


def seen_ollama(model):
    client = model._client._client
    bearer = client.headers.get("authorization", "").removeprefix("Bearer ")
    return {
        "url": str(client.base_url),
        "timeout": client.timeout.read,
        # ChatOllama tries once; it has no argument for more.
        "retries": None,
        "headers": client.headers,
        "secrets": {bearer or None},
    }


class Stopped(Exception):
    """Carries a request that was about to leave."""


def bedrock_request(model):
    """What the AWS SDK would send, signed; `None` where it has nothing to sign with."""
    from botocore.exceptions import NoCredentialsError

    def stop(request, **_kwargs):
        raise Stopped(request)

    model.client.meta.events.register_last("before-send.bedrock-runtime.Converse", stop)
    try:
        model.client.converse(modelId=model.model_id, messages=[{"role": "user", "content": [{"text": "hi"}]}])
    except Stopped as stopped:
        return stopped.args[0]
    except NoCredentialsError:
        return None


def seen_bedrock(model):
    meta = model.client.meta
    request = bedrock_request(model)
    headers, secrets = None, set()
    if request is not None:
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        scheme, _, rest = headers["Authorization"].partition(" ")
        # A signature does not show the secret key that made it.
        signed_with = model.client._request_signer._credentials
        secrets = {rest} if scheme == "Bearer" else set(signed_with.get_frozen_credentials())
    return {
        "url": meta.endpoint_url,
        "timeout": meta.config.read_timeout,
        "retries": meta.config.retries["total_max_attempts"] - 1,
        "headers": headers,
        "secrets": secrets,
    }


SEEN = {
    "ChatOpenAI": seen_openai,
    "AzureChatOpenAI": seen_openai,
    "ChatAnthropic": seen_anthropic,
    "ChatGoogleGenerativeAI": seen_google,
    "ChatOllama": seen_ollama,
    "ChatBedrockConverse": seen_bedrock,
}


def differences(config):
    from langchain.chat_models import init_chat_model

    wanted_class, wanted_url = EXPECTED[config["case"]]
    kwargs = with_secrets(config)
    missing_key = config["key"] == "none" and wanted_class in NEEDS_A_KEY
    if missing_key or (config["key"] == "access-token" and wanted_class in TAKES_NO_TOKEN):
        # The client's own business: the caller adds what this class asks for.
        kwargs["api_key"] = KEYS["api_key"]
    model = init_chat_model(config["model"], model_provider=config["model_provider"], **kwargs)
    name = type(model).__name__
    if name != wanted_class:
        return [f"is {name}, not {wanted_class}"]
    found = []
    for argument in unknown_arguments(kwargs, type(model)):
        found.append(f"{name} has no argument {argument}")
    if getattr(model, "model_kwargs", None):
        found.append(f"hands on to the vendor: {sorted(model.model_kwargs)}")
    seen, declared = SEEN[name](model), config["declared"]
    if seen["url"].rstrip("/") != wanted_url:
        found.append(f"calls {seen['url']}, not {wanted_url}")
    if seen["timeout"] != declared["timeout"]:
        found.append(f"waits {seen['timeout']} s, not {declared['timeout']}")
    if seen["retries"] is not None and seen["retries"] != declared["retries"]:
        found.append(f"tries again {seen['retries']} times, not {declared['retries']}")
    if seen["headers"] is not None:
        for header, value in declared["headers"].items():
            if seen["headers"].get(header) != value:
                found.append(f"does not send the header {header}")
    for field in config["secret_kwargs"].values():
        if KEYS[field] not in seen["secrets"]:
            found.append(f"does not use the {field}")
    for field, value in KEYS.items():
        if field not in config["secret_kwargs"].values() and value in seen["secrets"]:
            if "api_key" not in kwargs or field != "api_key":
                found.append(f"uses a {field} that it was not given")
    return found


def main():
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_API_BASE")) or name.startswith(("AWS_", "AZURE_", "OLLAMA_")):
            del os.environ[name]
    # The AWS SDK asks the machine for an identity of its own where it is given none; what is checked
    # here is what it is given.
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    socket.socket.connect = refuse_to_connect
    warnings.simplefilter("ignore")
    with open(sys.argv[1], encoding="utf-8") as file:
        configs = json.load(file)
    failed = 0
    for config in configs:
        try:
            found = differences(config)
        except Exception as error:  # a constructor may refuse in any way
            found = [f"is refused: {type(error).__name__}: {error}"]
        failed += bool(found)
        name = f"{config['case']} ({config['key']})"
        print(f"{name:<36} {'; '.join(found) if found else 'ok'}")
    missing = set(EXPECTED) - {config["case"] for config in configs}
    for case in sorted(missing):
        print(f"{case:<36} was not printed by the drivers")
    print(f"{len(configs)} configurations, {failed + len(missing)} wrong")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
