"""Counts what a piece of work takes in lines of Python: the same on a busy machine as on an idle one."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import fsproxy

PACKAGE = str(Path(fsproxy.__file__).parent) + "/"
DEMO = PACKAGE + "demo/"
"""The upstream of tests answers by the demo's functions, which are no part of the program's work."""


class Steps:
    """The lines that were run of ``fsproxy/``, and of all that its functions call; a line in a loop counts each time.

    What C does in one call is one step, so this tells whether values are looked at in Python, one after another.
    """

    def __init__(self) -> None:
        self.taken = 0
        self.in_threads = 0
        """Those of them that were not taken in the thread that counts."""
        self._own = threading.get_ident()

    def called(self, frame: FrameType, _event: str, _: object) -> Callable[..., Any] | None:
        """Take note of a function that is called, as ``sys.settrace`` wants it. Return what counts its lines."""
        file, caller = frame.f_code.co_filename, frame.f_back
        is_ours = file.startswith(PACKAGE) and not file.startswith(DEMO)
        return self._ran if is_ours or (caller is not None and caller.f_trace == self._ran) else None

    def _ran(self, _frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        if event == "line":
            self.taken += 1
            self.in_threads += threading.get_ident() != self._own
        return self._ran


@contextmanager
def counted() -> Iterator[Steps]:
    """Count the steps of this thread within the block, and of the threads that work goes to by ``asyncio.to_thread``."""
    steps, before, of_threads = Steps(), sys.gettrace(), threading.gettrace()
    _forget_threads()
    threading.settrace(steps.called)
    sys.settrace(steps.called)
    try:
        yield steps
    finally:
        sys.settrace(before)
        threading.settrace(of_threads)
        _forget_threads()


def _forget_threads() -> None:
    """Let the event loop start new threads for what it is given: those that run already stay as they are."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    loop.set_default_executor(ThreadPoolExecutor())
