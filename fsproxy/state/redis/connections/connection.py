"""One connection to Redis: everything that requests ask in one tick of the loop goes out in one write.

redis-py frames what goes over it; its commands and pools are not used, as they cost more than a whole request
(67-92 µs an operation).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import NoScriptError, ResponseError

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.state.redis.connections.batch import STALL_SECONDS, Batch, Request, ScriptCall
from fsproxy.state.redis.connections.breaker import PROBE_SECONDS, Breaker
from fsproxy.state.redis.connections.probing import decode, is_redirection, probe
from fsproxy.state.redis.script import PACKED_CONSTANTS, SHA, script
from fsproxy.state.redis.servers.ending import end
from fsproxy.state.redis.servers.reasons import TOO_LATE, reason_of
from fsproxy.state.redis.servers.refusals import LOST_AT_ONCE, is_unwritable, word_of
from fsproxy.state.redis.servers.server import Server, ServerConnection

FIRST_ROUND_TRIPS = 8
"""The start waits at most so many time limits: what it takes to connect over TLS, log in, and load the script."""

_encode = msgspec.msgpack.Encoder().encode


class RedisLink:
    """Keeps one connection, and opens it anew whatever happens to the server. Started and closed once.

    One task writes what is pending, once a tick, and one reads the answers, which come in the order of the calls.

    ``on_connect`` is called with each new connection: the server may be another one, or empty. ``redirect`` is given
    calls that a node of a Cluster did not carry out, and its answer.
    """

    def __init__(
        self,
        server: Server,
        timeout: float,
        probe_base: Callable[[], str | None],
        breaker: Breaker,
        on_connect: Callable[[], None],
        redirect: Callable[[ScriptCall, ResponseError], None] | None = None,
    ) -> None:
        """``probe_base`` returns what the keys of no org begin with that lie on the server; None: it takes none yet."""
        self._probe_base, self._redirect = probe_base, redirect
        self.server, self.breaker = server, breaker
        self._timeout, self._on_connect = timeout, on_connect
        self._batch = Batch(timeout, self._give_up)
        self._runner: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self.skew: float | None = None
        """How far the server's clock is ahead of ours, in seconds; None before the first answer."""

    async def start(self) -> None:
        """Connect in the background. Wait for the first attempt's end, as long as a server that is far away takes."""
        self.server.start(self._timeout)
        self._runner = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_ROUND_TRIPS * self._timeout):
                await self._first.wait()

    async def close(self) -> None:
        """Stop. For what still waits, the store is down."""
        await end(self._runner)
        await self.server.close()
        self._batch.close()
        # There will be no first attempt's end.
        self._first.set()

    def ask(self, base: str, operations: list[Any], at: float | None) -> asyncio.Future[list[Any]]:
        """Send one request's operations with all others of this tick. Raises LedgerDownError, now or from the future.

        ``base`` is what the org's keys begin with, ``at`` the time to use instead of the server's, in tests.
        """
        if self.breaker.is_open or self._batch.is_full:
            self.breaker.unavailable += 1
            raise LedgerDownError
        return self._batch.add(base, operations, at)

    def take_over(self, request: Request, *, asking: bool) -> None:
        """Send a request that another node did not carry out, or refuse it.

        ``asking``: the node is to carry it out although it does not have its slot yet.
        """
        if self.breaker.is_open or self._batch.is_full:
            self.breaker.unavailable += 1
            request.refuse()
        else:
            request.asking = asking
            self._batch.take_over(request)

    # -- the connection's life

    async def _run(self) -> None:
        """Connect and serve, for ever: at once after a loss; after a second if that fails, or two are lost quickly."""
        loop, server, is_brief = asyncio.get_running_loop(), self.server, False
        while True:
            began = loop.time()
            server.moved.clear()
            connection = server.connection(self._timeout)
            reason = None
            try:
                await self._connect(connection)
                server.present, self.breaker.place = connection.address, server.place
                self.breaker.recovered()
                self._first.set()
                reason = await self._serve_until_it_ends(connection)
            except Exception as error:  # noqa: BLE001 - whatever a server or a client library does: try again
                reason = reason_of(error)
            finally:
                server.present = None
                # No answer can come any more.
                await connection.disconnect(nowait=True)
                self._batch.refuse_sent()
            is_lost, was_brief = reason == LOST_AT_ONCE, is_brief
            is_brief = is_lost and loop.time() < began + PROBE_SECONDS
            if is_lost and not (is_brief and was_brief):
                self.breaker.failures += 1
            elif reason is not None:
                self.breaker.place = server.place
                self.breaker.failed(reason)
                self._first.set()
                self._batch.refuse_pending()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(began + PROBE_SECONDS):
                        await server.moved.wait()

    async def _connect(self, connection: ServerConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        self.skew = None
        base = self._probe_base()
        if base is not None and (found := await probe(connection, base, self.breaker)):
            self._compare_clocks(*found)
        # An idle connection is read without an end.
        connection.socket_timeout = None
        self._on_connect()

    async def _serve(self, connection: ServerConnection) -> None:
        reader = asyncio.create_task(self._read(connection))
        reader.add_done_callback(lambda _: self._batch.wake.set())
        try:
            while True:
                await self._batch.wake.wait()
                if reader.done():  # what is pending is the next connection's, which finds the event still set
                    reader.result()
                self._batch.wake.clear()
                await self._write(connection, self._batch.take())
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _serve_until_it_ends(self, connection: ServerConnection) -> str | None:
        """Return why a connection ended; LOST_AT_ONCE if it was lost, however late. None: the server has moved."""
        serving = self._serving = asyncio.create_task(self._serve(connection))
        moved = asyncio.create_task(self.server.moved.wait())
        try:
            await asyncio.wait([serving, moved], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._serving = None
            moved.cancel()
            serving.cancel()
        if not serving.done():
            return None
        if serving.cancelled():
            return TOO_LATE
        error = serving.exception()
        return LOST_AT_ONCE if isinstance(error, LostError | OSError) else reason_of(error)

    # -- what goes over it

    async def _write(self, connection: ServerConnection, calls: list[ScriptCall]) -> None:
        if not calls:
            return
        commands: list[tuple[Any, ...]] = []
        for call in calls:
            payload = _encode([request.payload for request in call.requests])
            how = ("EVAL", script()) if call.with_text else ("EVALSHA", SHA)
            commands += [("ASKING",)] if call.asking else []
            commands.append((*how, 1, call.base, payload, PACKED_CONSTANTS))
        self._batch.sent.extend(calls)
        self.breaker.round_trips += len(calls)
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)

    async def _read(self, connection: ServerConnection) -> None:
        while True:
            try:
                reply = await connection.read_response()
            except NoScriptError:
                # Not carried out: the server has forgotten its scripts. EVAL carries the text, and teaches it anew.
                call = self._batch.sent.popleft()
                call.with_text, call.asking = True, call.requests[0].asking
                await self._write(connection, [call])
                continue
            except ResponseError as error:
                if self._redirect is None or not is_redirection(error):
                    raise
                self._redirect(self._batch.hand_over(), error)
                continue
            if not self._batch.sent:
                raise ResponseError("an answer to nothing")
            call = self._batch.sent[0]
            if call.asking:
                # This was the answer to ASKING.
                call.asking = False
                continue
            server, answers = decode(reply)
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
        self.breaker.refused(word_of(str(answer)) or "ERR")
        request.refuse()

    def _compare_clocks(self, server: float, sent: float) -> None:
        """Estimate ``skew``. The first estimate stays while it can be right, so that calls keep their distances."""
        received = wall_clock()
        sample, doubt = server - (sent + received) / 2, abs(received - sent) / 2 + STALL_SECONDS
        if self.skew is None or abs(sample - self.skew) > doubt:
            self.skew = sample

    def _give_up(self) -> None:
        """End the connection, as the time limit is over. One that is coming up goes on, but no request waits for it."""
        if self._serving is not None:
            self._serving.cancel()
        else:
            self.breaker.failed(TOO_LATE)
            self._batch.refuse_pending()
