"""What each thing costs a Redis or Valkey: the server's CPU time, and the memory that stays.

    python tests/benchmarks/store_costs.py [--redis URL] [--number 10000] [--only session,bundle] [--quick]

Without ``--redis`` it starts a Valkey of its own; the server that is given must be empty, and is EMPTIED. CPU time is
what the server says of itself, of its fastest batch of 500, so other programs on the machine disturb little. ``alone``
is a question that has a script call for itself; ``together`` one of 16 in a call, as those of one org in one tick of a
busy process. Bytes are those of the server's allocator for each key and all that belongs to it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from redis import Redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import (
    Admit,
    Claim,
    Confirm,
    Mark,
    NameKind,
    Operation,
    QuotaTerms,
    RateKind,
    Recall,
    Spend,
)
from fsproxy.core.model import FilterName, Hit, Instant, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import RateSettings
from fsproxy.state.redis.script import PACKED_CONSTANTS, script
from fsproxy.state.redis.wire import block_to_wire, blocked_to_wire, clock_to_wire, org_base, to_wire
from support.valkey import running_valkey

ORG = "o-1ABC-na1"
TOGETHER = 16
SETTLES_SECONDS = 0.5
BATCH = 500
SESSIONS_AN_ORG = 10
PER_CALL = {"alone": 1, "together": TOGETHER}
MIX = {"counted": 1, "bundle": 10, "clock": 5, "call": 1, "calls": 9, "names": 1}
"""What a session asks in 10 minutes with 5 pages, a bundle every 5 seconds (a process asks once a minute) and 10 calls."""
BUSY = 0.7
"""Of a core, so that answers do not have to wait for each other."""
Question = tuple[str, list[Any]]
"""What the org's keys begin with, and an operation as the script takes it."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that costs the store something, as a number of questions that follow each other."""

    name: str
    meaning: str
    steps: tuple[Callable[[int], Question], ...]
    """Each makes a question of a number. All questions of a step are asked before those of the next."""
    before: tuple[str, ...] = ()
    """Items that must have been there before it."""
    is_kept: bool = False
    """What it leaves in memory is reported."""


def unique(number: int) -> str:
    """Return an id that looks like a recorder's."""
    return str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 1) % 2**128))


def in_org(org: str, wire: list[Any]) -> Question:
    """Return the question to an org."""
    return org_base("fsproxy:", org), wire


def of(operation: Operation) -> Question:
    """Return an operation's question."""
    return in_org(operation.org, to_wire(operation, 0.0))


def ids(number: int) -> tuple[str, str, str]:
    """Return a token, a session and a user."""
    return unique(3 * number), unique(3 * number + 1), unique(3 * number + 2)


def items(now: float) -> list[Item]:
    """Return all of them, in the order in which they are measured."""
    quota = QuotaTerms("2026-11-01", 10**9, Instant(now + 20 * 86_400), enforced=True)
    events, hit = RateSettings().event, Hit(FilterName.DOMAIN, ReasonCode.DOMAIN_FILTER, Rule("domain:otherwise"))
    names = tuple(f"event_name_{number}" for number in range(10))

    def admit(terms: QuotaTerms | None, org: str = ORG) -> Callable[[int], Question]:
        return lambda n: of(Admit(org, *ids(n), False, terms))

    def confirm(n: int) -> Question:
        token, session, user = ids(n)
        return of(Confirm(ORG, token, (session,), (user,), new=True))

    def visitor(n: int) -> Question:
        return of(Confirm(ORG, "none", (), (), new=True, visitors=(unique(n),)))

    def page_names(n: int) -> Question:
        fifty = tuple(f"page_property_{number}" for number in range(50))
        return of(Claim(ORG, NameKind.PAGE_PROPERTY, fifty, 500, 30 * 86_400, unique(n), 50))

    under_way = ("session",)
    return [
        Item("session", "a new session: its page and the answer", (admit(None), confirm), is_kept=True),
        Item("counted", "the same under a quota", (admit(quota), confirm), is_kept=True),
        Item("waiting", "its page alone, until the answer or for 11 minutes", (admit(quota),), is_kept=True),
        Item("page", "a page of a session under way", (admit(quota),), under_way),
        Item("bundle", "a bundle: session and user are under way", (lambda n: of(Mark(ORG, *ids(n)[1:])),), under_way),
        Item("uid", "a question for a session's uids", (lambda n: of(Recall(ORG, *ids(n)[1:])),), under_way),
        Item(
            "name",
            "a new name of an event",
            (lambda n: of(Claim(ORG, NameKind.EVENT_NAME, (f"event number {n}",), 10**6, 30 * 86_400)),),
            is_kept=True,
        ),
        Item("names", "ten known names", (lambda _: of(Claim(ORG, NameKind.EVENT_NAME, names, 1_000, 30 * 86_400)),)),
        Item("page names", "50 properties of a page", (page_names,), is_kept=True),
        Item(
            "call",
            "the first call of a session, for its rate",
            (lambda n: of(Spend(ORG, unique(n), RateKind.EVENT, Instant(wall_clock()), events)),),
            is_kept=True,
        ),
        Item(
            "calls",
            "the 2nd to the 9th call (each)",
            (lambda n: of(Spend(ORG, unique(n // 8), RateKind.EVENT, Instant(now + n % 8), events)),),
            ("call",),
            is_kept=True,
        ),
        Item(
            "clock", "a page's clock", (lambda n: in_org(ORG, clock_to_wire(ORG, unique(n), now, now, 0.0)),), (), True
        ),
        Item("block", "a blocked page", (lambda n: in_org(ORG, block_to_wire(ORG, unique(n), hit)),), is_kept=True),
        Item(
            "blocked", "a question whether a page is blocked", (lambda n: in_org(ORG, blocked_to_wire(ORG, unique(n))),)
        ),
        Item("admitted", "a visitor that a share let in, remembered", (visitor,), is_kept=True),
        Item(
            "ramped",
            "a new session that ramping blocks",
            (lambda n: of(Admit(ORG, unique(n), unique(-n), "", True, None, ramped_user=unique(-n))),),
            ("admitted",),
        ),
        Item(
            "org",
            "the count of another org",
            (lambda n: of(Admit(f"o-{n}-na1", *ids(n), False, quota)),),
            is_kept=True,
        ),
    ]


class Server:
    """The server that is measured."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.sha = client.script_load(script())
        self.version = str(client.info("server").get("redis_version"))

    def cpu(self) -> float:
        """Return the seconds of CPU time that it has used, the kernel's included."""
        found = self.client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def bytes_used(self) -> int:
        """Return what its allocator has given out. The buffers of the connection that asked so much are gone by then."""
        self.client.connection_pool.disconnect()
        time.sleep(SETTLES_SECONDS)
        return int(self.client.info("memory")["used_memory"])

    def keys(self) -> int:
        """Return how many keys it has."""
        return int(self.client.dbsize())

    def ask(self, questions: Sequence[Question], per_call: int) -> float:
        """Ask them, and return the microseconds that each took in the fastest batch."""
        best = float("inf")
        for start in range(0, len(questions), BATCH):
            batch = questions[start : start + BATCH]
            pipeline = self.client.pipeline(transaction=False)
            for base, wires in _calls(batch, per_call):
                payload = msgspec.msgpack.encode([[False, [wire]] for wire in wires])
                pipeline.execute_command("EVALSHA", self.sha, 1, base, payload, PACKED_CONSTANTS)
            before = self.cpu()
            answers = pipeline.execute()
            best = min(best, (self.cpu() - before) / len(batch) * 1e6)
            failed = [each for answer in answers for each in msgspec.msgpack.decode(answer)[1] if isinstance(each, str)]
            if failed:
                raise SystemExit(f"the script failed: {failed[0]}")
        return best


def _calls(batch: Sequence[Question], per_call: int) -> Iterator[tuple[str, list[list[Any]]]]:
    for start in range(0, len(batch), per_call):
        part = batch[start : start + per_call]
        for base in dict.fromkeys(base for base, _ in part):
            yield base, [wire for each, wire in part if each == base]


def measure(server: Server, item: Item, every: dict[str, Item], number: int) -> dict[str, float]:
    """Return microseconds for one, alone and together, and the bytes and keys that it leaves."""
    found: dict[str, float] = {}
    for way, per_call in PER_CALL.items():
        server.client.flushall(asynchronous=False)
        for name in item.before:
            for step in every[name].steps:
                server.ask([step(n) for n in range(number)], TOGETHER)
        server.ask([step(10**9) for step in item.steps], 1)  # what the org has once
        used, keys = server.bytes_used(), server.keys()
        found[way] = sum(server.ask([step(n) for n in range(number)], per_call) for step in item.steps)
        found["bytes"] = (server.bytes_used() - used) / number
        found["keys"] = (server.keys() - keys) / number
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", metavar="URL", help="an empty server, which is emptied (default: starts a Valkey)")
    parser.add_argument("--number", type=int, default=10_000, help="of each thing")
    parser.add_argument("--only", help="names, with commas between them")
    parser.add_argument("--quick", action="store_true", help="see whether it works, measure nothing")
    options = parser.parse_args()
    with ExitStack() as stack:
        url = options.redis or stack.enter_context(running_valkey()).url
        client = stack.enter_context(Redis.from_url(url, protocol=2))
        if client.dbsize():
            raise SystemExit("the server is not empty")
        server, every = Server(client), {item.name: item for item in items(wall_clock())}
        print(f"server {server.version}; us of its CPU time, bytes, keys")
        whole = dict.fromkeys(PER_CALL, 0.0)
        for name in options.only.split(",") if options.only else every:
            found = measure(server, every[name], every, 200 if options.quick else options.number)
            for way in whole:
                whole[way] += MIX.get(name, 0) * found[way]
            kept = f"{found['bytes']:6.0f} B {found['keys']:4.1f}" if every[name].is_kept else " " * 13
            print(
                f"{name:10} {found['alone']:6.1f} alone {found['together']:6.1f} together {kept}  {every[name].meaning}"
            )
        if not options.only:
            rates = ", ".join(f"{BUSY * 1e6 / cost:,.0f} a second {way} ({cost:.0f} us)" for way, cost in whole.items())
            print(f"sessions of 10 minutes that one core carries, {BUSY:.0%} busy: {rates}")
        client.flushall()


if __name__ == "__main__":
    main()
