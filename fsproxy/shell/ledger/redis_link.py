"""One connection to Redis: everything that is asked in one tick of the loop goes out in one write.

redis-py makes the connection (address, TLS, password, database) and frames what goes over it; its commands
and pools, which cost more than a whole request (67-92 µs an operation), are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LostError

from fsproxy.core.limits.operations import LedgerDown
from fsproxy.shell.clock import now as wall_clock
from fsproxy.shell.ledger.breaker import PROBE_SECONDS, Breaker
from fsproxy.shell.ledger.redis_wire import script

MOST_WAITING = 20_000
"""Requests that wait for the store at once; one more is told that it is down."""
MOST_IN_A_CALL = 128
"""Requests in one script call, so that no call holds Redis up for long (about 20 µs each)."""
STALL_SECONDS = 0.005
"""After the time limit, for an answer that is there already and that a busy loop has not read yet."""

_NO_WRITES = ("READONLY", "OOM", "MISCONF", "NOREPLICAS")
"""How a server begins that is well, but cannot be written to: a replica, a full one. It counts as down."""

log = structlog.get_logger("fsproxy")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[float, list[Any]]).decode


class Asked(msgspec.Struct, gc=False):
    """One request's operations on their way."""

    base: str
    request: list[Any]
    answers: asyncio.Future[list[Any]]
    since: float
    """Seconds on the loop's clock."""


class _Call(msgspec.Struct, gc=False):
    """One script call: what one org's requests of one tick ask."""

    base: str
    asked: list[Asked]
    sent: float
    """Wall clock."""
    again: bool = False
    """Sent with the script's text, as the server had forgotten it."""


def connection_pool(url: str, timeout: float, **options: Any) -> BlockingConnectionPool:
    """Connections to this address: no second attempts, no waiting beyond ``timeout`` seconds."""
    return BlockingConnectionPool.from_url(
        url, timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0), protocol=2, **options
    )


class RedisLink:
    """See the module. Started and closed once; survives any state of the server.

    ``on_connect`` is called with each new connection: the server may be another one, or empty.
    """

    def __init__(
        self, url: str, timeout: float, probe_base: str, breaker: Breaker, on_connect: Callable[[], None]
    ) -> None:
        self._probe_base = probe_base
        self._pool = connection_pool(url, timeout, socket_timeout=None)
        self._timeout = timeout
        self._breaker = breaker
        self._on_connect = on_connect
        self._pending: deque[Asked] = deque()
        self._sent: deque[_Call] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._sha = ""
        self._runner: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None
        self._late: Asked | None = None
        self._script_failed = False
        self.skew: float | None = None
        """What the server's clock is ahead of ours, in seconds; None before the first answer."""

    async def start(self) -> None:
        """Connect in the background; wait for the first attempt's end, up to the time limit."""
        self._runner = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await self._first.wait()

    async def close(self) -> None:
        """Stop; what still waits is told that the store is down."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._give_up()

    def ask(self, base: str, operations: list[Any], at: float | None) -> asyncio.Future[list[Any]]:
        """Send one request's operations with all others of this tick. Raises LedgerDown, now or from the future.

        ``base`` is the org's; ``at`` the time to take instead of the server's (tests).
        """
        if self._breaker.is_open or self._waiting >= MOST_WAITING:
            self._breaker.unavailable += 1
            raise LedgerDown
        loop = asyncio.get_running_loop()
        asked = Asked(base, [at or False, operations], loop.create_future(), loop.time())
        self._pending.append(asked)
        self._waiting += 1
        self._wake.set()
        if self._watch is None:
            self._watch = loop.call_later(self._timeout, self._check)
        return asked.answers

    # -- the connection's life

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            reason = None
            try:
                async with asyncio.timeout(self._timeout):
                    await self._connect(connection)
                self._breaker.recovered()
                self._first.set()
                self._serving = asyncio.create_task(self._serve(connection))
                await asyncio.wait([self._serving])
                reason = self._end_of(self._serving)
            except (TimeoutError, RedisError, OSError, msgspec.MsgspecError) as error:
                reason = _reason(error)
            finally:
                if self._serving is not None:
                    self._serving.cancel()
                    self._serving = None
                await connection.disconnect(nowait=True)
                self._lose_sent()
            if reason is not None:
                self._breaker.failed(reason)
                self._first.set()
                self._give_up()
                await asyncio.sleep(max(0.0, began + PROBE_SECONDS - loop.time()))

    async def _connect(self, connection: AbstractConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        # Whatever the address's options say: an idle connection is read without an end.
        connection.socket_timeout = None
        await connection.send_command("SCRIPT", "LOAD", script())
        self._sha = (await connection.read_response()).decode()
        sent = wall_clock()
        # A server that is read-only, or out of memory, is no use: the probe writes.
        await connection.send_command("EVALSHA", self._sha, 1, self._probe_base, _encode([[False, [["probe"]]]]))
        server, answers = _decode(await connection.read_response())
        self._breaker.round_trips += 2
        if answers != [[True]]:
            raise ResponseError("the probe was not written")
        self.skew = None
        self._compare_clocks(server, sent)
        self._on_connect()

    async def _serve(self, connection: AbstractConnection) -> None:
        reader = asyncio.create_task(self._read(connection))
        reader.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if reader.done():
                    reader.result()
                await self._write(connection, self._calls())
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def _end_of(self, serving: asyncio.Task[None]) -> str | None:
        """Why a connection ended; None: it was lost, which the next one may not be."""
        if serving.cancelled():
            return "timeout"
        error = serving.exception()
        self._breaker.failures += isinstance(error, LostError | OSError)
        return None if isinstance(error, LostError | OSError) else _reason(error)

    # -- what goes over it

    def _calls(self) -> list[_Call]:
        pending, sent = self._pending, wall_clock()
        calls: list[_Call] = []
        latest: dict[str, _Call] = {}
        while pending:
            asked = pending.popleft()
            call = latest.get(asked.base)
            if call is None or len(call.asked) >= MOST_IN_A_CALL:
                call = latest[asked.base] = _Call(asked.base, [], sent)
                calls.append(call)
            call.asked.append(asked)
        return calls

    async def _write(self, connection: AbstractConnection, calls: list[_Call]) -> None:
        if not calls:
            return
        commands: list[tuple[Any, ...]] = []
        for call in calls:
            payload = _encode([asked.request for asked in call.asked])
            how = ("EVAL", script()) if call.again else ("EVALSHA", self._sha)
            commands.append((*how, 1, call.base, payload))
        self._sent.extend(calls)
        self._breaker.round_trips += len(calls)
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                reply = await connection.read_response()
            except NoScriptError:
                # Not carried out: the server was restarted, or told to forget. EVAL teaches it anew.
                call = self._sent.popleft()
                call.again = True
                await self._write(connection, [call])
                continue
            if not self._sent:
                raise ResponseError("an answer to nothing")
            server, answers = _decode(reply)
            call = self._sent[0]
            self._compare_clocks(server, call.sent)
            if len(answers) != len(call.asked):
                raise ResponseError("not as many answers as were asked for")
            for asked, answer in zip(call.asked, answers, strict=True):
                self._settle(asked, answer)
            self._sent.popleft()
            self._waiting -= len(call.asked)

    def _settle(self, asked: Asked, answer: Any) -> None:
        if asked.answers.done():
            return
        if isinstance(answer, list):
            asked.answers.set_result(answer)
            return
        if str(answer).startswith(_NO_WRITES):
            _refuse(asked)
            raise ReadOnlyError
        # The script met something that it cannot have written: this request's limits are not known.
        self._breaker.failures += 1
        if not self._script_failed:
            self._script_failed = True
            log.error("the ledger's script failed; said once", problem=str(answer)[:200])
        _refuse(asked)

    def _compare_clocks(self, server: float, sent: float) -> None:
        """Keep the first estimate while it can be right: a moving one would bend the distances between calls."""
        received = wall_clock()
        sample, doubt = server - (sent + received) / 2, abs(received - sent) / 2 + STALL_SECONDS
        if self.skew is None or abs(sample - self.skew) > doubt:
            self.skew = sample

    # -- the time limit

    def _check(self) -> None:
        """Runs while something waits: the oldest must not be older than the limit."""
        self._watch = None
        oldest = self._sent[0].asked[0] if self._sent else self._pending[0] if self._pending else None
        if oldest is None:
            self._late = None
            return
        loop = asyncio.get_running_loop()
        left = oldest.since + self._timeout - loop.time()
        if left <= 0 and oldest is self._late:
            self._late = None
            if self._serving is not None:
                self._serving.cancel()
            else:
                self._give_up()
            return
        self._late = oldest if left <= 0 else None
        self._watch = loop.call_later(max(left, STALL_SECONDS), self._check)

    def _lose_sent(self) -> None:
        """Whether these were carried out nobody knows: reservations lapse by themselves."""
        while self._sent:
            for asked in self._sent.popleft().asked:
                self._waiting -= 1
                _refuse(asked)

    def _give_up(self) -> None:
        while self._pending:
            self._waiting -= 1
            _refuse(self._pending.popleft())


def _refuse(asked: Asked) -> None:
    if not asked.answers.done():
        asked.answers.set_exception(LedgerDown())


def _reason(error: BaseException | None) -> str:
    """A word for the log: what a server said might hold anything."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ReadOnlyError | OutOfMemoryError):
        return "no writes"
    if isinstance(error, AuthenticationError):
        return "authentication"
    if isinstance(error, LostError | OSError):
        return "connection"
    return type(error).__name__
