"""Runs a request's handler as a task does, but begins in the caller's own turn of the event loop.

An ``asyncio.Task`` begins in a later turn, and costs a request more than judging it does. ``InlineTask`` is a task
implementation of our own, in the way that asyncio's documentation provides for ("Extending", task lifetime support):
while a step of the coroutine runs, it is what ``asyncio.current_task()`` returns. So ``asyncio.timeout`` and
``TaskGroup`` work in every handler, and they work alike with every state backend.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class InlineTask:
    """One coroutine that is run until it ends. ``result`` or ``error`` is set then.

    It cannot be awaited: whoever starts it learns of the end from ``start``, or later by a call of ``on_end``.
    """

    __slots__ = (
        "_cancel_requests",
        "_coroutine",
        "_ended",
        "_loop",
        "_must_cancel",
        "_on_end",
        "_waits_for",
        "error",
        "result",
    )

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, bool],
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[InlineTask], None],
    ) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._on_end = on_end
        self._waits_for: asyncio.Future[Any] | None = None
        self._must_cancel = False
        self._ended = False
        self._cancel_requests = 0
        self.result = False
        self.error: BaseException | None = None

    def start(self) -> bool:
        """Run the coroutine until it waits for something. True: it has ended, and ``on_end`` will not be called."""
        return self._step()

    # -- what asyncio asks of a current task (asyncio.timeout, TaskGroup); the meaning is that of asyncio.Task

    def cancel(self, msg: object = None) -> bool:
        """Raise CancelledError in the coroutine, as soon as it waits for something."""
        self._cancel_requests += 1
        if self._waits_for is None or not self._waits_for.cancel(msg):
            self._must_cancel = True
        return True

    def done(self) -> bool:
        """Return whether the coroutine has ended."""
        return self._ended

    def cancelling(self) -> int:
        """Return how many calls of ``cancel`` were not taken back."""
        return self._cancel_requests

    def uncancel(self) -> int:
        """Take one call of ``cancel`` back, and return how many are left."""
        if self._cancel_requests:
            self._cancel_requests -= 1
        return self._cancel_requests

    # -- within

    def _step(self) -> bool:
        loop, coroutine = self._loop, self._coroutine
        self._waits_for = None
        _enter_task(loop, cast("asyncio.Task[Any]", self))
        try:
            if self._must_cancel:
                self._must_cancel = False
                awaited = coroutine.throw(asyncio.CancelledError())
            else:
                awaited = coroutine.send(None)
        except StopIteration as end:
            self._ended, self.result = True, end.value
            return True
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever started it decides
            self._ended, self.error = True, error
            return True
        finally:
            _leave_task(loop, cast("asyncio.Task[Any]", self))
        if awaited is None:  # it only lets others go first
            loop.call_soon(self._go_on)
            return False
        # The protocol between a future and the task that waits for it.
        awaited._asyncio_future_blocking = False  # noqa: SLF001
        awaited.add_done_callback(self._go_on)
        self._waits_for = awaited
        if self._must_cancel and awaited.cancel():
            self._must_cancel = False
        return False

    def _go_on(self, _: asyncio.Future[Any] | None = None) -> None:
        if self._step():
            self._on_end(self)
