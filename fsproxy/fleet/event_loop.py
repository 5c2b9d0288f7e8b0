"""Which event loop runs the program, and how soon it gets the interpreter back from a thread."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

SWITCH_SECONDS = 0.0005
"""The loop waits so long at most for a thread that inspects a large body. The interpreter's own 5 ms would hold it so
long at every turn; less buys nothing, as msgspec reads a call of 512 KB in one step anyway."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's; None, which is asyncio's own, on Windows. Sets how soon a thread gives the interpreter back."""
    sys.setswitchinterval(SWITCH_SECONDS)
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not on Windows

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
