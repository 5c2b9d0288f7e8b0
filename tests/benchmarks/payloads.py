"""What recorders and servers send: requests of the right shape and size, different enough to defeat small caches."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator

import frames

Requests = Callable[[], bytes]
"""Gives the next request, head and body."""

ORG = "o-BENCH-na1"
PAGES = 4096
"""Different page requests, in turn: as many addresses and sessions, 256 User-Agents, 64 sites."""
SESSIONS_UNDER_WAY = 1000
STRIDE = 104_729
"""From one session to the next in ``pages_of``: a prime, so that all of them come up in turn."""
_UUID = "00000000-0000-4000-8000-%012x"
_MARK = "cccccccccccc"
"""Stands where each request has a number of its own: no two have the same head."""


def _head(target: str, length: int, number: int, cookie: str = "") -> bytes:
    """A browser's head of 17 or 18 lines, seen through a load balancer that knows the country."""
    site = f"https://site-{number % 64}.example.com"
    version = 100 + number % 256
    lines = (
        f"POST {target} HTTP/1.1",
        "Host: rs.example.com",
        f"Content-Length: {length}",
        'sec-ch-ua-platform: "Windows"',
        f"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/{version}.0.0.0 Safari/537.36",
        f'sec-ch-ua: "Chromium";v="{version}", "Not?A_Brand";v="8"',
        "Content-Type: text/plain",
        "sec-ch-ua-mobile: ?0",
        "Accept: */*",
        f"Origin: {site}",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        f"Referer: {site}/",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9",
        *([f"Cookie: {cookie}"] if cookie else []),
        f"X-Forwarded-For: 198.18.{number // 250 % 256}.{number % 250 + 1}",
        "X-Forwarded-Proto: https",
        "CF-IPCountry: US",
    )
    return "\r\n".join((*lines, "", "")).encode()


def _page(number: int, session: str, user: str = "", size: int = 1024) -> bytes:
    page = {
        "OrgId": ORG,
        "UserId": user,
        "SessionId": session,
        "PageId": _UUID % (number + (1 << 40)),
        "Url": f"https://site-{number % 64}.example.com/products/{number}",
        "Base": f"https://site-{number % 64}.example.com/",
        "Width": 1280,
        "Height": 720,
        "ScreenWidth": 1920,
        "ScreenHeight": 1080,
        "SnippetVersion": "2.0.0",
        "Referrer": "",
        "Preroll": 300,
        "Doctype": "<!DOCTYPE html>",
        "CompiledVersion": "b2b925afffab724d5307264a49f4b4edb03f7cb1",
        "CompiledTimestamp": 1770727426,
        "TabId": "45dfb642510db8",
    }
    missing = size - len(json.dumps(page, separators=(",", ":")))
    page["Referrer"] = "https://www.example.org/search?q=".ljust(missing, "a")[:missing]
    return json.dumps(page, separators=(",", ":")).encode()


def opted_out_pages() -> Requests:
    """Pages of 1 KB that no rule but the opt-out cookie blocks: every filter before it is asked, and misses."""
    made = []
    for number in range(PAGES):
        body = _page(number, _UUID % (number + 1))
        made.append(_head("/rec/page", len(body), number, f"fs_optout=1; theme={_MARK}") + body)
    return _numbered(made)


def pages_under_way(sessions: int = SESSIONS_UNDER_WAY) -> Requests:
    """Pages of 1 KB, of sessions that go on, in turn."""
    made = []
    for number in range(PAGES):
        session, user = session_id(number % sessions + 1), _UUID % (number % sessions + (1 << 41))
        body = _page(number, session, user)
        known = f"fs_uid=#{ORG}#{user}:{session}:1795287301510::3##/1826823301"
        made.append(_head("/rec/page", len(body), number, f"{known}; theme={_MARK}") + body)
    return _numbered(made)


def new_pages() -> Requests:
    """Pages of 1 KB, each of a session of its own."""
    return _numbered(_new_pages(""))


def _new_pages(user: str) -> list[bytes]:
    made = []
    for number in range(256):
        body = _page(number, "00000000-0000-4000-8000-" + _MARK, user)
        made.append(_head("/rec/page", len(body), number, f"theme={_MARK}") + body)
    return made


def session_id(number: int) -> str:
    """Of the sessions of ``pages_under_way`` and ``pages_of``."""
    return _UUID % number


def pages_of(sessions: int) -> Requests:
    """Pages of 1 KB of so many sessions, one after the other, in an order that no cache foresees."""
    return _numbered(_new_pages(_UUID % (1 << 41)), lambda number: number * STRIDE % sessions)


def _numbered(made: list[bytes], number_of: Callable[[int], int] = int) -> Requests:
    """These requests in turn, with a number of their own in each place of the mark, as 12 hexadecimal digits."""
    split = [each.split(_MARK.encode()) for each in made]
    first = time.time_ns() // 1_000_000 % (1 << 40)  # not those of a run before, which a store may remember

    def numbered() -> Iterator[bytes]:
        for number, parts in enumerate(itertools.cycle(split), start=first if number_of is int else 1):
            yield (b"%012x" % number_of(number)).join(parts)

    return numbered().__next__


def _opaque_event(random_: random.Random, when: int) -> dict[str, object]:
    args = [random_.randrange(10_000), random_.randrange(2000), random_.randrange(1200), f"<div class=c{when % 97}>"]
    return {"Kind": random_.choice((2, 19, 57, 78, 100)), "Args": args, "When": when}


def bundle(*, size: int = 20 * 1024, calls: int = 0) -> bytes:
    """A bundle of about ``size`` bytes, with so many custom events among what is opaque."""
    random_ = random.Random(20)
    events: list[dict[str, object]] = []
    length = 0
    while length < size - calls * 170:
        events.append(_opaque_event(random_, when=len(events) * 10))
        length += len(json.dumps(events[-1], separators=(",", ":"))) + 1
    for number in range(calls):
        properties = json.dumps({"price": 9.5 + number, "items": ["a", "b"], "name": f"item {number}"})
        schema = json.dumps({"price": "real", "items": "strs", "name": "str"})
        when = number * 1000 % (len(events) * 10)
        event = {"Kind": 8197, "Args": ["Bought", properties, None, 1, schema], "When": when}
        events.insert((number + 1) * len(events) // (calls + 1), event)
    whole = {"Seq": 1, "When": len(events) * 10, "Evts": events}
    return json.dumps(whole, separators=(",", ":")).encode()


def bundles(*, calls: int = 0, compressed: bool = False) -> Requests:
    """Bundles of 20 KB, each of a page and session of its own, so that no call is a repeat."""
    body = bundle(calls=calls)
    length = len(json.loads(body)["Evts"]) * 10
    started = time.time_ns() // 1_000_000
    if compressed:
        body = gzip.compress(body, 6, mtime=0)
    own = "00000000-0000-4000-8000-" + _MARK
    made = []
    for number in range(256):
        target = (
            f"/rec/bundle/v2?OrgId={ORG}&UserId={_UUID % number}&SessionId={own}&PageId={own}&Seq=1"
            f"&ClientTime={started + length}&PageStart={started}&PrevBundleTime=0&LastActivity=1"
            + ("&ContentEncoding=gzip" if compressed else "")
        )
        made.append(_head(target, len(body), number) + body)
    return _numbered(made)


_VALUES: tuple[tuple[str, object], ...] = (
    ("str", "What a visitor has typed, or a site knows of it. " * 9),
    ("int", 314159),
    ("real", 19.95),
    ("bool", True),
    ("date", "2026-03-11T13:19:23Z"),
    ("strs", ["first of them", "second", "third"]),
)
"""A property and its value take about 110 bytes: 512 KB stay below 5,000 properties."""


def event(size: int) -> bytes:
    """A custom event of exactly ``size`` bytes, valid throughout: properties of six types, half of them nested."""
    nested: dict[str, object] = {}
    properties: dict[str, object] = {"cart": nested, "rest_str": ""}
    call = {"name": "Bought", "properties": properties}
    length = len(_compact(call))
    for number in range(size):
        kind, value = _VALUES[number % len(_VALUES)]
        detail = f"detail_{number:04}_{kind}"
        length += len(_compact({detail: value})) - 1
        if length > size - 10:
            break
        (nested if number % 2 else properties)[detail] = value
    properties["rest_str"] = "." * (size - len(_compact(call)))
    return _compact(call)


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def flat_event(size: int, name: str) -> bytes:
    """A custom event of about ``size`` bytes, valid throughout: up to 800 small properties, then texts of 4 KB."""
    properties: dict[str, object] = {}
    length = len(_compact({"name": name, "properties": {}}))
    for number in range(size):
        added: dict[str, object] = {f"prop{number}_str": "v" * 24, f"num{number}_real": number * 1.5}
        if number >= 400:
            added = {f"text{number}_str": "t" * 4000}
        length += len(_compact(added)) - 1
        if length > size:
            break
        properties |= added
    return _compact({"name": name, "properties": properties})


def events(size: int, org: str = ORG, names: int = 4) -> Requests:
    """Direct custom events of so many names, each of a session of its own: none is over its rate."""
    made = []
    for number in range(max(names, 64 if size > 100_000 else 256)):
        body = flat_event(size, f"Event {number % names}")
        target = f"/client/event?OrgId={org}&UserId={_UUID % number}&SessionId=00000000-0000-4000-8000-{_MARK}"
        made.append(_head(target, len(body), number).replace(b"text/plain", b"application/json") + body)
    return _numbered(made)


def events_over(size: int) -> Requests:
    """Events of an org that has as many names as it may: 400 names, each with properties of its own."""
    return events(size, "o-OVER-na1", 400)


def socket_upgrade() -> bytes:
    """The request that opens a recording's WebSocket."""
    return frames.upgrade(f"/rec/sock?OrgId={ORG}", "Origin: https://site-1.example.com\r\n")


def socket_frames() -> Requests:
    """Bundle frames of 1 KB, no calls, with their members in the order in which all recorders write them."""
    message = {
        "Cmd": 2,
        "Bundle": {
            "Bundle": json.loads(bundle(size=800)),
            "OrgId": ORG,
            "PageId": _UUID % 1,
            "PageStart": time.time_ns() // 1_000_000,
            "PrevBundleTime": 0,
            "Seq": 1,
            "SessionId": _UUID % 1,
            "UserId": _UUID % 1,
        },
        "Seq": 1,
    }
    return itertools.repeat(frames.frame(frames.TEXT, _compact(message), masked=True)).__next__
