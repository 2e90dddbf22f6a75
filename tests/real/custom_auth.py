"""Who may call: LiteLLM asks this for every request, in place of its own database."""

import hmac
import os

from fastapi import Request
from litellm.proxy._types import UserAPIKeyAuth


async def check(request: Request, api_key: str | None) -> UserAPIKeyAuth:
    if api_key and hmac.compare_digest(api_key, os.environ["LLMPLANE_TEST_KEY"]):
        return UserAPIKeyAuth(api_key=api_key)
    # As LiteLLM documents it; an OSError would count as its database being away.
    raise Exception("no such key")
