"""Heads of recorders and servers, changed at random: what ``mutated_heads.py`` sends. The same seed gives the same.

Each case carries a mark of its own (``k`` and eight digits) in its target, a header and its body, so that an upstream
can say which case brought a request. Sessions, pages and users are new with each case: no case changes another one's
answer.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from head_mutations import BYTE_MUTATIONS, LINE_MUTATIONS, Lines

ATTEMPT = 10_000_000
"""From the mark of a case to that of its next attempt."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, and how."""

    number: int
    mark: bytes
    pieces: tuple[bytes, ...]
    """Written one after the other, with a pause between two."""
    fresh: bool
    """On a connection of its own; otherwise on one that has carried others, if it is still open."""
    probe_at_once: bool
    """The next request follows in the same write; otherwise only after the answer."""
    words: str
    """What the case was made of, for a person."""


def case(seed: int, number: int, attempt: int = 0) -> Case:
    """Return the case with this number; with another ``attempt`` it is the same but for its mark and ids."""
    rng = Random(f"{seed} {number}")
    own = number + attempt * ATTEMPT
    mark = b"k%08d" % own
    words: list[str] = []
    data = _request(rng, mark, own, words)
    if rng.random() < 0.12:
        words.append("and")
        data += _request(rng, mark, own, words)
    pieces = [data]
    if rng.random() < 0.3:
        cuts = sorted(
            {rng.choice((rng.randrange(len(data) + 1), _line_end(rng, data))) for _ in range(rng.randint(1, 3))}
        )
        pieces = [data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True) if a < b]
    return Case(number, mark, tuple(pieces), rng.random() < 0.25, rng.random() < 0.3, " ".join(words))


def probe(mark: bytes) -> bytes:
    """Return the request that follows each case, to see whether the connection is still in step."""
    return b"GET /s/probe?%b HTTP/1.1\r\nHost: probe.example\r\nX-Case: %b\r\n\r\n" % (mark, mark)


def _line_end(rng: Random, data: bytes) -> int:
    at = data.find(b"\n", rng.randrange(len(data) + 1))
    return at + rng.randint(0, 1) if at >= 0 else len(data) // 2


# -- requests as they come


def _request(rng: Random, mark: bytes, number: int, words: list[str]) -> bytes:
    kind = rng.choice(tuple(KINDS))
    words.append(kind)
    lines, body = KINDS[kind](rng, mark, _Ids(number))
    changes = rng.choice((0, 0, 1, 1, 1, 1, 2, 3))
    for _ in range(changes):
        name = rng.choice(tuple(LINE_MUTATIONS))
        words.append(f"+{name}")
        LINE_MUTATIONS[name](rng, lines)
    data = b"\r\n".join(lines) + b"\r\n\r\n"
    if rng.random() < 0.15:
        name = rng.choice(tuple(BYTE_MUTATIONS))
        words.append(f"+{name}")
        data = BYTE_MUTATIONS[name](rng, data)
    if body and rng.random() < 0.05:
        words.append("+body")
        body = BYTE_MUTATIONS[rng.choice(tuple(BYTE_MUTATIONS))](rng, body)
    return data + body


class _Ids:
    """Ids of one case."""

    def __init__(self, number: int) -> None:
        self.session = f"00000000-0000-4000-8000-0001{number:08d}"
        self.page = f"00000000-0000-4000-8000-0002{number:08d}"
        self.user = f"00000000-0000-4000-8000-0003{number:08d}"

    @property
    def query(self) -> str:
        """As uploads have it."""
        return f"OrgId=o-TEST-na1&UserId={self.user}&SessionId={self.session}&PageId={self.page}&Seq=1"


def _mostly(rng: Random, usual: str, *others: str) -> str:
    return usual if rng.random() < 0.8 else rng.choice(others)


def _head(rng: Random, method: str, target: str, mark: bytes, body: bytes | None, *more: str) -> Lines:
    """Return the lines of a browser behind a load balancer; ``body`` None: no length."""
    site = _mostly(rng, "https://www.example.com", "https://app.example.com", "https://shop-3.example.net")
    agent = _mostly(rng, "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36", "Bot-3/1.0", "okhttp/4.9")
    text = mark.decode()
    lines = [
        "Host: rs.example.com",
        *([f"Content-Length: {len(body)}"] if body is not None else []),
        'sec-ch-ua-platform: "Windows"',
        f"User-Agent: {agent} {text}",
        'sec-ch-ua: "Chromium";v="140", "Not?A_Brand";v="8"',
        *(["Content-Type: text/plain"] if body is not None else []),
        "Accept: */*",
        f"Origin: {site}",
        "Sec-Fetch-Site: cross-site",
        f"Referer: {site}/",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9",
        f"Cookie: fs_uid=#o-TEST-na1#{text}; theme={text}; secret=1",
        f"X-Forwarded-For: 198.51.100.{rng.choice((7, 77))}",
        "X-Forwarded-Proto: https",
        f"CF-IPCountry: {_mostly(rng, 'US', 'DE', 'AQ')}",
        f"X-Case: {text}",
        *more,
    ]
    first = lines[:1] if rng.random() < 0.98 else []
    rest = [line for line in lines[1:] if rng.random() < 0.8 or line.startswith("Content-Length")]
    if rng.random() < 0.3:
        rng.shuffle(rest)
    return [f"{method} {target} HTTP/1.1".encode(), *(line.encode("latin-1") for line in first + rest)]


def _page(rng: Random, mark: bytes, ids: _Ids) -> tuple[Lines, bytes]:
    fields = {
        "OrgId": _mostly(rng, "o-TEST-na1", "o-OFF-na1"),
        "UserId": rng.choice(("", ids.user)),
        "SessionId": ids.session,
        "PageId": ids.page,
        "Url": f"https://{_mostly(rng, 'www.example.com', 'shop-3.example.net')}/products/{mark.decode()}",
        "Width": 1280,
        "Referrer": "",
        "CompiledVersion": "b2b925afffab724d5307264a49f4b4edb03f7cb1",
        "CompiledTimestamp": 1770727426,
    }
    body = json.dumps(fields, separators=(",", ":")).encode()
    return _head(rng, "POST", "/rec/page", mark, body), body


_CALL = {"Kind": 8197, "When": 5, "Args": ["Bought", '{"price":9.5,"n":"x"}', None, 1, '{"price":"real","n":"int"}']}


def _bundle(rng: Random, mark: bytes, ids: _Ids) -> tuple[Lines, bytes]:
    events = [{"Kind": 2, "When": 1, "Args": [mark.decode(), 7]}, *([_CALL] if rng.random() < 0.5 else [])]
    body = json.dumps({"Seq": 1, "When": 0, "Evts": events}, separators=(",", ":")).encode()
    target = f"{rng.choice(('/rec/bundle/v2', '/rec/bundle', '/rec/event'))}?{ids.query}&k={mark.decode()}"
    if rng.random() < 0.3:
        body = gzip.compress(body, mtime=0)
        target += "&ContentEncoding=gzip"
    return _head(rng, "POST", target, mark, body), body


def _direct(rng: Random, mark: bytes, ids: _Ids) -> tuple[Lines, bytes]:
    properties = {"price_real": rng.choice((9.5, "x")), "k_str": mark.decode()}
    if rng.random() < 0.5:
        target, call = f"/client/event?{ids.query}", {"name": rng.choice(("Bought", "")), "properties": properties}
    else:
        target, call = (
            f"/v2/events?k={mark.decode()}",
            {"name": "Bought", "user": {"uid": ids.user}, "properties": properties},
        )
    body = json.dumps(call).encode()
    return _head(rng, "POST", target, mark, body, "Authorization: Basic YTpi"), body


def _script(rng: Random, mark: bytes, _: _Ids) -> tuple[Lines, bytes]:
    target = (
        f"{rng.choice(('/s/fs.js', '/s/settings/o-TEST-na1/v1/web', '/other/../path', '/%7Ea//b'))}?k={mark.decode()}"
    )
    return _head(rng, rng.choice(("GET", "GET", "HEAD")), target, mark, None, 'If-None-Match: "a"'), b""


def _options(rng: Random, mark: bytes, _: _Ids) -> tuple[Lines, bytes]:
    target = f"{rng.choice(('/rec/page', '/rec/bundle/v2', '/s/fs.js', '*'))}"
    asked = "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"
    return _head(rng, "OPTIONS", target, mark, None, *asked), b""


def _socket(rng: Random, mark: bytes, _: _Ids) -> tuple[Lines, bytes]:
    more = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    target = rng.choice(("/rec/sock", f"/rec/sock?k={mark.decode()}", "/other/sock"))
    return _head(rng, "GET", target, mark, None, *more, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), b""


def _absolute(rng: Random, mark: bytes, ids: _Ids) -> tuple[Lines, bytes]:
    lines, body = rng.choice((_page, _bundle, _script))(rng, mark, ids)
    method, target, version = lines[0].split(b" ", 2)
    site = rng.choice((b"http://rs.example.com", b"https://other.example:444", b"http://", b"ftp://a", b"//a"))
    return [b" ".join((method, site + target, version)), *lines[1:]], body


def _chunked(rng: Random, mark: bytes, ids: _Ids) -> tuple[Lines, bytes]:
    lines, body = rng.choice((_page, _bundle, _direct))(rng, mark, ids)
    lines = [line for line in lines if not line.startswith(b"Content-Length")] + [b"Transfer-Encoding: chunked"]
    at = rng.randrange(len(body))
    end = rng.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-Trailer: a\r\n\r\n", b"0;a=b\r\n\r\n"))
    return lines, b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:at], body[at:]) if part) + end


def _upload(rng: Random, mark: bytes, _: _Ids) -> tuple[Lines, bytes]:
    body = rng.choice((b"", b"x" * 10, b"y" * 5000))
    return _head(rng, rng.choice(("POST", "PUT")), f"/rec/uploadResource?k={mark.decode()}", mark, body), body


Make = Callable[[Random, bytes, _Ids], tuple[Lines, bytes]]
KINDS: dict[str, Make] = {
    "page": _page, "bundle": _bundle, "direct": _direct, "script": _script, "options": _options, "socket": _socket,
    "absolute": _absolute, "chunked": _chunked, "upload": _upload,
}  # fmt: skip
