"""A model's row as LangChain's `ModelProfile`."""

from __future__ import annotations

from typing import Any, get_type_hints

from langchain_core.language_models import ModelProfile

from .. import models

# The profile's key for each capability that it has one for.
_CAPABILITIES = {
    "FunctionCalling": ("tool_calling",),
    "Vision": ("image_inputs",),
    "PdfInput": ("pdf_inputs",),
    "AudioInput": ("audio_inputs",),
    "Reasoning": ("reasoning_output",),
    "StructuredOutput": ("structured_output",),
}
_STATUS = {"available": "active", "deprecated": "deprecated"}


def profile_of(model: models.Model) -> ModelProfile:
    """What is known of the model, in keys that the installed LangChain has; what is not known is left out."""
    found: dict[str, Any] = {
        "name": model.display_name or model.name,
        "status": _STATUS.get(model.status),
        "max_input_tokens": model.max_input_tokens or model.context_window,
        "max_output_tokens": model.max_output_tokens,
    }
    # No capability at all means that nobody said.
    can = {capability.name for capability in model.capabilities}
    if can:
        for capability, keys in _CAPABILITIES.items():
            found.update(dict.fromkeys(keys, capability in can))
    if model.type in ("Chat", "Completion", "Vision"):
        found.update(text_inputs=True, text_outputs=True)
    known = get_type_hints(ModelProfile)
    return ModelProfile(**{key: value for key, value in found.items() if value is not None and key in known})  # type: ignore[typeddict-item,no-any-return]
