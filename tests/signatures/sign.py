"""Signs the cases with botocore, the SDK's own signer, which shares no code with the driver's.

    sign.py check    exits 1 where cases.json has another signature than botocore makes
    sign.py write    writes the cases, signed by botocore, to cases.json

A test of the driver holds its signatures against the same file.
"""

import datetime
import json
import pathlib
import sys
import urllib.parse
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

FILE = pathlib.Path(__file__).with_name("cases.json")
CONTROL = "https://bedrock.us-east-1.amazonaws.com"
RUNTIME = "https://bedrock-runtime.us-east-1.amazonaws.com"
HELLO = '{"inferenceConfig":{"maxTokens":1},"messages":[{"content":[{"text":"hi"}],"role":"user"}]}'
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQ=="


def case(name, base, segments, query=(), body=None, region="us-east-1", token=None, time=None):
    return {
        "name": name,
        "method": "GET" if body is None else "POST",
        "base": base,
        "segments": segments,
        "query": [list(pair) for pair in query],
        "body": body,
        "region": region,
        "time": time or "2026-11-23T08:00:00Z",
        "access_key_id": "ASIAEXAMPLEEXAMPLE00" if token else "AKIDEXAMPLE",
        "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "session_token": token,
    }


CASES = [
    case("list of models", CONTROL, ["foundation-models"]),
    case("filtered list", CONTROL, ["foundation-models"], [("byOutputModality", "EMBEDDING")]),
    case(
        "page of profiles, a token with characters to encode, parameters out of order",
        CONTROL,
        ["inference-profiles"],
        [("nextToken", "a+b/c=d e~f*g:h"), ("maxResults", "1000")],
    ),
    case(
        "model id with a colon",
        CONTROL,
        ["foundation-model-availability", "anthropic.claude-sonnet-4-5-20250929-v1:0"],
    ),
    case(
        "profile by ARN",
        CONTROL,
        [
            "inference-profiles",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12",
        ],
    ),
    case("session token", CONTROL, ["foundation-models"], token=TOKEN),
    case(
        "completion, with a body",
        RUNTIME,
        ["model", "us.amazon.nova-lite-v1:0", "converse"],
        body=HELLO,
    ),
    case(
        "completion with a session token",
        RUNTIME,
        ["model", "amazon.nova-lite-v1:0", "converse"],
        body=HELLO,
        token=TOKEN,
    ),
    case(
        "China",
        "https://bedrock.cn-north-1.amazonaws.com.cn",
        ["foundation-models"],
        region="cn-north-1",
    ),
    case(
        "government, FIPS",
        "https://bedrock-fips.us-gov-west-1.amazonaws.com",
        ["foundation-models"],
        region="us-gov-west-1",
    ),
    case(
        "behind a gateway's path and port",
        "https://gateway.example.com:8443/aws/bedrock",
        ["foundation-models"],
        region="eu-central-1",
    ),
    case("a leap day's last second", CONTROL, ["foundation-models"], time="2028-02-29T23:59:59Z"),
    case("odd characters in an id", CONTROL, ["foundation-model-availability", "a b*c'd(e)!f%g"]),
]


def authorization(case):
    path = "".join("/" + urllib.parse.quote(s, safe="-._~") for s in case["segments"])
    url = case["base"] + path
    if case["query"]:
        url += "?" + urllib.parse.urlencode([tuple(p) for p in case["query"]], quote_via=urllib.parse.quote)
    headers = {} if case["body"] is None else {"content-type": "application/json"}
    request = AWSRequest(case["method"], url, headers, (case["body"] or "").encode())
    keys = Credentials(case["access_key_id"], case["secret_key"], case["session_token"])
    now = datetime.datetime.fromisoformat(case["time"].replace("Z", "+00:00"))
    signer = botocore.auth.SigV4Auth(keys, "bedrock", case["region"])
    with mock.patch.object(botocore.auth, CLOCK, lambda *_, **__: now.replace(tzinfo=None)):
        signer.add_auth(request)
    assert now.strftime("%Y%m%dT%H%M%SZ") == request.context["timestamp"], "the clock is not held"
    return request.headers["Authorization"]


CLOCK = "get_current_datetime"


def main(verb):
    signed = [case | {"authorization": authorization(case)} for case in CASES]
    text = json.dumps(signed, indent=2) + "\n"
    if verb == "write":
        FILE.write_text(text)
    elif FILE.read_text() != text:
        known = {case["name"]: case for case in json.loads(FILE.read_text())}
        differ = [case["name"] for case in signed if known.get(case["name"]) != case]
        sys.exit(f"botocore signs otherwise: {', '.join(differ) or 'the order of the cases'}")
    print(f"{len(signed)} signatures by botocore {botocore.__version__}")


if __name__ == "__main__":
    if sys.argv[1:] not in (["check"], ["write"]):
        sys.exit(__doc__)
    main(sys.argv[1])
