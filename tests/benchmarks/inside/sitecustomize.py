"""Tells what only a process itself knows: its tasks, and how much of its memory is in use.

Python imports this module at its start from ``PYTHONPATH``, so the workers that a supervisor starts tell it, too.
``SOAK_INSIDE`` names the folder: each process that runs uvloop's loop writes ``<pid>.json`` there, every second.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import sys
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

EVERY_SECONDS = 1.0
MOST_TYPES, MOST_LINES = 60, 40


class _Mallinfo(ctypes.Structure):
    """What glibc tells of its heap, in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _heap() -> tuple[int, int]:
    """Bytes that glibc's allocator has handed out, and bytes that it keeps for later; 0 for other libraries."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return 0, 0
    ask.restype = _Mallinfo
    found = ask()
    return found.uordblks + found.hblkhd, found.fordblks


def _objects() -> dict[str, int]:
    """The commonest types among the objects that the garbage collector knows."""
    return dict(Counter(type(each).__qualname__ for each in gc.get_objects()).most_common(MOST_TYPES))


def _grown(before: tracemalloc.Snapshot) -> dict[str, int]:
    """By how many bytes what each line of code has allocated has grown since then, for those that have grown most."""
    lines = tracemalloc.take_snapshot().compare_to(before, "lineno")
    grown = sorted(lines, key=lambda each: each.size_diff, reverse=True)[:MOST_LINES]
    return {str(each.traceback): each.size_diff for each in grown} | {"all": sum(each.size_diff for each in lines)}


def _tell(loop: asyncio.AbstractEventLoop, folder: Path) -> None:
    file = folder / f"{os.getpid()}.json"
    new, wanted, warm = file.with_suffix(".new"), folder / "objects", folder / "warm"
    before: tracemalloc.Snapshot | None = None
    while not loop.is_closed():
        with suppress(RuntimeError):  # tasks that come and go while they are counted
            tasks = sorted(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks(loop))
            used, kept = _heap()
            told: dict[str, Any] = {"tasks": tasks, "blocks": sys.getallocatedblocks(), "used": used, "kept": kept}
            if before is None and tracemalloc.is_tracing() and warm.exists():
                before = tracemalloc.take_snapshot()
            if wanted.exists():
                told["objects"] = _objects()
                told["grown"] = _grown(before) if before is not None else {}
            new.write_text(json.dumps(told))
            new.replace(file)
        time.sleep(EVERY_SECONDS)


def _install(folder: Path) -> None:
    import uvloop  # the processes of a soak alone need it

    if "SOAK_TRACE" in os.environ:
        tracemalloc.start()
    usual = uvloop.new_event_loop

    def new_event_loop() -> Any:
        loop = usual()
        threading.Thread(target=_tell, args=(loop, folder), daemon=True).start()
        return loop

    uvloop.new_event_loop = new_event_loop


if "SOAK_INSIDE" in os.environ:
    _install(Path(os.environ["SOAK_INSIDE"]))
