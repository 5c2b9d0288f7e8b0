"""A body that comes too slowly ends, whatever its reader was doing at that moment; one that is only slow does not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.failures import Failure
from fsproxy.http.sweeper import PERIOD, Sweeper
from fsproxy.proxy.bodies import LONGEST_READ, STREAM_GRACE, BodyClock, BodyError, read_part

KB = 1024


def transaction(payload: object, **server: Any) -> Any:
    config = SimpleNamespace(server=SimpleNamespace(body_rate=256, **{"body_timeout": 30.0, **server}))
    return SimpleNamespace(
        payload=payload, generation=SimpleNamespace(config=config), bytes_in=0, close=False, most_body=100
    )


async def test_a_reader_that_the_end_of_a_chunk_wakes_as_its_time_ends_is_told_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.transport = cast("Any", object())  # it is connected, as far as the reader asks
    payload = StreamReader(protocol, 2**16, loop=loop)
    flow = transaction(payload, body_timeout=0.2)
    sweeper = Sweeper(loop)
    payload.begin_http_chunk_receiving()
    payload.feed_data(b"{")
    with BodyClock(flow, sweeper, streamed=False) as clock:
        assert await read_part(flow) == b"{"
        reading = asyncio.create_task(read_part(flow))
        await asyncio.sleep(0)
        payload.end_http_chunk_receiving()  # wakes it, with nothing to read
        clock.expire()
        with pytest.raises(BodyError) as told:
            async with asyncio.timeout(120):
                await reading
    sweeper.close()
    assert told.value.failure is Failure.BODY_TIMEOUT


@dataclass
class Body:
    """A body that comes in a time of the test's, and ends with the first failure that its reader is given."""

    streamed: bool
    now: float = 0.0
    failed: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flow = transaction(SimpleNamespace(set_exception=self.failed.append))
        self._sweeper: Any = SimpleNamespace(time=lambda: self.now, add=lambda _: None, discard=lambda _: None)

    def lasts(self, size: int, every: float, most: float) -> float:
        """How long ``size`` bytes every ``every`` seconds are taken, in seconds; ``most`` when as long as asked."""
        with BodyClock(self.flow, self._sweeper, streamed=self.streamed) as clock:
            while self.now < most and not self.failed:
                self.now = min(self.now + every, most)
                if clock.due <= self.now:
                    self.now = clock.due
                    clock.expire()
                    break
                self.flow.bytes_in += size
                clock.restart()
        return self.now


@pytest.mark.parametrize("streamed", [False, True])
def test_one_byte_every_29_seconds_is_over_after_30(streamed: bool) -> None:  # noqa: FBT001
    body = Body(streamed)
    assert body.lasts(1, 29.0, 3600.0) == pytest.approx(30.0, abs=0.1)
    assert isinstance(body.failed[0], BodyError)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("every", [0.1, 1.0, 20.0])
def test_300_kb_at_64_kbit_a_second_come_through(streamed: bool, every: float) -> None:  # noqa: FBT001
    body = Body(streamed)
    assert body.lasts(int(8 * KB * every), every, 37.5) == 37.5
    assert not body.failed
    assert body.flow.bytes_in >= 300_000 - 8 * KB * every


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_that_stops_is_over_after_the_longest_gap_however_much_has_come(streamed: bool) -> None:  # noqa: FBT001
    body = Body(streamed)
    assert body.lasts(60 * KB, 10.0, 20.0) == 20.0
    assert body.lasts(0, 3600.0, 3600.0) == 50.0


def test_a_body_that_is_read_is_over_after_five_minutes_and_a_streamed_one_goes_on() -> None:
    assert Body(streamed=False).lasts(8 * KB, 1.0, 3600.0) == LONGEST_READ
    assert Body(streamed=True).lasts(8 * KB, 1.0, 3600.0) == 3600.0


def test_a_large_beginning_buys_a_streamed_body_five_minutes_and_no_more() -> None:
    body = Body(streamed=True)
    body.flow.bytes_in = 64 * KB * KB
    assert body.lasts(1, 29.0, 36_000.0) == pytest.approx(STREAM_GRACE + LONGEST_READ, abs=1.0)
    assert Body(streamed=True).lasts(KB, 3.9, 36_000.0) == 36_000.0


@given(st.integers(0, 600), st.sampled_from([0.5, 1.0, 7.0, 29.0]), st.booleans())
def test_whoever_keeps_to_the_rate_is_never_cut_off_and_nobody_else_stays(
    rate: int,
    every: float,
    streamed: bool,  # noqa: FBT001
) -> None:
    size = int(rate * every)
    taken = Body(streamed).lasts(size, every, 200.0)
    if size >= 256 * every:
        assert taken == 200.0
    else:
        assert STREAM_GRACE <= taken <= STREAM_GRACE / (1 - size / every / 256) + 0.001


def test_time_in_which_the_upstream_does_not_read_does_not_count() -> None:
    body = Body(streamed=True)
    with BodyClock(body.flow, body._sweeper, streamed=True) as clock:
        body.now += 20.0
        body.flow.bytes_in += 512
        clock.stop()
        assert clock.due > body.now + 3600.0
        body.now += 3600.0
        clock.start()
        assert clock.due == body.now + 12.0, "of the 30 seconds 20 have passed, and 512 bytes bought two more"


def test_a_longer_body_timeout_is_the_time_of_a_body_that_is_read() -> None:
    body = Body(streamed=False)
    body.flow.generation.config.server.body_timeout = 600.0
    assert body.lasts(1, 60.0, 3600.0) == 600.0, "as long as a body that is read may take at all"


def test_a_body_is_looked_at_often_enough() -> None:
    assert PERIOD < 1.0
