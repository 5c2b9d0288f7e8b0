"""What the soak's visitors share: one request and its outcome, what excuses a failure, and what was counted."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
from yarl import URL

from soak_audit import AuditedArrivals
from support.recorder import Journal
from support.rig import AGENT, ORIGIN
from support.uploads import Upload

GRACE, STORE_GRACE = 0.3, 5.0
"""Seconds after a fault, of the upstream and of the store, in which what it left behind may still be met."""
ANSWER_SECONDS = 30.0
CALLS_ARE_KEPT = 600.0
"""Seconds for which a call's verdict is remembered."""
CALL_BYTES, BLOCKED_BYTES, PAGE_BYTES = 330, 385, 470
"""A tenth above the figures of docs/reference/state.md; of a page its clock, and its session and user."""
_ids = itertools.count(1)
_PLAIN = str.maketrans(" ", "-", ",")


@dataclass
class Trouble:
    """When the upstream or the store was broken on purpose: what fails then is no fault of the proxy's."""

    grace: float = GRACE
    on: bool = False
    _ended: float = float("-inf")

    def end(self) -> None:
        """It is mended."""
        self.on = False
        self._ended = asyncio.get_running_loop().time()

    def excuses(self, began: float) -> bool:
        """A failure, now, of what was begun then."""
        return self.on or self._ended + self.grace >= began


@dataclass
class SoakJournal(Journal):
    """A page that is refused while nothing is broken is a problem."""

    trouble: Trouble = field(default_factory=Trouble)
    problems: list[str] = field(default_factory=list)

    def refuse(self, cause: int | None, began: float) -> None:
        """See Journal."""
        super().refuse(cause, began)
        if not self.trouble.excuses(began):
            self.problems.append(f"a page that is to be recorded was answered {cause} while nothing was broken")


@dataclass
class Load:
    """What the visitors share."""

    url: str
    http: aiohttp.ClientSession
    arrivals: AuditedArrivals
    journal: SoakJournal
    pause: float
    """Seconds between two requests of one visitor, on the average."""
    sent: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """Requests that met a fault of the upstream's."""
    frames: int = 0
    store_trouble: Trouble = field(default_factory=lambda: Trouble(STORE_GRACE))
    """Which pages are blocked, a worker may know alone then."""
    _calls: deque[tuple[float, int]] = field(default_factory=deque)
    enough: bool = False

    def remembered(self) -> int:
        """Bytes that the proxy may hold of what it has been asked, by the table of what is remembered in docs/reference/state.md."""
        now = asyncio.get_running_loop().time()
        self._calls.append((now, self.journal.calls))
        while self._calls[0][0] < now - CALLS_ARE_KEPT:
            self._calls.popleft()
        calls = self.journal.calls - self._calls[0][1]
        return calls * CALL_BYTES + self.sent["blocked page"] * BLOCKED_BYTES + self.journal.started * PAGE_BYTES

    @property
    def problems(self) -> list[str]:
        """What went wrong with nobody to blame but the proxy."""
        return self.journal.problems

    async def rest(self, random: Random) -> None:
        """Between two requests."""
        await asyncio.sleep(self.pause * (0.5 + random.random()))

    async def ask(
        self,
        kind: str,
        target: str,
        upload: Upload,
        expected: int,
        *,
        forwarded: bool = True,
        method: str = "POST",
        known_since: float | None = None,
        **headers: str,
    ) -> Any:
        """One request, its answer's JSON (None without one). Anything but the expected status needs an excuse.

        ``known_since``: since when the workers share what the answer depends on.
        """
        loop = asyncio.get_running_loop()
        began, request_id = loop.time(), f"{kind.translate(_PLAIN)}-{next(_ids)}"
        whole = {"Origin": ORIGIN, "User-Agent": AGENT, "X-Forwarded-For": "198.51.100.7", "X-Request-Id": request_id}
        whole |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.arrivals.expect(request_id, method, target, upload)
        self.sent[kind] += 1
        status: int | None = None
        body = b""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                async with self.http.request(
                    method, URL(self.url + target, encoded=True), data=upload.body or None, headers=whole
                ) as response:
                    body = await response.read()
                    status = response.status
        except (aiohttp.ClientError, OSError):
            status = None
        certain = forwarded if status == expected else None
        self.arrivals.settle(request_id, forwarded=certain)
        if status == expected:
            return json.loads(body) if body.startswith(b"{") else None
        is_forgotten = known_since is not None and self.store_trouble.excuses(known_since)
        if self.journal.trouble.excuses(began) or is_forgotten:
            self.failed[kind] += 1
        else:
            self.problems.append(f"{kind}: {status}, not {expected}, while nothing was broken: {body[:200]!r}")
        return None
