"""Recorders, a proxy as a real process, a link that can be broken, an upstream, and what must hold of them all."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from support.arrivals import Arrivals
from support.faulty_link import Fault, FaultyLink
from support.proxy import POLL, SERVE, RunningProxy, running_proxy
from support.recorder import Journal, Recorder
from support.upstream import RecordingUpstream

RECORDERS = 6
DEADLINE = 240.0
BUNDLES = 6
"""Of a page."""
WIDE = {"rate": {"event": ["100000/s"], "user": ["100000/s"]}}
"""Recorders of the tests live faster than the clock that rates are judged by."""
QUICK = {"timeouts": {"connect": "5s", "response": "1500ms"}, "page_retry": "10s"}
"""Short enough to wait for a few of them, and longer than what answers takes on a machine that is busy: the test's own
loop is recorders, link and upstream at once."""
PATIENT = {"timeouts": {"response": "60s"}}
"""For an upstream that a test lets be, if no upload may be sent twice."""
Allowed = frozenset[int | None]
NONE: Allowed = frozenset()


@dataclass
class Scene:
    """What a test breaks, and what it looks at. ``recording`` holds the recorders to their work meanwhile."""

    proxy: RunningProxy
    upstream: RecordingUpstream
    link: FaultyLink
    http: aiohttp.ClientSession
    seed: int
    arrivals: Arrivals = field(default_factory=Arrivals)
    journal: Journal = field(default_factory=Journal)
    _enough: bool = False

    @asynccontextmanager
    async def recording(
        self, *, recorders: int = RECORDERS, refused: Allowed = NONE, **more: Any
    ) -> AsyncIterator[None]:
        """Recorders at work; at the end each finishes its page, and the invariant is asserted.

        ``refused``: what pages may be answered, or None for a network error, where a page's loss cannot be helped.
        """
        made = [self.recorder(number, **more) for number in range(recorders)]
        self._enough = False
        async with asyncio.TaskGroup() as group:
            for each in made:
                group.create_task(self._work(each))
            try:
                await self.more_delivered(recorders)
                yield
            finally:
                self._enough = True
        await self.check(refused)

    def recorder(self, number: int, **more: Any) -> Recorder:
        """One more, with chances of its own."""
        chances = Random(f"{self.seed} {number}")
        return Recorder(self.http, self.proxy.url, self.arrivals, self.journal, chances, **more)

    async def _work(self, recorder: Recorder) -> None:
        while not self._enough:
            await recorder.visit(BUNDLES)
            await asyncio.sleep(POLL)
        await recorder.finish()

    async def until(self, what: Callable[[], bool]) -> None:
        """Waits for something that the recorders' work brings about."""
        try:
            async with asyncio.timeout(DEADLINE):
                while not what():
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise AssertionError(f"{self.journal} {self.proxy.log_text()}") from None

    async def more_delivered(self, count: int) -> None:
        """So many uploads from now."""
        goal = self.journal.delivered + count
        await self.until(lambda: self.journal.delivered >= goal)

    async def more_retried(self, count: int) -> None:
        """So many uploads kept for another try from now."""
        goal = self.journal.retries.total() + count
        await self.until(lambda: self.journal.retries.total() >= goal)

    async def more_met(self, count: int) -> None:
        """So many connections, requests or answers from now that the link's fault was done to."""
        goal = self.link.met + count
        await self.until(lambda: self.link.met >= goal)

    async def break_link(self, fault: Fault, count: int = 5) -> None:
        """A fault, until it was met so often; then it is mended.

        Refusal and silence: until so many uploads were told of it, as mending a link resets what is silent on it.
        """
        await self.link.set(fault)
        await (self.more_retried(count) if fault in {Fault.REFUSE, Fault.HANG} else self.more_met(count))
        await self.link.set(Fault.NONE)

    async def check(self, refused: Allowed = NONE) -> None:
        """The invariant: what was believed delivered is there as it should be, and nobody's recording was ended."""
        log = self.proxy.log_text()
        assert not self.arrivals.faults, self.arrivals.faults[:5]
        assert not self.journal.ended, (self.journal.ended[:5], log)
        assert self.journal.dropped == 0
        assert set(self.journal.refused) <= refused, (self.journal, log)
        assert "Traceback" not in log, log
        assert "a fault of ours" not in log, log
        await self._check_what_was_left(refused)

    async def _check_what_was_left(self, refused: Allowed) -> None:
        """What a client left behind whole is at the upstream, or its audit line says what failed there.

        Where pages may meet no proxy at all (None in ``refused``), an upload may have no line either.
        """
        left = self.arrivals.left
        if None in refused:
            while left and await self.metric("fsproxy_in_flight"):
                await asyncio.sleep(POLL)
        else:
            await self.until(lambda: left.keys() <= self._failures().keys())
        failures = self._failures() if left else {}
        lost = {each: failures[each] for each in left if each in failures}
        assert all(decision == "failed" for decision in lost.values()), lost

    def _failures(self) -> dict[str, str]:
        """The decision that stands in the audit line of each request that failed, by the request's id."""
        lines = self.proxy.audit_lines() if self.arrivals.left else []
        return {line["http.request.id"]: line["fsproxy.decision"] for line in lines if "fsproxy.error" in line}

    async def metric(self, sample: str) -> float:
        """A sample of /metrics by its whole name; 0 when it is not there."""
        async with self.http.get(f"{self.proxy.admin_url}/metrics") as response:
            lines = [line.rpartition(" ") for line in (await response.text()).splitlines()]
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

    async def ready(self) -> dict[str, Any]:
        """The body of /readyz."""
        async with self.http.get(f"{self.proxy.admin_url}/readyz") as response:
            body: dict[str, Any] = await response.json()
            return body


@asynccontextmanager
async def scene(
    name: str,
    config: Mapping[str, Any] | None = None,
    *,
    upstream_url: Callable[[FaultyLink], str] = lambda link: link.url,
    env: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    command: Sequence[str] = SERVE,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Scene]:
    """``name`` seeds all chances. The proxy's upstream is the link, with short timeouts."""
    given = dict(config or {})
    async with (
        RecordingUpstream() as upstream,
        FaultyLink(upstream.port, tls=tls) as link,
        aiohttp.ClientSession(
            auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
        ) as http,
    ):
        whole = {
            "client_api": WIDE,
            **given,
            "upstream": {**QUICK, "url": upstream_url(link), **given.get("upstream", {})},
        }
        async with running_proxy(whole, env, files=files, command=command) as proxy:
            it = Scene(proxy, upstream, link, http, zlib.crc32(name.encode()))
            it.arrivals.attach(upstream)
            yield it
