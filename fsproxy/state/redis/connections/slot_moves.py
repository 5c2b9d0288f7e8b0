"""Requests for slots that one node of a Cluster hands over to another one, key by key.

A script's keys are not all declared, and while a slot is handed over, some of an org's keys are here and others there.
A script that ran then, on either side, would take what is on the other one for absent, and count from nothing. So:

- The one declared key of a call, the org's base, is never written. A node that hands a slot over does not find it, so
  it carries out nothing and answers ASK (the node that gets the slot answers MOVED until it is asked with ASKING).
- A node that hands a slot over creates no more keys in it. Once it has none, all are at the other node, and stay there.
  From then on ASK is followed, and not before. This is asked anew for every request, after its ASK, as the operator
  may have called the move off meanwhile.
- Until then requests wait, at most as long as the time limit from the first one of the slot on. Later ones do not wait:
  for the orgs of the slot the store is down, until the slot has arrived, or stays.

Slots that a Cluster moves as a whole (Valkey 9: CLUSTER MIGRATESLOTS) never come here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError

from fsproxy.state.redis.connections.batch import MOST_WAITING, Request
from fsproxy.state.redis.connections.probing import REDIRECTIONS
from fsproxy.state.redis.servers.ending import end

WAITING_SECONDS = 0.01
"""Between two questions to the node while requests wait."""
HELD_SECONDS = 0.1
"""The same while none does."""


@dataclass(slots=True)
class _Move:
    base: str
    """Of one of its orgs: a key in the slot that is never written."""
    since: float
    waiting: list[Request] = field(default_factory=list)
    is_held: bool = False
    """Its requests are refused."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What the node says of a slot."""

    error: ResponseError | None
    """Its answer to a command for an absent key: None: it serves the slot."""
    left: int
    """How many keys of the slot it has; -1: it does not say."""


class SlotMoves:
    """The slots that one node hands over. One task asks the node for all of them, as long as there are any."""

    def __init__(
        self,
        connect: Callable[[], Any],
        timeout: float,
        send: Callable[[Request, AskError | None], None],
        changed: Callable[[], None],
    ) -> None:
        """``connect`` returns a connection to the node, to be opened. ``send`` sends a request again.

        With an AskError it goes to that node with ASKING, else to the one that has the slot. ``changed`` is called when
        a slot is held, or no longer.
        """
        self._connect = connect
        self._timeout = timeout
        self._send = send
        self._changed = changed
        self._moves: dict[int, _Move] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def held(self) -> set[int]:
        """Return the slots whose requests are to be refused."""
        return {slot for slot, move in self._moves.items() if move.is_held}

    def wait(self, slot: int, requests: Sequence[Request]) -> None:
        """Send these requests again as soon as the slot is at one place, or refuse them."""
        loop = asyncio.get_running_loop()
        move = self._moves.get(slot)
        if move is None:
            move = self._moves[slot] = _Move(requests[0].base, loop.time())
        if len(move.waiting) >= MOST_WAITING:
            refuse(requests)
            return
        move.waiting.extend(requests)
        self._wake.set()
        if self._task is None:
            self._task = loop.create_task(self._run())

    async def close(self) -> None:
        """Stop. What waits is refused."""
        await end(self._task)

    async def _run(self) -> None:
        connection = self._connect()
        # The node may be lost, or be another one: its link finds that out.
        with suppress(Exception):
            await self._follow(connection)

    async def _follow(self, connection: Any) -> None:
        try:
            await connection.connect()
            while self._moves:
                self._wake.clear()
                await self._ask(connection)
                waits = any(move.waiting for move in self._moves.values())
                with suppress(TimeoutError):
                    async with asyncio.timeout(WAITING_SECONDS if waits else HELD_SECONDS):
                        # While some wait, those that come now wait with them.
                        await (asyncio.Event() if waits else self._wake).wait()
        finally:
            self._task = None
            moves, self._moves = self._moves, {}
            for move in moves.values():
                refuse(move.waiting)
            self._changed()
            await connection.disconnect(nowait=True)

    async def _ask(self, connection: Any) -> None:
        """Ask where each slot is, and send or refuse what waits for it."""
        # What comes from here on waits for the next answer: this one may be older.
        asked = {slot: (move.base, move.waiting) for slot, move in self._moves.items()}
        for slot in asked:
            self._moves[slot].waiting = []
        try:
            places = await self._places(connection, {slot: base for slot, (base, _) in asked.items()})
        except BaseException:
            for _, waiting in asked.values():
                refuse(waiting)
            raise
        changed = False
        for slot, place in places.items():
            changed |= self._decide(slot, place, asked[slot][1])
        if changed:
            self._changed()

    def _decide(self, slot: int, place: _Place, waiting: list[Request]) -> bool:
        """Send or refuse what waited for a slot. Return whether it is held now and was not, or the reverse."""
        move, error = self._moves[slot], place.error
        was_held = move.is_held
        if error is None or isinstance(error, MovedError):
            del self._moves[slot]
            for request in waiting + move.waiting:
                self._send(request, error if isinstance(error, MovedError) else None)
            return was_held
        if isinstance(error, AskError) and place.left == 0:
            move.is_held = False
            for request in waiting:
                self._send(request, error)
        elif asyncio.get_running_loop().time() - move.since >= self._timeout:
            move.is_held = True
            refuse(waiting + move.waiting)
            move.waiting = []
        else:
            move.waiting = waiting + move.waiting
        return move.is_held != was_held

    async def _places(self, connection: Any, bases: dict[int, str]) -> dict[int, _Place]:
        commands: list[tuple[Any, ...]] = []
        for slot, base in bases.items():
            commands += [("EXISTS", base), ("CLUSTER", "COUNTKEYSINSLOT", slot)]
        async with asyncio.timeout(self._timeout):
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return {slot: _Place(await _error(connection), await _number(connection)) for slot in bases}


async def _error(connection: Any) -> ResponseError | None:
    try:
        await connection.read_response()
    except (*REDIRECTIONS, ClusterDownError) as error:
        return error
    return None


async def _number(connection: Any) -> int:
    try:
        return int(await connection.read_response())
    except ResponseError:  # not permitted
        return -1


def refuse(requests: Iterable[Request]) -> None:
    """Answer that the store is down."""
    for request in requests:
        request.refuse()
