"""Client of llmplane's API: which LLMs there are, where to call them, and with which key.

from llmplane import Client

with Client() as llm:
    answer = llm.resolve(need={"capabilities": ["FunctionCalling"]}, with_secret=True)
"""

from . import models
from ._async.client import AsyncClient
from ._calls import Outcome
from ._errors import (
    AmbiguousModel,
    ApiError,
    ApiUnreachable,
    BadRequest,
    Conflict,
    Forbidden,
    LlmplaneError,
    NoModel,
    NotFound,
    QuotaExhausted,
    RateLimited,
    ServerError,
    SettingsError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from ._events import Delete, Event, Reset, Upsert
from ._need import Need
from ._settings import Settings
from ._sync.client import Client

__all__ = [
    "AmbiguousModel",
    "ApiError",
    "ApiUnreachable",
    "AsyncClient",
    "BadRequest",
    "Client",
    "Conflict",
    "Delete",
    "Event",
    "Forbidden",
    "LlmplaneError",
    "Need",
    "NoModel",
    "NotFound",
    "Outcome",
    "QuotaExhausted",
    "RateLimited",
    "Reset",
    "ServerError",
    "Settings",
    "SettingsError",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Upsert",
    "models",
]
