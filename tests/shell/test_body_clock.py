"""A body that takes too long ends, whatever its reader was doing at that moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from fsproxy.core.failures import Failure
from fsproxy.shell.bodies import BodyClock, BodyError, read_part
from fsproxy.shell.sweeper import Sweeper


async def test_a_reader_that_the_end_of_a_chunk_wakes_as_its_time_ends_is_told_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.transport = cast("Any", object())  # it is connected, as far as the reader asks
    payload = StreamReader(protocol, 2**16, loop=loop)
    config = SimpleNamespace(server=SimpleNamespace(body_timeout=0.2, max_body=100))
    request = SimpleNamespace(payload=payload)
    tx: Any = SimpleNamespace(request=request, generation=SimpleNamespace(config=config), bytes_in=0, close=False)
    sweeper = Sweeper(loop)
    payload.begin_http_chunk_receiving()
    payload.feed_data(b"{")
    with BodyClock(tx, sweeper) as clock:
        assert await read_part(tx) == b"{"
        reading = asyncio.create_task(read_part(tx))
        await asyncio.sleep(0)
        payload.end_http_chunk_receiving()  # wakes it, with nothing to read
        clock.expire()
        with pytest.raises(BodyError) as told:
            async with asyncio.timeout(5):
                await reading
    sweeper.close()
    assert told.value.failure is Failure.BODY_TIMEOUT
