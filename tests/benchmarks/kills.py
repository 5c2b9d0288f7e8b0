"""What clients meet while workers are killed, the supervisor is killed, and the program is replaced: on Linux.

    python tests/benchmarks/kills.py [--rounds 10] [--take-overs 20] [--clients 16] [--workers 2] [--rules 0]

Half of the clients open a connection for each page, half keep one for their bundles; all send without a pause. The table
counts connections that were refused, connections that broke on a request (a kept one, or a new one), and
requests that were answered as delivered but never came to the upstream. Exit status 1: there is one of these last. With
``--rules`` the configuration has so many address rules, which a new worker has to load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum, unique
from itertools import count
from os import kill
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
from support.arrivals import Arrivals  # noqa: E402 - tests/support is on pytest's path alone
from support.proxy import RunningProxy, running_proxy  # noqa: E402
from support.rig import AGENT, ORIGIN, page  # noqa: E402
from support.uploads import Upload  # noqa: E402
from support.upstream import RecordingUpstream  # noqa: E402
from support.valkey import running_valkey  # noqa: E402
from support.workers import fresh_connections, pids, replaced  # noqa: E402

ANSWER_SECONDS = 60.0
REFUSED_PAUSE = 0.1
"""Seconds before a client that was refused tries again."""
SETTLED_SECONDS = 1.0
"""Of load before a round, and after it."""
ORG = "o-KILL-na1"


@unique
class Outcome(StrEnum):
    """Of one request, for its client."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """Nothing listened."""
    NEW_RESET = "reset, new"
    """A connection of its own broke before the answer was whole."""
    KEPT_RESET = "reset, kept"
    """One that had carried an answer before broke."""
    FAILED = "5xx"
    SILENT = "no answer"


COLUMNS = tuple(Outcome)


@dataclass
class Load:
    """Clients at work, and what they met."""

    port: int
    arrivals: Arrivals = field(default_factory=Arrivals)
    met: Counter[Outcome] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds that a client waited for an answer, tries that were refused included."""
    enough: bool = False
    _ids: count[int] = field(default_factory=lambda: count(1))

    async def pages(self, random: Random) -> None:
        """A client that opens a connection for each page."""
        while not self.enough:
            body = json.dumps(page(OrgId=ORG)).encode()
            await self._until_answered("/rec/page", Upload(body, None, zipped=False), None)
            await asyncio.sleep(random.random() / 100)

    async def bundles(self, random: Random) -> None:
        """A client that sends its bundles over one connection as long as it can."""
        kept = _Kept()
        ids = f"OrgId={ORG}&UserId=u-{random.random()}&SessionId=s-{random.random()}&PageId=p-{random.random()}"
        for seq in count(1):
            if self.enough:
                break
            events = [{"Kind": 2, "Args": [number, "x" * 50], "When": seq} for number in range(random.randrange(1, 60))]
            upload = Upload(json.dumps({"Seq": seq, "When": 0, "Evts": events}).encode(), None, zipped=False)
            await self._until_answered(f"/rec/bundle/v2?{ids}&Seq={seq}", upload, kept)
            await asyncio.sleep(random.random() / 100)
        kept.close()

    async def _until_answered(self, target: str, upload: Upload, kept: _Kept | None) -> None:
        """Send it until it is answered, each time with an id of its own."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = None
        while outcome is not Outcome.ANSWERED and not self.enough:
            outcome = await self._send(target, upload, kept)
            self.met[outcome] += 1
            if outcome is Outcome.REFUSED:
                await asyncio.sleep(REFUSED_PAUSE)
        self.longest = max(self.longest, loop.time() - began)

    async def _send(self, target: str, upload: Upload, kept: _Kept | None) -> Outcome:
        request_id = f"kills-{next(self._ids)}"
        lines = {"Host": "t", "Origin": ORIGIN, "User-Agent": AGENT, "X-Request-Id": request_id}
        lines |= {"Content-Type": "text/plain", "Content-Length": str(len(upload.body))}
        if kept is None:
            lines["Connection"] = "close"
        head = "\r\n".join([f"POST {target} HTTP/1.1", *map(": ".join, lines.items()), "", ""]).encode()
        connection = kept if kept is not None else _Kept()
        was_used = connection.used
        self.arrivals.expect(request_id, "POST", target, upload)
        status = None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status = await connection.ask(self.port, head + upload.body)
            outcome = Outcome.ANSWERED if status < 500 else Outcome.FAILED
        except ConnectionRefusedError:
            outcome = Outcome.REFUSED
        except (OSError, asyncio.IncompleteReadError):
            outcome = Outcome.KEPT_RESET if was_used else Outcome.NEW_RESET
        except TimeoutError:
            outcome = Outcome.SILENT
        if status is None or kept is None:
            connection.close()
        self.arrivals.settle(request_id, forwarded=True if status == 200 else None)
        return outcome


class _Kept:
    """A connection that is opened when it is needed."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.used = False

    async def ask(self, port: int, request: bytes) -> int:
        """The status of the answer, which is whole."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        self.used = True
        if b"connection: close" in head:
            self.close()
        return int(head.split()[1])

    def close(self) -> None:
        """The next request opens one."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams, self.used = None, False


async def _kill_workers(proxy: RunningProxy) -> None:
    async with fresh_connections() as http:
        before = await pids(http, proxy)
        for pid in before.values():
            with suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
        while set((await replaced(http, proxy, before)).values()) & set(before.values()):
            pass


async def _kill_supervisor(proxy: RunningProxy) -> None:
    """As under systemd: it is started again as soon as it has ended."""
    await proxy.kill()
    await proxy.start_again()


async def _take_over(proxy: RunningProxy) -> None:
    await proxy.start_again("--take-over", "--config", str(proxy.config_path))


Deed = Callable[[RunningProxy], Awaitable[None]]


async def measure(proxy: RunningProxy, upstream: RecordingUpstream, deed: Deed, rounds: int, clients: int) -> Load:
    """The deed so many times, under load."""
    load = Load(proxy.port)
    load.arrivals.attach(upstream)
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            client = load.bundles if number % 2 else load.pages
            group.create_task(client(Random(number)))
        for _ in range(rounds):
            await asyncio.sleep(SETTLED_SECONDS)
            await deed(proxy)
        await asyncio.sleep(SETTLED_SECONDS)
        load.enough = True
    return load


async def run(options: argparse.Namespace) -> list[str]:
    """All scenarios, each line of the table as it comes; what was lost."""
    deeds: dict[str, tuple[Deed, int]] = {
        "all workers killed": (_kill_workers, options.rounds),
        "supervisor killed": (_kill_supervisor, options.rounds),
        "take-over": (_take_over, options.take_overs),
    }
    rules = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32" for n in range(options.rules)]
    lost: list[str] = []
    print(f"{'':20} {'rounds':>6} " + " ".join(f"{each:>11}" for each in (*COLUMNS, "lost", "longest")))
    with running_valkey() as valkey, tempfile.TemporaryDirectory(prefix="fsproxy-kills-") as temporary:
        for name, (deed, rounds) in deeds.items():
            config = {
                "workers": options.workers,
                "state": {"backend": "redis", "redis": {"url": valkey.url, "timeout": "5s"}},
                "filters": {"ip": {"block": rules}},
                "audit": {"to": str(Path(temporary) / "audit")},
            }
            async with RecordingUpstream() as upstream:
                config["upstream"] = {"url": upstream.url}
                async with running_proxy(config, {"TMPDIR": temporary}) as proxy:
                    load = await measure(proxy, upstream, deed, rounds, options.clients)
            lost += load.arrivals.faults
            figures = [*(load.met[each] for each in COLUMNS), len(load.arrivals.faults), f"{load.longest:.2f} s"]
            print(f"{name:20} {rounds:6} " + " ".join(f"{each!s:>11}" for each in figures), flush=True)
    return lost


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="of each kill")
    parser.add_argument("--take-overs", type=int, default=20)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rules", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)
    lost = asyncio.run(run(options))
    print("\n".join(fault[:200] for fault in lost[:20]))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
