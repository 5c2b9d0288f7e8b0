"""One connection to Redis: everything that requests ask in one tick of the loop goes out in one write.

redis-py makes the connection (address, TLS, password, database) and frames what goes over it; its commands
and pools are not used, as they cost more than a whole request (67-92 µs an operation).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import NoScriptError, ResponseError

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.state.redis.batch import STALL_SECONDS, Batch, Request, ScriptCall
from fsproxy.state.redis.breaker import PROBE_SECONDS, Breaker
from fsproxy.state.redis.refusals import is_unwritable, word_of
from fsproxy.state.redis.script import PACKED_CONSTANTS, script

TOO_LATE = "it does not answer in time"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[float, list[Any]]).decode


def connection_pool(url: str, timeout: float, **options: Any) -> BlockingConnectionPool:
    """Return connections to this address that make no second attempt and wait no longer than ``timeout`` seconds."""
    pool = BlockingConnectionPool.from_url(
        url, timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0), protocol=2, **options
    )
    pool.make_connection()  # type: ignore[no-untyped-call]  # raises now for an option that the address cannot have
    return pool


class RedisLink:
    """Keeps one connection, and opens it anew whatever happens to the server. Started and closed once.

    One task writes what is pending, once a tick, and one reads the answers, which come in the order of the calls.

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
        self._batch = Batch(timeout, self._give_up)
        self._sha = ""
        self._runner: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self.skew: float | None = None
        """How far the server's clock is ahead of ours, in seconds; None before the first answer."""

    async def start(self) -> None:
        """Connect in the background. Wait for the first attempt's end, up to the time limit."""
        self._runner = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await self._first.wait()

    async def close(self) -> None:
        """Stop. For what still waits, the store is down."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None
        self._batch.close()

    def ask(self, base: str, operations: list[Any], at: float | None) -> asyncio.Future[list[Any]]:
        """Send one request's operations with all others of this tick. Raises LedgerDownError, now or from the future.

        ``base`` is what the org's keys begin with, ``at`` the time to use instead of the server's, in tests.
        """
        if self._breaker.is_open or self._batch.is_full:
            self._breaker.unavailable += 1
            raise LedgerDownError
        return self._batch.add(base, operations, at)

    # -- the connection's life

    async def _run(self) -> None:
        """Connect and serve, for ever. A connection that fails to come up is tried again after a second."""
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
            except Exception as error:  # noqa: BLE001 - whatever a server or a client library does: try again
                reason = _reason(error)
            finally:
                if self._serving is not None:
                    self._serving.cancel()
                    self._serving = None
                # No answer can come any more.
                await connection.disconnect(nowait=True)
                self._batch.refuse_sent()
            if reason is not None:
                self._breaker.failed(reason)
                self._first.set()
                self._batch.refuse_pending()
                await asyncio.sleep(max(0.0, began + PROBE_SECONDS - loop.time()))

    async def _connect(self, connection: AbstractConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        # An idle connection is read without an end, whatever the address's options say.
        connection.socket_timeout = None
        await connection.send_command("SCRIPT", "LOAD", script())
        self._sha = (await connection.read_response()).decode()
        sent = wall_clock()
        # The probe writes, as a server that is read-only or out of memory is of no use.
        probe = _encode([[False, [["probe"]]]])
        await connection.send_command("EVALSHA", self._sha, 1, self._probe_base, probe, PACKED_CONSTANTS)
        server, answers = _decode(await connection.read_response())
        self._breaker.round_trips += 2
        if answers != [[True]]:
            # The script gives the text of an error as the answer.
            raise ResponseError(word_of(str(answers[0])) if answers else "")
        self.skew = None
        self._compare_clocks(server, sent)
        self._on_connect()

    async def _serve(self, connection: AbstractConnection) -> None:
        reader = asyncio.create_task(self._read(connection))
        reader.add_done_callback(lambda _: self._batch.wake.set())
        try:
            while True:
                await self._batch.wake.wait()
                self._batch.wake.clear()
                if reader.done():
                    reader.result()
                await self._write(connection, self._batch.take())
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def _end_of(self, serving: asyncio.Task[None]) -> str | None:
        """Return why a connection ended. None: it was lost, and the next one may hold."""
        if serving.cancelled():
            return TOO_LATE
        error = serving.exception()
        self._breaker.failures += isinstance(error, LostError | OSError)
        return None if isinstance(error, LostError | OSError) else _reason(error)

    # -- what goes over it

    async def _write(self, connection: AbstractConnection, calls: list[ScriptCall]) -> None:
        if not calls:
            return
        commands: list[tuple[Any, ...]] = []
        for call in calls:
            payload = _encode([request.payload for request in call.requests])
            how = ("EVAL", script()) if call.with_text else ("EVALSHA", self._sha)
            commands.append((*how, 1, call.base, payload, PACKED_CONSTANTS))
        self._batch.sent.extend(calls)
        self._breaker.round_trips += len(calls)
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                reply = await connection.read_response()
            except NoScriptError:
                # Not carried out: the server has forgotten its scripts. EVAL carries the text, and teaches it anew.
                call = self._batch.sent.popleft()
                call.with_text = True
                await self._write(connection, [call])
                continue
            if not self._batch.sent:
                raise ResponseError("an answer to nothing")
            server, answers = _decode(reply)
            call = self._batch.sent[0]
            self._compare_clocks(server, call.sent)
            if len(answers) != len(call.requests):
                raise ResponseError("not as many answers as requests")
            for request, answer in zip(call.requests, answers, strict=True):
                self._answer(request, answer)
            self._batch.finish_first()

    def _answer(self, request: Request, answer: Any) -> None:
        if request.answers.done():
            return
        if isinstance(answer, list):
            request.answers.set_result(answer)
            return
        if is_unwritable(str(answer)):
            request.refuse()
            raise ResponseError(word_of(str(answer)))
        # The script met something that it cannot have written, or may not do: this request's limits are not known.
        self._breaker.refused(word_of(str(answer)) or "ERR")
        request.refuse()

    def _compare_clocks(self, server: float, sent: float) -> None:
        """Estimate ``skew``. The first estimate stays while it can be right, so that calls keep their distances."""
        received = wall_clock()
        sample, doubt = server - (sent + received) / 2, abs(received - sent) / 2 + STALL_SECONDS
        if self.skew is None or abs(sample - self.skew) > doubt:
            self.skew = sample

    def _give_up(self) -> None:
        """End the connection, as the time limit is over."""
        if self._serving is not None:
            self._serving.cancel()
        else:
            self._batch.refuse_pending()


def _reason(error: BaseException | None) -> str:
    """Return the first word of a server's error, or a clause of ours: a server's own text might hold anything."""
    if isinstance(error, TimeoutError):
        return TOO_LATE
    if word := word_of(error) if error is not None else "":
        return word
    if isinstance(error, LostError | OSError):
        # redis-py raises its own error in the place of the system's.
        every = (error, error.__cause__, error.__context__)
        texts = (_system_words(each) for each in every if isinstance(each, OSError) and each.errno is not None)
        return next(texts, "the connection was lost").lower()
    return type(error).__name__


def _system_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    # asyncio puts the address into some of its texts. Errors of names have no number of the system.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or "unknown"
