"""Runs a request's handler as a task does, but begins in the caller's own turn of the event loop.

An ``asyncio.Task`` begins in a later turn, and costs a request more than deciding about it does. ``InlineTask`` is a
task implementation of our own, as asyncio's documentation allows ("Extending", task lifetime support).

A coroutine is run in steps. ``send(None)`` runs it to its next wait, where it hands out the future that it waits for,
or None if it only lets others go first (``asyncio.sleep(0)``). When the future is done, its callback runs the next
step. During a step ``asyncio.current_task()`` returns this object, and ``asyncio.timeout`` and ``TaskGroup`` use its
``cancel``, ``cancelling`` and ``uncancel``. So both work in every handler, and alike with every state backend.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec


class InlineTask(msgspec.Struct, eq=False):
    """One coroutine that is run until it ends, which sets ``result`` or ``error``.

    It cannot be awaited. Its end is known from ``step``, or later by a call of ``on_end``.
    """

    coroutine: Coroutine[Any, Any, bool]
    loop: asyncio.AbstractEventLoop
    on_end: Callable[[InlineTask], None]
    result: bool = False
    error: BaseException | None = None
    _ended: bool = False
    _waits_for: asyncio.Future[Any] | None = None
    _must_cancel: bool = False
    _cancel_requests: int = 0

    # -- what asyncio expects of a current task, with the meaning that asyncio.Task gives it

    def cancel(self, msg: object = None) -> bool:
        """Raise CancelledError in the coroutine where it waits, or as soon as it does."""
        self._cancel_requests += 1
        if self._waits_for is None or not self._waits_for.cancel(msg):
            self._must_cancel = True
        return True

    def done(self) -> bool:
        """Return whether the coroutine has ended."""
        return self._ended

    def cancelling(self) -> int:
        """Return how many calls of ``cancel`` were not undone."""
        return self._cancel_requests

    def uncancel(self) -> int:
        """Undo one call of ``cancel``, and return how many are left."""
        if self._cancel_requests:
            self._cancel_requests -= 1
        return self._cancel_requests

    # -- the steps

    def wake(self, future: asyncio.Future[None]) -> None:
        """Set a future's result, and run the next step in this turn of the event loop if the task waits for it.

        It is for callbacks of the event loop alone: within another task, a step would take that one's place.
        """
        if self._waits_for is future:
            future.remove_done_callback(self.step)
            future.set_result(None)
            self.step(future)
        else:
            future.set_result(None)

    def step(self, woken_by: object = None) -> bool:
        """Run the coroutine until it waits for something. Return True if it has ended.

        The caller makes the first step, and ``on_end`` is called if a later one, ``woken_by`` something, is the last.
        """
        loop, coroutine = self.loop, self.coroutine
        self._waits_for = None
        _enter_task(loop, self)  # type: ignore[arg-type]  # it does what a Task does
        try:
            if self._must_cancel:
                self._must_cancel = False
                awaited = coroutine.throw(asyncio.CancelledError())
            else:
                awaited = coroutine.send(None)
        except StopIteration as end:
            self._ended, self.result = True, end.value
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever made it decides
            self._ended, self.error = True, error
        finally:
            _leave_task(loop, self)  # type: ignore[arg-type]
        if self._ended:
            if woken_by is not None:
                self.on_end(self)
            return True
        if awaited is None:
            loop.call_soon(self.step, loop)
            return False
        # A future sets this flag when it is awaited, and the task that takes it over must clear it.
        awaited._asyncio_future_blocking = False  # noqa: SLF001
        awaited.add_done_callback(self.step)
        self._waits_for = awaited
        if self._must_cancel and awaited.cancel():
            self._must_cancel = False
        return False
