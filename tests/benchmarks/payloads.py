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


def _head(target: str, length: int, extra: str = "") -> bytes:
    return (
        f"POST {target} HTTP/1.1\r\nHost: rs.example.com\r\nContent-Length: {length}\r\n"
        f"Content-Type: text/plain\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n{extra}\r\n"
    ).encode()


def _visitor(number: int) -> str:
    """Headers of one visitor: a browser, seen through a load balancer that knows the country."""
    return (
        f"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{100 + number % 256}.0.0.0 Safari/537.36\r\n"
        f"Origin: https://site-{number % 64}.example.com\r\n"
        f"X-Forwarded-For: 198.18.{number // 250 % 256}.{number % 250 + 1}\r\n"
        "CF-IPCountry: US\r\n"
    )


def _page(number: int, session: str, size: int = 1024) -> bytes:
    page = {
        "OrgId": ORG,
        "UserId": "",
        "SessionId": session,
        "PageId": _UUID % (number + (1 << 40)),
        "Url": f"https://site-{number % 64}.example.com/products/{number}",
        "Base": f"https://site-{number % 64}.example.com/",
        "Width": 1280,
        "Height": 720,
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
    return _pages("Cookie: fs_optout=1; theme=dark\r\n", sessions=PAGES)


def pages_under_way() -> Requests:
    """Pages of 1 KB, of 1,000 sessions that go on."""
    return _pages(
        f"Cookie: fs_uid=#{ORG}#{_UUID % 0}:{_UUID % 1}:1795287301510::3##/1826823301\r\n", sessions=SESSIONS_UNDER_WAY
    )


def _pages(extra: str, sessions: int) -> Requests:
    made = []
    for number in range(PAGES):
        body = _page(number, _UUID % (number % sessions + 1))
        made.append(_head("/rec/page", len(body), _visitor(number) + extra) + body)
    return itertools.cycle(made).__next__


def new_pages() -> Requests:
    """Pages of 1 KB, each of a session of its own."""
    return _numbered(_new_page_parts())


def _new_page_parts() -> list[tuple[bytes, bytes]]:
    parts = []
    for number in range(256):
        body = _page(number, _UUID % 0)
        before, after = body.split(b"000000000000", 1)
        parts.append((_head("/rec/page", len(body), _visitor(number)) + before, after))
    return parts


def session_id(number: int) -> str:
    """Of the sessions of ``pages_of``."""
    return _UUID % number


def pages_of(sessions: int) -> Requests:
    """Pages of 1 KB of so many sessions, one after the other, in an order that no cache foresees."""
    parts = _new_page_parts()

    def numbered() -> Iterator[bytes]:
        session = 0
        for before, after in itertools.cycle(parts):
            session = (session + STRIDE) % sessions
            yield before + b"%012x" % session + after

    return numbered().__next__


def _numbered(parts: list[tuple[bytes, bytes]]) -> Requests:
    """Each request holds a number of its own between two parts, as 12 hexadecimal digits."""

    def numbered() -> Iterator[bytes]:
        for number, (before, after) in enumerate(itertools.cycle(parts), start=1):
            yield before + b"%012x" % number + after

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
    """Bundles of 20 KB, each of a page and session of its own."""
    body = bundle(calls=calls)
    length = len(json.loads(body)["Evts"]) * 10
    started = time.time_ns() // 1_000_000
    if compressed:
        body = gzip.compress(body, 6, mtime=0)
    parts = []
    for number in range(256):
        target = (
            f"/rec/bundle/v2?OrgId={ORG}&UserId={_UUID % number}&PageId={_UUID % number}&Seq=1"
            f"&ClientTime={started + length}&PageStart={started}&PrevBundleTime=0&LastActivity=1"
            + ("&ContentEncoding=gzip" if compressed else "")
            + "&SessionId=00000000-0000-4000-8000-"
        )
        before, after = _head(target + "%", len(body), _visitor(number)).split(b"%", 1)
        parts.append((before, after + body))
    return _numbered_pages(parts)


def _numbered_pages(parts: list[tuple[bytes, bytes]]) -> Requests:
    """As ``_numbered``; the number makes page and session new, and so no call is a repeat."""
    mark = b"&PageId=00000000-0000-4000-8000-"
    split = []
    for before, after in parts:
        first, rest = before.split(mark, 1)
        split.append((first + mark, rest[12:], after))

    def numbered() -> Iterator[bytes]:
        for number, (first, second, third) in enumerate(itertools.cycle(split), start=1):
            digits = b"%012x" % number
            yield b"".join((first, digits, second, digits, third))

    return numbered().__next__


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
        name = f"detail_{number:04}_{kind}"
        length += len(_compact({name: value})) - 1
        if length > size - 10:
            break
        (nested if number % 2 else properties)[name] = value
    properties["rest_str"] = "." * (size - len(_compact(call)))
    return _compact(call)


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def events(size: int) -> Requests:
    """Direct custom events, each of a session of its own: none is over its rate."""
    body = event(size)
    parts = []
    for number in range(256):
        target = f"/client/event?OrgId={ORG}&UserId={_UUID % number}&SessionId=00000000-0000-4000-8000-"
        head = _head(target + "%", len(body), _visitor(number)).replace(b"text/plain", b"application/json")
        before, after = head.split(b"%", 1)
        parts.append((before, after + body))
    return _numbered(parts)


def socket_upgrade() -> bytes:
    """The request that opens a recording's WebSocket."""
    return frames.upgrade(f"/rec/sock?OrgId={ORG}", _visitor(1))


def socket_frames() -> Requests:
    """Bundle frames of 1 KB, no calls."""
    message = {
        "Cmd": 2,
        "Seq": 1,
        "Bundle": {
            "Bundle": json.loads(bundle(size=800)),
            "OrgId": ORG,
            "UserId": _UUID % 1,
            "SessionId": _UUID % 1,
            "PageId": _UUID % 1,
            "Seq": 1,
            "PageStart": time.time_ns() // 1_000_000,
            "PrevBundleTime": 0,
        },
    }
    return itertools.repeat(frames.frame(frames.TEXT, _compact(message), masked=True)).__next__
