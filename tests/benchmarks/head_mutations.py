"""Changes to a head, one at a time: to its lines before they are joined, or to its bytes. All chance is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

MOST_LONG = 20_000
"""Bytes of the longest line that a mutation makes: more than the largest head that the programs accept."""
ODD = (
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\r",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b'"',
    b"\\",
    b",",
    b";",
    b":",
    b"\x0b",
    b"\x7f",
    b"0",
)
SWITCHES = (
    *(b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked", b"Transfer-Encoding: gzip, chunked"),
    *(b"Transfer-Encoding: identity", b"Transfer-Encoding : chunked", b"Transfer-Encoding: xchunked"),
    *(b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: +5", b"content-length:  5 ", b"Content-Length: 5, 5"),
    *(b"Content-Length: 99999999999999999999", b"Content-Length: 05", b"Content-Length:", b"Content-Length: 0x5"),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: Keep-Alive, Cookie", b"connection: X-Case, close"),
    *(b"Connection: upgrade", b"Connection: Host, Content-Length", b"Connection:", b"Proxy-Connection: keep-alive"),
    *(b"Upgrade: websocket", b"Upgrade: h2c", b"Expect: 100-continue", b"Expect: 200-ok", b"Expect:", b"TE: trailers"),
    *(b"Host: a.example", b"Host:", b"Host: a b", b"Host: \xe9", b"Host: a.example, b.example"),
    *(b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-For: , 127.0.0.1", b"X-Forwarded-For: [2001:db8::1]:80"),
    *(b"X-Forwarded-Proto: http", b"X-Forwarded-Proto: https, http", b"X-Forwarded-Host: other.example"),
    *(b"X-Request-Id: given-1", b"X-Request-Id: a b", b"X-Request-Id:", b"Forwarded: for=192.0.2.1;proto=https"),
    *(b"Cookie: fs_optout=1", b"Cookie: a=b; theme=dark; fs_uid=x", b"Cookie:", b"Cookie: ;;=; fs_uid", b"Sec-GPC: 1"),
    *(b"CF-IPCountry: AQ", b"CF-IPCountry: US", b"CF-IPCountry: ??", b"Content-Encoding: gzip", b"Content-Encoding: br"),
    *(b"Origin: null", b"Origin: https://shop-3.example.net", b"Origin:", b"Origin: http://[::1", b"Origin: a\xe9.example"),
    *(b"User-Agent: Bot-3/1.0", b"User-Agent:", b"User-Agent: \xe9\xff", b"Accept-Encoding: gzip;q=0, *", b"Accept-Encoding:"),
    *(b"CDN-Loop: other", b"CDN-Loop:", b"Via: 1.1 a", b"Trailer: X-A", b"Keep-Alive: 5", b"Proxy-Authorization: x"),
    *(b"Authorization: Basic YTpi", b"Content-Type: application/json", b"Content-Type:", b"Range: bytes=0-1", b"DNT: 1"),
    *(b": nameless", b"no colon", b"X A: b", b"X-A : b", b" folded", b"\tfolded", b"X-\xe9: b", b"X-A:\x01", b"X_A: b"),
    *(b"X-A:b", b"x-a:   b   ", b"X-A: \tb\t", b"X-A:", b"traceparent: 00-0-0-00", b"Access-Control-Request-Method: POST"),
)  # fmt: skip
"""Lines that mean something to a proxy, or to one parser and not to another."""
Lines = list[bytes]


def _at(rng: Random, lines: Lines) -> int:
    return rng.randrange(1, len(lines)) if len(lines) > 1 and rng.random() < 0.95 else 0


def _drop(rng: Random, lines: Lines) -> None:
    del lines[_at(rng, lines)]
    if not lines:
        lines.append(b"")


def _again(rng: Random, lines: Lines) -> None:
    lines.insert(_at(rng, lines), lines[_at(rng, lines)])


def _swap(rng: Random, lines: Lines) -> None:
    a, b = _at(rng, lines), _at(rng, lines)
    lines[a], lines[b] = lines[b], lines[a]


def _insert(rng: Random, lines: Lines) -> None:
    lines.insert(max(1, _at(rng, lines)), rng.choice(SWITCHES))


def _replace(rng: Random, lines: Lines) -> None:
    """Put a line of the same name in another one's place, where there is one."""
    new = rng.choice(SWITCHES)
    name = new.partition(b":")[0].strip().lower()
    same = [at for at, line in enumerate(lines) if line.partition(b":")[0].lower() == name]
    lines[rng.choice(same) if same else _at(rng, lines)] = new


def _case(rng: Random, lines: Lines) -> None:
    at = _at(rng, lines)
    name, colon, value = lines[at].partition(b":")
    lines[at] = rng.choice((bytes.upper, bytes.lower, bytes.swapcase))(name) + colon + value


def _blanks(rng: Random, lines: Lines) -> None:
    at, blank = _at(rng, lines), rng.choice((b" ", b"\t", b"  ", b" \t ", b"\xa0"))
    name, colon, value = lines[at].partition(b":" if at else b" ")
    where = rng.randrange(5)
    parts = ((blank, name, colon, value), (name, blank, colon, value), (name, colon, blank, value),
             (name, colon, value, blank), (name, colon, value.lstrip()))[where]  # fmt: skip
    lines[at] = b"".join(parts)


def _fold(rng: Random, lines: Lines) -> None:
    at = _at(rng, lines)
    cut = rng.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:cut] + rng.choice((b"\r\n ", b"\r\n\t", b"\n ", b"\r\n", b"\r\n  \r\n ")) + lines[at][cut:]


def _long(rng: Random, lines: Lines) -> None:
    at = _at(rng, lines)
    lines[at] += rng.choice((b"a", b" ", b"/", b"\xe9", b"a, ")) * rng.choice((100, 4000, 9000, MOST_LONG // 3))


def _name(rng: Random, lines: Lines) -> None:
    at = _at(rng, lines)
    lines[at] = rng.choice(SWITCHES).partition(b":")[0] + b":" + lines[at].partition(b":")[2]


def _value(rng: Random, lines: Lines) -> None:
    at = _at(rng, lines)
    name, colon, value = lines[at].partition(b":")
    lines[at] = (
        name + colon + rng.choice((b"", b" ", value + b"," + value, value + rng.choice(ODD), value[1:], b" -1", b" *"))
    )


def _first_line(rng: Random, lines: Lines) -> None:
    old, new = rng.choice(
        ((b"HTTP/1.1", b"HTTP/1.0"), (b"HTTP/1.1", b"HTTP/1.2"), (b"HTTP/1.1", b"HTTP/2.0"), (b"HTTP/1.1", b"http/1.1"),
         (b" HTTP/1.1", b""), (b" ", b"  "), (b" ", b"\t"), (b"?", b"#"), (b"?", b"%3F"), (b"/rec", b"/REC"), (b"/", b"//"),
         (b"/rec", b"/%72ec"), (b"POST", b"post"), (b"POST", b"GET"), (b"GET", b"TRACE"), (b"GET", b"CONNECT"),
         (b"POST", b"PATCH"), (b"/", b"/\xe9"), (b"=", b"=%zz"), (b"OrgId", b"orgid"), (b"&", b"&&"), (b"/", b""))
    )  # fmt: skip
    lines[0] = lines[0].replace(old, new, 1)


def _odd_end(rng: Random, data: bytes) -> bytes:
    """End one line, or all, in other bytes than CR LF."""
    end = rng.choice((b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\0\r\n", b" \r\n"))
    parts = data.split(b"\r\n")
    at = rng.randrange(1, len(parts)) if len(parts) > 1 else 0
    return (
        data.replace(b"\r\n", end) if rng.random() < 0.2 else b"\r\n".join(parts[:at]) + end + b"\r\n".join(parts[at:])
    )


def _flip(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]


def _odd_byte(rng: Random, data: bytes) -> bytes:
    at, gone = rng.randrange(len(data) + 1), rng.choice((0, 1))
    return data[:at] + rng.choice(ODD) + data[at + gone :]


def _cut(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 2, 5, 30)) :]


def _short(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(1, len(data) + 1)]


def _twice(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at : at + rng.choice((1, 3, 20))] * 2 + data[at:]


def _before(rng: Random, data: bytes) -> bytes:
    return rng.choice((b"\r\n", b"\n", b"\r\n\r\n", b" ", b"\0", b"\x16\x03\x01")) + data


LINE_MUTATIONS: dict[str, Callable[[Random, Lines], None]] = {
    "drop": _drop, "again": _again, "swap": _swap, "insert": _insert, "insert ": _insert, "replace": _replace, "case": _case,
    "blanks": _blanks, "fold": _fold, "long": _long, "name": _name, "value": _value, "first line": _first_line,
}  # fmt: skip
BYTE_MUTATIONS: dict[str, Callable[[Random, bytes], bytes]] = {
    "odd end": _odd_end, "flip": _flip, "odd byte": _odd_byte, "cut": _cut, "short": _short, "twice": _twice, "before": _before,
}  # fmt: skip
