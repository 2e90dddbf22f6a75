"""What a model must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import TypedDict


class Need(TypedDict, total=False):
    """What `resolve` looks for. All that is given must hold; docs/api.md explains each field."""

    capabilities: Sequence[str]
    min_score: int
    min_context_window: int
    min_output_tokens: int
    max_input_price: str
    max_output_price: str
    currency: str
    prefer: str
    provider_types: Sequence[str]
    regions: Sequence[str]
    selector: Mapping[str, str]
    exclude: Sequence[str]
    recommended_for: Sequence[str]
    allow_deprecated: bool
    input_modalities: Sequence[str]
    output_modalities: Sequence[str]
    embedding_dimensions: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
