"""The primary that Sentinels know: it is asked for before each connection, and followed when it changes.

redis-py's Sentinel client takes the word of the first Sentinel that answers. One that was cut off together with an old
primary still names that one, so here all are asked, and the newest election counts (``config-epoch``).

From the moment at which a replica is chosen, and until Sentinels name it, the limits rest: where the old primary lives
on, as with ``SENTINEL FAILOVER``, what it counts then is lost with its role.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass

from redis.exceptions import ConnectionError as LostError
from redis.exceptions import ResponseError

from fsproxy.clock import monotonic
from fsproxy.config.hosts import Node
from fsproxy.config.schema import SentinelConfig
from fsproxy.state.redis.servers.login import Login
from fsproxy.state.redis.servers.reasons import UnusableError, reason_of
from fsproxy.state.redis.servers.refusals import (
    FAILS_OVER,
    NO_PRIMARY,
    NO_SENTINEL,
    NO_SUCH_NAME,
    NONE_ANSWERS,
    NOT_LET_IN,
    word_of,
)
from fsproxy.state.redis.servers.server import Server

CHECK_SECONDS = 30.0
"""By each listener, all Sentinels are asked that often: its own may be cut off from the others."""
REST_SECONDS = 1.0
GRACE = 2.0
"""In time limits of a round trip. To look up a name may take ten times as long."""
_REFUSALS = frozenset({"WRONGPASS", "NOAUTH", "NOPERM"})
FAILOVER_SECONDS = 10.0
"""A failover that takes longer has failed, or its leader has: the old primary is used again."""
_BEGINS = b"+failover-state-select-slave"
"""Some 100 ms before a replica becomes a primary. Only the Sentinel that leads the failover says so."""
_ENDS = (b"-failover-abort-no-good-slave", b"-failover-abort-slave-timeout")
_CHANNELS = (b"+switch-master", b"+promoted-slave", _BEGINS, *_ENDS)
"""The leader says the second one earlier; the others say the first alone."""


@dataclass(frozen=True, slots=True)
class _Word:
    """What one Sentinel says."""

    node: Node | None
    """The primary; None: it knows none of that name, or none that is up."""
    epoch: int = 0
    """The number of the election that made it the primary."""
    is_known: bool = True
    """There is a primary of that name."""


class SentinelServer(Server):
    """The primary. A Sentinel that is down is skipped."""

    def __init__(
        self, config: SentinelConfig, tls_of_sentinels: ssl.SSLContext | None, login: Login, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(Node("", 0), login, tls)
        self._master = config.master
        self._asking = asyncio.Lock()
        own = Login(config.username, config.password, mode="sentinel")
        self._sentinels = [Server(each, own, tls_of_sentinels) for each in config.nodes]
        self._listened: set[Server] = set()
        """Those whose messages are read."""
        self._failover_until = 0.0
        """Seconds on the monotonic clock: until then a failover is under way, unless it has ended."""

    @property
    def place(self) -> str:
        """The primary's name, and where it was last, for people."""
        return f"{self._master} at {self.node}" if self.node.host else self._master

    @property
    def open(self) -> int:
        """How many connections are open, those to Sentinels included."""
        return super().open + sum(each.open for each in self._sentinels)

    async def locate(self, limit: float) -> Node:
        """Return where the primary is by the newest election that any Sentinel knows. Raises UnusableError."""
        async with self._asking:  # so that who asks later knows no less
            words = await self._words(limit)
        found = [each for each in words if isinstance(each, _Word)]
        named = [(each.epoch, each.node) for each in found if each.node is not None]
        if named:
            self.node = max(named, key=lambda each: each[0])[1]
            if self.node == self.linked and monotonic() < self._failover_until:
                raise UnusableError(FAILS_OVER)
            return self.node
        if found:
            raise UnusableError(NO_PRIMARY if any(each.is_known for each in found) else NO_SUCH_NAME)
        errors = [each for each in words if isinstance(each, BaseException)]
        if any(word_of(each) in _REFUSALS for each in errors):
            raise UnusableError(NOT_LET_IN)
        raise UnusableError(NO_SENTINEL if any(reason_of(each) == NO_SENTINEL for each in errors) else NONE_ANSWERS)

    async def survey(self, limit: float) -> list[tuple[str, str]]:
        """Return for each Sentinel the primary that it names, and why it names none; "" for what is not so."""
        found = []
        for word in await self._words(limit):
            if isinstance(word, BaseException):
                found.append(("", NOT_LET_IN if word_of(word) in _REFUSALS else reason_of(word)))
            elif word.node is None:
                found.append(("", NO_PRIMARY if word.is_known else NO_SUCH_NAME))
            else:
                found.append((str(word.node), ""))
        return found

    # -- asking

    async def _words(self, limit: float) -> list[_Word | BaseException]:
        """Return what each Sentinel says. After the first answer, no other one is waited for longer than GRACE.

        One that is left out so and knows a newer election makes it known to whoever listens to it, or to the others.
        """
        asked = [asyncio.create_task(self._ask(each, limit)) for each in self._sentinels]
        waiting, ended = set(asked), set[asyncio.Task[_Word]]()
        try:
            while waiting and all(each.cancelled() or each.exception() for each in ended):
                ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if waiting:
                await asyncio.wait(waiting, timeout=GRACE * limit)
        finally:
            for each in asked:
                each.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [TimeoutError() if isinstance(each, asyncio.CancelledError) else each for each in found]

    async def _ask(self, sentinel: Server, limit: float) -> _Word:
        """Return what a Sentinel says, over a connection of its own. Raises redis-py's errors and OSError."""
        connection = sentinel.connection(limit)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            commands = [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master), ("SENTINEL", "MASTER", self._master)]
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            address = await connection.read_response()
            try:
                reply = await connection.read_response()
            except ResponseError:
                reply = []
        finally:
            await connection.disconnect(nowait=True)
        if address is None:
            return _Word(None, is_known=False)
        node = Node(address[0].decode(), int(address[1]))
        facts = dict(zip(reply[::2], reply[1::2], strict=False))
        epoch = int(facts.get(b"config-epoch", 0))
        # While it fails over, the address is the new primary's, and all else is the old one's.
        is_old = (facts.get(b"ip"), facts.get(b"port")) == (address[0], address[1])
        is_down = is_old and b"_down" in facts.get(b"flags", b"")
        return _Word(None if is_down else node, epoch)

    # -- listening

    async def _watch(self, limit: float) -> None:
        """Listen to all Sentinels, as any of them may lead a failover."""
        await asyncio.gather(*(self._follow(each, limit) for each in self._sentinels))

    async def _follow(self, sentinel: Server, limit: float) -> None:
        while True:
            try:
                await self._listen(sentinel, limit)
            except Exception as error:  # noqa: BLE001 - whatever a Sentinel says or does: try again
                self._listened.discard(sentinel)
                self.unwatched = "" if self._listened else reason_of(error)
            await asyncio.sleep(REST_SECONDS)

    async def _listen(self, sentinel: Server, limit: float) -> None:
        """Read a Sentinel's messages until it is lost. Raises redis-py's errors and OSError."""
        connection = sentinel.connection(limit)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("SUBSCRIBE", *_CHANNELS)
            for _ in _CHANNELS:
                await connection.read_response()
            self._listened.add(sentinel)
            self.unwatched = ""
            # It may have changed before.
            await self._check(limit)
            is_asked = False
            while True:
                message = await connection.read_response(timeout=CHECK_SECONDS, disconnect_on_error=False)
                if message is None:
                    if is_asked:
                        raise LostError(NONE_ANSWERS)
                    await connection.send_command("PING")
                    await self._check(limit)
                is_asked = message is None
                if message is not None and message[0] == b"message" and self._is_of(*message[1:]):
                    await self._take(message[1], limit)
        finally:
            await connection.disconnect(nowait=True)

    async def _take(self, channel: bytes, limit: float) -> None:
        """Do what a message of this primary asks for."""
        if channel == _BEGINS:
            self._failover_until = monotonic() + FAILOVER_SECONDS
        elif channel in _ENDS:
            self._failover_until = 0.0
        else:
            await self._check(limit)
            return
        self.moved.set()

    def _is_of(self, channel: bytes, text: bytes) -> bool:
        """Return whether a message is of this primary."""
        words = text.decode(errors="replace").split(" ")
        if channel == b"+switch-master":
            return words[0] == self._master
        if words[0] == "master":
            return words[1:2] == [self._master]
        return "@" in words and words[words.index("@") + 1 : words.index("@") + 2] == [self._master]

    async def _check(self, limit: float) -> None:
        """Lead the link to the primary, if it is connected to another server. Messages of one election are several."""
        with contextlib.suppress(UnusableError):
            if await self.locate(limit) != self.linked:
                self.moved.set()
