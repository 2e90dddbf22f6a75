"""How each of the two clients waits."""

from __future__ import annotations

import asyncio
import time


async def async_sleep(seconds: float) -> None:
    """Waits, and lets others run."""
    await asyncio.sleep(seconds)


def sleep(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)
