"""Whether limits hold to the unit while servers fail over and slots move: 2 proxies of 2 workers over each form of store.

    python tests/benchmarks/exactness.py [--limit 600] [--clients 12] [--only sentinel]

For each form and event: new sessions against a quota, new names against a cardinality and calls of one session against
a rate, all of one org, until all three are used up; the event comes when half of the quota is. An audit line says
whether the limits were in force for its request, so what is let through is counted twice: with the store, which must
never be more than the limit, and without it, which is what the gap let through. Exit status 1: a limit was passed,
other than by what a killed primary had not yet replicated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
from fsproxy.state.redis.wire import org_base  # noqa: E402 - as tests have it
from support.cluster import ClusterDeployment, running_cluster, slot_of  # noqa: E402
from support.proxy import RunningProxy, running_proxy  # noqa: E402
from support.sentinel import SentinelDeployment, running_sentinels  # noqa: E402
from support.upstream import RecordingUpstream  # noqa: E402
from support.valkey import ValkeyServer, running_valkey  # noqa: E402

ORG = "o-EXACT-na1"
AFTER = 50
"""Refusals of each kind after the event that end a run."""
DEADLINE = 240.0
SETTLED_SECONDS = 3.0
KINDS = ("sessions", "names", "calls")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A form of store and what happens to it. ``happen`` takes its time, so it runs in a thread."""

    form: str
    event: str
    start: Callable[[], Any]
    happen: Callable[[Any], object]
    is_lossy: bool = False
    """What was not yet replicated may be lost."""


def _careful_sentinels() -> Any:
    """The old primary takes no writes once its only replica has left it."""
    return running_sentinels(min_replicas_to_write="1", min_replicas_max_lag="10")


def _kill_primary(deployment: SentinelDeployment) -> None:
    number = len(deployment.elections())
    deployment.primary.kill()
    deployment.elected(number)
    deployment.heal()


def _kill_node(deployment: ClusterDeployment) -> None:
    lost = deployment.owner_of(ORG)
    lost.kill()
    deployment.replaced(lost)
    deployment.heal()


def _migrate(deployment: ClusterDeployment) -> None:
    slot = slot_of(ORG)
    deployment.migrate(slot, deployment.other_than(deployment.owner(slot)))


def _hang(server: ValkeyServer) -> None:
    server.pause()
    asyncio.run(asyncio.sleep(2.0))
    server.resume()


SCENARIOS = (
    Scenario("server", "nothing", running_valkey, lambda _: None),
    Scenario("server", "hangs for 2 s", running_valkey, _hang),
    Scenario("sentinel", "failover, old primary lives", running_sentinels, SentinelDeployment.fail_over, is_lossy=True),
    Scenario("sentinel", "the same, one replica needed", _careful_sentinels, SentinelDeployment.fail_over),
    Scenario("sentinel", "the same, COORDINATED", running_sentinels, lambda all_: all_.fail_over("COORDINATED")),
    Scenario("sentinel", "primary killed", running_sentinels, _kill_primary, is_lossy=True),
    Scenario("cluster", "slot migrated key by key", running_cluster, _migrate),
    Scenario("cluster", "primary killed", lambda: running_cluster(replicas=1), _kill_node, is_lossy=True),
)


@dataclass
class Tally:
    """What clients were answered, by kind."""

    admitted: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    """Ids of requests."""
    refused: Counter[str] = field(default_factory=Counter)
    happened: bool = False
    refused_since: Counter[str] = field(default_factory=Counter)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def note(self, kind: str, request_id: str, *, admitted: bool) -> None:
        if admitted:
            self.admitted[kind].append(request_id)
        else:
            self.refused[kind] += 1
            self.refused_since[kind] += self.happened

    @property
    def is_over(self) -> bool:
        return self.happened and all(self.refused_since[kind] >= AFTER for kind in KINDS)

    def next_id(self) -> str:
        return f"exact-{next(self._ids)}"


async def _post(http: aiohttp.ClientSession, url: str, body: object, request_id: str) -> int:
    async with http.post(url, data=json.dumps(body), headers={"X-Request-Id": request_id}) as response:
        await response.read()
        return response.status


async def _client(http: aiohttp.ClientSession, proxies: list[RunningProxy], tally: Tally, number: int) -> None:
    """One after the other: a new session, a new name, a call of the one session."""
    for turn in count():
        if tally.is_over:
            return
        proxy = proxies[(turn + number) % len(proxies)]
        own = f"{number}-{turn}"
        request_id = tally.next_id()
        page = {"OrgId": ORG, "UserId": "", "SessionId": f"s-{own}", "PageId": f"p-{own}", "Url": "https://e.com/"}
        status = await _post(http, f"{proxy.url}/rec/page", page, request_id)
        tally.note("sessions", request_id, admitted=status == 200)
        for kind, name, session in (("names", f"name-{own}", f"t-{own}"), ("calls", "name-0", "one")):
            request_id = tally.next_id()
            target = f"{proxy.url}/client/event?OrgId={ORG}&UserId=u&SessionId={session}&PageId=p-{kind}-{own}"
            status = await _post(http, target, {"name": name, "properties": {}}, request_id)
            tally.note(kind, request_id, admitted=status == 200)


def _config(redis: Mapping[str, Any], upstream: str, limit: int) -> dict[str, Any]:
    return {
        "upstream": {"url": upstream},
        "workers": 2,
        "state": {"backend": "redis", "redis": {**redis, "timeout": "500ms"}},
        "filters": {"quota": {"sessions": limit}},
        "client_api": {"cardinality": {"event_names": limit + 1}, "rate": {"event": [f"{limit}/h"]}},
        "audit": {"share": {"page": "100%", "direct": "100%"}},
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one run."""

    counted: Mapping[str, int]
    """Let through while the store answered."""
    uncounted: Mapping[str, int]
    """Let through without it."""
    gap: float
    """Seconds between the first request that was not counted, of whatever kind, and the last."""
    took: float
    """Seconds that the event took, with what a test server needs to be whole again."""
    kept: int
    """Units of the quota that the store has at the end."""


async def run(scenario: Scenario, options: argparse.Namespace) -> Outcome:
    """One scenario."""
    tally = Tally()
    with scenario.start() as store, tempfile.TemporaryDirectory(prefix="fsproxy-exact-") as name:
        env = {"TMPDIR": name}
        async with RecordingUpstream() as upstream:
            config = _config(store.redis, upstream.url, options.limit)
            async with (
                running_proxy(config, env) as one,
                running_proxy(config, env) as other,
                # A connection for each request, so that all four workers get some.
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as http,
                asyncio.timeout(DEADLINE),
            ):
                async with asyncio.TaskGroup() as group:
                    for number in range(options.clients):
                        group.create_task(_client(http, [one, other], tally, number))
                    while len(tally.admitted["sessions"]) < options.limit // 2:
                        await asyncio.sleep(0.01)
                    began = asyncio.get_running_loop().time()
                    await asyncio.to_thread(scenario.happen, store)
                    took = asyncio.get_running_loop().time() - began
                    tally.happened = True
                await asyncio.sleep(SETTLED_SECONDS)
                kept = _units(store)
                lines = {line["http.request.id"]: line for proxy in (one, other) for line in proxy.audit_lines()}
    return _outcome(tally, lines, took, kept)


def _outcome(tally: Tally, lines: Mapping[str, Mapping[str, Any]], took: float, kept: int) -> Outcome:
    down = {kind: [each for each in ids if _is_down(lines[each])] for kind, ids in tally.admitted.items()}
    moments = [_seconds(line) for line in lines.values() if _is_down(line)]
    return Outcome(
        {kind: len(ids) - len(down[kind]) for kind, ids in tally.admitted.items()},
        {kind: len(ids) for kind, ids in down.items()},
        max(moments) - min(moments) if moments else 0.0,
        took,
        kept,
    )


def _is_down(line: Mapping[str, Any]) -> bool:
    return bool(line.get("fsproxy.ledger_down"))


def _seconds(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["@timestamp"]).timestamp()


def _units(store: Any) -> int:
    if isinstance(store, ClusterDeployment):
        store = store.owner_of(ORG)
    elif isinstance(store, SentinelDeployment):
        store = store.primary
    return sum(int(each) for each in store.ask("HVALS", f"{org_base('fsproxy:', ORG)}q"))


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--only", help="a form of store, or an event")
    options = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)
    passed = False
    print(
        f"limit {options.limit}{'':36} counted: sessions  names  calls   gap: seconds  sessions  names  calls    event   kept"
    )
    for scenario in SCENARIOS:
        if options.only not in (None, scenario.form, scenario.event):
            continue
        found = asyncio.run(run(scenario, options))
        counted, uncounted = ([part[kind] for kind in KINDS] for part in (found.counted, found.uncounted))
        print(
            f"{scenario.form:9} {scenario.event:35} {counted[0]:17} {counted[1]:6} {counted[2]:6}"
            f" {found.gap:14.2f} {uncounted[0]:9} {uncounted[1]:6} {uncounted[2]:6} {found.took:8.2f} {found.kept:6}",
            flush=True,
        )
        passed |= not scenario.is_lossy and max(counted) > options.limit
    return int(passed)


if __name__ == "__main__":
    sys.exit(main())
