"""llmplane for LangChain: a chat model that calls what llmplane says, and middleware for agents.

from llmplane.langchain import chat_model

model = chat_model(need={"capabilities": ["FunctionCalling"], "currency": "USD"})
model.invoke("Hello")
"""

from ._chat import LlmplaneChatModel, chat_model
from ._middleware import LlmplaneMiddleware
from ._profile import profile_of

__all__ = ["LlmplaneChatModel", "LlmplaneMiddleware", "chat_model", "profile_of"]
