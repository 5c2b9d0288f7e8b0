"""Counts the Python calls that one request takes through the program, and the files that they are in.

    python tests/benchmarks/way.py [--calls WORD]

The data plane and its upstream share one event loop. Only calls of functions in ``fsproxy/`` are counted, from the
request's first byte until its answer and its audit record are done. Each request has a head that was not seen before.
``files`` is how many files have a part in it; ``changes`` is how often a call is in another file than the call before,
which is what a reader has to follow. ``--calls`` lists the calls of one case in their order instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]

import fsproxy  # noqa: E402 - found by the path above
from support.in_process import InProcessProxy, in_process  # noqa: E402
from support.raw_http import RawClient, raw_client  # noqa: E402
from support.upstream import RecordingUpstream  # noqa: E402

PACKAGE = str(Path(fsproxy.__file__).parent)
DEMO = PACKAGE + "/demo/"
"""The upstream of these measurements answers by the demo's functions, which are not a part of a request's way."""
WARM = 30
"""Requests of each case before those that are counted."""
COUNTED = 5
"""Requests of each case; the shortest way counts, as timers have no part in that."""
CONFIG = {"filters": {"domain": {"rules": [{"block": "blocked.example.com"}]}}}
IDS = "OrgId=o-1&UserId=u&SessionId=s{0}&PageId=p{0}&Seq=1"
CALL = {"Kind": 8197, "Args": ["Ordered", '{"total_real":"dear","items_int":2}'], "When": 5}
CASES = {
    "blocked page": ("/rec/page", {"Url": "https://blocked.example.com/"}),
    "captured page": ("/rec/page", {"Url": "https://www.example.com/"}),
    "other request": ("/s/fs.js", None),
    "bundle": (f"/rec/bundle/v2?{IDS}", {"Seq": 1, "Evts": [{"Kind": 12, "Args": [1, 2], "When": 3}]}),
    "bundle with a rejected property": (f"/rec/bundle/v2?{IDS}", {"Seq": 1, "Evts": [CALL]}),
}

CEILINGS = {
    "blocked page": (72, 33),
    "captured page": (157, 47),
    "other request": (104, 27),
    "bundle": (155, 55),
    "bundle with a rejected property": (267, 78),
}
"""Calls and files that a request may take at most, in either lane. They are lowered when less is reached, never raised;
the aim is 60 calls in 20 files for a blocked page, 110 calls for a captured one, 220 for a rejected property."""


@dataclass
class Way:
    """The calls of one request: file and function, in their order."""

    calls: list[tuple[str, str]] = field(default_factory=list)

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """Note a call; ``sys.setprofile`` calls this."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_filename.startswith(DEMO):
            self.calls.append((code.co_filename.removeprefix(PACKAGE + "/"), code.co_qualname))

    @property
    def files(self) -> int:
        """How many files have a part in it."""
        return len({file for file, _ in self.calls})

    @property
    def changes(self) -> int:
        """How often the next call is in another file."""
        return sum(before != after for (before, _), (after, _) in pairwise(self.calls))


def request(name: str, number: int) -> bytes:
    """A request of this case as a browser sends it, with ids and header values of its own."""
    target, body = CASES[name]
    if isinstance(body, dict) and target == "/rec/page":
        body = {"OrgId": "o-1", "UserId": "", "SessionId": f"s{number}", "PageId": f"p{number}", **body}
    data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    method = "GET" if body is None else "POST"
    lines = [
        f"{method} {target.format(number)} HTTP/1.1",
        "Host: proxy.example",
        "Origin: https://www.example.com",
        f"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/{number}.0.0.0 Safari/537.36",
        "Accept: */*",
        f"X-Forwarded-For: 203.0.113.{number % 250}",
        f"Cookie: fs_uid=#o-1#u{number}",
        *([f"Content-Length: {len(data)}"] if data else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


async def ways(names: Iterable[str], **more: Any) -> dict[str, Way]:
    """The shortest way of a request of each case, after some others of its kind. ``more``: sections of the configuration."""
    found = {}
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        async with (
            in_process({"upstream": {"url": upstream.url}, **CONFIG, **more}) as proxy,
            raw_client(proxy.port) as client,
        ):
            for case, name in enumerate(names):
                # No page has the id of another case's: a bundle is blocked when its page was.
                first = case * (WARM + COUNTED)
                for number in range(first, first + WARM):
                    await client.ask(request(name, number))
                await proxy.idle()
                several = [
                    await counted(proxy, client, request(name, first + WARM + number)) for number in range(COUNTED)
                ]
                found[name] = min(several, key=lambda way: len(way.calls))
    return found


async def counted(proxy: InProcessProxy, client: RawClient, whole: bytes) -> Way:
    """The way of this request, until it is recorded: a client may have its answer a moment before."""
    way = Way()
    sys.setprofile(way.note)
    try:
        await client.ask(whole)
        await proxy.idle()
    finally:
        sys.setprofile(None)
    return way


def table(found: dict[str, Way]) -> Iterator[str]:
    """One line for each case."""
    yield f"{'request':32} {'calls':>6} {'files':>6} {'changes':>8}"
    for name, way in found.items():
        yield f"{name:32} {len(way.calls):6} {way.files:6} {way.changes:8}"


def main() -> None:
    """Print the table, or the calls of one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", metavar="WORD", help="list the calls of the first case with this word in its name")
    wanted = parser.parse_args().calls
    names = [name for name in CASES if wanted is None or wanted in name]
    if not names:
        parser.error(f"--calls {wanted}: no case has that word; there are: {', '.join(CASES)}")
    found = asyncio.run(ways(names if wanted is None else names[:1]))
    if wanted is None:
        print("\n".join(table(found)))
    else:
        print("\n".join(f"{file:44} {function}" for file, function in found[names[0]].calls))


if __name__ == "__main__":
    main()
