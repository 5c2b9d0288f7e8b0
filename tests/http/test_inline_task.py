"""A handler runs as in a task, and waiting works alike in it whatever the state backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fsproxy.http.client_request import CLOSE, ClientRequest
from fsproxy.http.inline_task import InlineTask
from support.in_process import in_process
from support.raw_http import eventually, raw_client
from support.valkey import running_valkey

Handler = Callable[[], Coroutine[Any, Any, bool]]


async def run(handler: Handler) -> InlineTask:
    """Run it to its end, and fail the test unless its end was reported exactly once."""
    loop = asyncio.get_running_loop()
    ended: list[InlineTask] = []
    made: list[InlineTask] = []

    def begin() -> None:  # as a protocol does: in no task of the loop's
        task = InlineTask(handler(), loop, ended.append)
        made.append(task)
        if task.step():
            ended.append(task)

    loop.call_soon(begin)
    await eventually(lambda: bool(ended))
    await asyncio.sleep(0)
    assert ended == made
    return ended[0]


async def test_what_needs_not_wait_ends_at_once() -> None:
    async def handler() -> bool:
        return True

    done = await run(handler)
    assert (done.result, done.error) == (True, None)


async def test_the_handler_is_the_current_task_while_it_runs_and_never_else() -> None:
    seen: list[object] = []

    async def handler() -> bool:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        seen.append(asyncio.current_task())
        asyncio.get_running_loop().call_soon(lambda: seen.append(asyncio.current_task()))
        await asyncio.sleep(0.001)
        return True

    done = await run(handler)
    assert seen == [done, done, done, None]


async def test_a_timeout_ends_what_takes_too_long_and_nothing_else() -> None:
    steps: list[str] = []

    async def handler() -> bool:
        never = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(0.01):
                await never
        except TimeoutError:
            steps.append("too long")
        assert never.cancelled()
        async with asyncio.timeout(60):
            await asyncio.sleep(0.001)
            steps.append("in time")
        try:
            async with asyncio.timeout(60), asyncio.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError:
            steps.append("the inner one")
        return True

    assert (await run(handler)).error is None
    assert steps == ["too long", "in time", "the inner one"]


async def test_a_timeout_may_be_over_before_the_first_wait() -> None:
    async def handler() -> bool:
        try:
            async with asyncio.timeout(-1):
                await asyncio.sleep(60)
        except TimeoutError:
            return True
        return False

    assert (await run(handler)).result


async def test_a_group_of_tasks_ends_with_its_first_fault() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def handler() -> bool:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.sleep(60))
                await asyncio.sleep(60)
        except ExceptionGroup as faults:
            return isinstance(faults.exceptions[0], ValueError)
        return False

    assert (await run(handler)).result


async def test_a_fault_is_kept_for_whoever_started_it() -> None:
    async def at_once() -> bool:
        raise ValueError

    async def later() -> bool:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    assert isinstance((await run(at_once)).error, ValueError)
    assert isinstance((await run(later)).error, asyncio.CancelledError)


async def test_it_is_cancelled_where_it_waits_or_as_soon_as_it_does() -> None:
    seen: list[str] = []

    async def handler() -> bool:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        assert task.cancelling() == 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("at the wait")
        assert task.uncancel() == 0
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            seen.append("at a bare turn")
        task.uncancel()
        await asyncio.sleep(0.001)
        return True

    assert (await run(handler)).error is None
    assert seen == ["at the wait", "at a bare turn"]


@pytest.mark.parametrize("backend", ["memory", "redis"])
async def test_a_handler_that_uses_a_timeout_behaves_alike_with_every_backend(backend: str) -> None:
    async def handler(request: ClientRequest) -> bool:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            request.connection.write(b"HTTP/1.1 504 Timed out\r\nContent-Length: 0\r\n\r\n")
        return CLOSE

    with running_valkey() as valkey:
        config = {
            "upstream": {"url": "http://127.0.0.1:9"},
            "state": {"backend": backend, "redis": {"url": valkey.url}},
        }
        async with in_process(config) as proxy:
            proxy.server.handler = handler
            async with raw_client(proxy.port) as client:
                assert (await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 504


async def test_a_woken_task_goes_on_in_the_same_turn_and_once() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    steps: list[str] = []

    async def handler() -> bool:
        await first
        steps.append("first")
        await second
        steps.append("second")
        return True

    ended: list[InlineTask] = []
    task = InlineTask(handler(), loop, ended.append)

    def wake() -> None:
        task.step()
        task.wake(second)  # nobody waits for it yet
        assert steps == []
        task.wake(first)
        steps.append("woken")

    loop.call_soon(wake)
    await eventually(lambda: bool(ended))
    await asyncio.sleep(0)
    assert steps == ["first", "second", "woken"]
    assert ended == [task]
