"""A recorder as wire.md 1, 2 and 4 describe it: what it sends, what each answer makes it do, and what it believes."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum, unique
from itertools import count
from random import Random
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from support.arrivals import Arrivals
from support.leaving import send_and_leave
from support.rig import AGENT, ORIGIN, page
from support.uploads import INTERVAL_MS, Upload, compose, events_upload

FIRST_DELAY, LONGEST_DELAY = 5.0, 300.0
"""Seconds before an upload is sent again; twice as long each time (wire.md 2)."""
PATIENCE = 0.004
"""A recorder of the tests lives faster: 20 ms to 1.2 s."""
HANGS = 240.0
"""Seconds without an answer that no proxy of the tests may take."""
KEPT = frozenset({201, 204, 205, 502})
DROPPED = frozenset({202, 400, 429, 500})
EVENT = "/rec/event"
BUNDLE = "/rec/bundle/v2"
_ids = count(1)


@unique
class Reaction(StrEnum):
    """What a recorder does after an answer to an upload."""

    GOES_ON = "goes on"
    RETRIES = "retries"
    ENDS = "ends"
    DROPS = "drops"
    """The calls of this upload come again in a bundle: nothing is lost by it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. What was cut is none."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def reaction(path: str, answer: Answer | None) -> Reaction:
    """The tables of wire.md 2 and 4; None: a network error."""
    if answer is None or answer.status in KEPT:
        return Reaction.RETRIES
    if answer.status == 200:
        return Reaction.GOES_ON if answer.json() is not None else Reaction.RETRIES
    if path == EVENT and answer.status in DROPPED:
        return Reaction.DROPS
    return Reaction.ENDS


@dataclass
class Journal:
    """What recorders have seen, and what they believe."""

    delivered: int = 0
    """Uploads that were answered as delivered; those that nobody waits for (beacons, late copies) not counted."""
    started: int = 0
    """Pages whose recording began."""
    refused: Counter[int | None] = field(default_factory=Counter)
    """Pages without a recording, by status or reason code; None: a network error."""
    retries: Counter[int | None] = field(default_factory=Counter)
    """Uploads that were kept for another try, by status; None: a network error."""
    ended: list[str] = field(default_factory=list)
    """Recordings that an answer ended."""
    dropped: int = 0
    left: int = 0
    """Last bundles of pages, whose client was gone before any answer."""
    calls: int = 0
    """Valid calls that were made."""
    waiting: int = 0
    """Recorders that wait before they send an upload again."""

    def refuse(self, cause: int | None, began: float) -> None:
        """A page is not recorded. ``began``: when it was asked for, in the event loop's time."""
        self.refused[cause] += 1


@dataclass(frozen=True, slots=True)
class Recording:
    """A page that is recorded."""

    ids: dict[str, str]
    started_ms: int
    is_new: bool


@dataclass
class Recorder:
    """One browser tab: ``visit`` loads a page. Several may share a session of aiohttp's."""

    http: aiohttp.ClientSession
    url: str
    arrivals: Arrivals
    journal: Journal
    random: Random
    org: str = "o-TEST-na1"
    patience: float = PATIENCE
    pause: float = 0.01
    """Seconds between two uploads."""
    leaves: float = 0.7
    """The share of pages that the visitor leaves with a last bundle, as he does on a real site (wire.md 2)."""
    calls: int | None = None
    """Valid calls in each bundle; None: none, or a few."""
    says_time: bool = True
    """Uploads carry ``ClientTime``; those of the builds of 2022 and 2023 do not (wire.md 2)."""
    held_up: int = 0
    """Bundles of a page that pile up before the first of them gets out, as with a browser that is offline at first."""
    user_id: str = ""
    session_id: str | None = None
    leftover: tuple[str, dict[str, str], Upload] | None = None
    _recording: Recording | None = None
    _bundle_seq: int = 0
    _event_seq: int = 0
    _last: tuple[str, dict[str, str], Upload] | None = None
    _nobody_waits: set[asyncio.Task[Answer | None]] = field(default_factory=set)

    async def visit(self, bundles: int, **fields: Any) -> bool:
        """Load a page and, when it is recorded, upload so many bundles. False: it is not recorded to its end."""
        self._recording = await self._load(fields)
        self._send_leftover()
        self._bundle_seq = self._event_seq = 0
        if not await self.go_on(bundles):
            return False
        if self.random.random() < self.leaves:
            await self._leave()
        return True

    async def go_on(self, bundles: int) -> bool:
        """Upload so many bundles more of the page that is loaded, perhaps to a proxy that has started anew."""
        recording = self._recording
        if recording is None:
            return False
        waiting: list[tuple[str, dict[str, str], Upload]] = []
        for _ in range(bundles):
            waiting += self._composed(recording)
            if self._bundle_seq < self.held_up:
                continue
            for each in waiting:
                if not await self._deliver(*each):
                    return False
            waiting.clear()
            await asyncio.sleep(self.pause * (0.5 + self.random.random()))
        return True

    async def _leave(self) -> None:
        """Send the page's last bundle as a beacon or keep-alive request, and be gone before any answer."""
        if self._recording is None:
            return
        self._bundle_seq += 1
        seq = self._bundle_seq
        upload = compose(self.random, seq, self.calls)
        query = self._query(self._recording, seq, seq) | ({"ContentEncoding": "gzip"} if upload.zipped else {})
        if self.random.random() < 0.5:
            query |= {"SkipResponseBody": "true"}
        target, request_id = f"{BUNDLE}?{urlencode(query)}", f"recorder-{next(_ids)}"
        url = URL(self.url)
        lines = {"Host": f"{url.host}:{url.port}", **_headers(request_id), "Content-Length": str(len(upload.body))}
        head = "\r\n".join([f"POST {target} HTTP/1.1", *map(": ".join, lines.items()), "", ""])
        self.arrivals.expect(request_id, "POST", target, upload)
        try:
            await send_and_leave(url.port or 80, head.encode() + upload.body)
        except OSError:
            self.arrivals.settle(request_id, forwarded=None)  # the proxy does not listen: it has not got all of it
            return
        self.journal.calls += len(upload.calls)
        self.journal.left += 1
        self.arrivals.leave(request_id)

    async def restart(self, bundles: int) -> bool:
        """Stop recording and start again, as the script's own restart does: another page of the same session.

        A late copy of the last bundle follows the new page.
        """
        self.leftover = self._last or self.leftover
        return await self.visit(bundles)

    def _composed(self, recording: Recording) -> list[tuple[str, dict[str, str], Upload]]:
        """The next bundle, and before it perhaps its calls by themselves."""
        self._bundle_seq += 1
        seq = self._bundle_seq
        upload = compose(self.random, seq, self.calls)
        self.journal.calls += len(upload.calls)
        composed = [(BUNDLE, self._query(recording, seq, seq), upload)]
        if upload.calls and self.random.random() < 0.3:
            self._event_seq += 1
            events = events_upload(self.random, self._event_seq, upload.calls)
            composed.insert(0, (EVENT, self._query(recording, self._event_seq, seq), events))
        return composed

    async def finish(self) -> None:
        """Wait for what nobody else waits for."""
        self._send_leftover()
        await asyncio.gather(*self._nobody_waits)

    async def _load(self, fields: dict[str, Any]) -> Recording | None:
        asked = page(OrgId=self.org, **{"UserId": self.user_id, "SessionId": self.session_id, **fields})
        upload = Upload(json.dumps(asked).encode(), None, zipped=False)
        # A connection of its own: a browser sends a request again itself when a kept one turns out to be closed.
        began = asyncio.get_running_loop().time()
        async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as http:
            answer = await self._send("/rec/page", upload, http)
        told = answer.json() if answer is not None else None
        if answer is None or answer.status != 200 or not isinstance(told, dict):
            blocked = isinstance(told, dict) and told.get("reason_code")
            self.journal.refuse(blocked or (answer.status if answer is not None else None), began)
            if blocked == 8 and told.get("cookie_domain"):
                self.user_id = told.get("user_id", self.user_id)
            return None
        self.journal.started += 1
        self.user_id, self.session_id = told["UserUUID"], told["SessionUUID"]
        ids = {"OrgId": self.org, "UserId": self.user_id, "SessionId": self.session_id, "PageId": told["PageUUID"]}
        return Recording(ids, time.time_ns() // 1_000_000, told["IsNewSession"])

    def _query(self, recording: Recording, seq: int, interval: int) -> dict[str, str]:
        query = recording.ids | {
            "Seq": str(seq),
            "PageStart": str(recording.started_ms),
            "PrevBundleTime": "0",
            "LastActivity": "331",
            "IsNewSession": "true" if recording.is_new else "false",
        }
        if self.says_time:
            query["ClientTime"] = str(recording.started_ms + (interval + 1) * INTERVAL_MS)
        return query

    async def _deliver(self, path: str, query: dict[str, str], upload: Upload) -> bool:
        """Send until it is believed delivered. False: the recording has ended."""
        if upload.zipped:
            query = query | {"ContentEncoding": "gzip"}
        if path != EVENT:
            self._last = (path, query, upload)
            if self.random.random() < 0.15:
                self._send_unattended(path, query | {"SkipResponseBody": "true"}, upload)
            if self.random.random() < 0.3:
                self.leftover = (path, query, upload)
        for attempt in count():
            answer = await self._send(f"{path}?{urlencode(query)}", upload)
            match reaction(path, answer):
                case Reaction.GOES_ON:
                    self.journal.delivered += 1
                    return True
                case Reaction.DROPS:
                    self.journal.dropped += 1
                    return True
                case Reaction.ENDS:
                    assert answer is not None
                    self.journal.ended.append(f"{path}: {answer.status} {answer.body[:200]!r}")
                    return False
                case _:
                    self.journal.retries[answer.status if answer is not None else None] += 1
                    await self._wait(attempt)
        raise AssertionError

    async def _wait(self, attempt: int) -> None:
        """Doubled each time up to the longest, with jitter."""
        seconds = min(FIRST_DELAY * 2 ** min(attempt, 10), LONGEST_DELAY)
        self.journal.waiting += 1
        try:
            await asyncio.sleep(seconds * (0.5 + self.random.random() / 2) * self.patience)
        finally:
            self.journal.waiting -= 1

    def _send_leftover(self) -> None:
        """A late copy of an upload of the page before (wire.md 2)."""
        if self.leftover is not None:
            path, query, upload = self.leftover
            self.leftover = None
            self._send_unattended(path, query | {"DeltaT": "7000"}, upload)

    def _send_unattended(self, path: str, query: dict[str, str], upload: Upload) -> None:
        """What is sent and forgotten: a beacon, a late copy. Whatever it is answered, the recording goes on."""
        task = asyncio.get_running_loop().create_task(self._send(f"{path}?{urlencode(query)}", upload))
        self._nobody_waits.add(task)
        task.add_done_callback(self._nobody_waits.discard)

    async def _send(self, target: str, upload: Upload, http: aiohttp.ClientSession | None = None) -> Answer | None:
        """The whole answer; None after a network error."""
        request_id = f"recorder-{next(_ids)}"
        headers = _headers(request_id)
        self.arrivals.expect(request_id, "POST", target, upload)
        answer: Answer | None = None
        try:
            async with asyncio.timeout(HANGS):
                async with (http or self.http).post(
                    URL(self.url + target, encoded=True), data=upload.body, headers=headers
                ) as response:
                    answer = Answer(response.status, await response.read())
        except TimeoutError:
            raise AssertionError(f"no answer to {target.partition('?')[0]} for {HANGS} s") from None
        except (aiohttp.ClientError, OSError):
            pass  # a network error, as far as a browser tells
        self.arrivals.settle(request_id, forwarded=_says_that_it_was_forwarded(answer))
        return answer


def _headers(request_id: str) -> dict[str, str]:
    """A browser's, and those of a load balancer before the proxy."""
    return {
        "Origin": ORIGIN,
        "Content-Type": "text/plain",
        "User-Agent": AGENT,
        "X-Forwarded-For": "198.51.100.77",
        "X-Request-Id": request_id,
    }


def _says_that_it_was_forwarded(answer: Answer | None) -> bool | None:
    if answer is None or answer.status in KEPT:
        return None
    return True if answer.status == 200 else None  # a refusal may be the upstream's own
