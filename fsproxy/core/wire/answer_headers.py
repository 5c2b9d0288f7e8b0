"""Header lines on their way down with an answer: what goes on, what stops here, what is ours (rules.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fsproxy.core.wire.header_names import HOP_BY_HOP, ORDINARY, PROXY_PREFIX
from fsproxy.core.wire.header_values import NAMES_NOTHING, RawHeaders, without_named
from fsproxy.core.wire.headers import Do
from fsproxy.core.wire.plain_head import PlainAnswer

EXPOSED = (b"X-Request-Id", b"FSProxy-Rejected", b"Retry-After")
"""What a page's script may read of an answer (CORS), where it is there."""

_DOWN: Mapping[bytes, Do] = {
    **dict.fromkeys(ORDINARY | {b"cookie", b"content-length"}, Do.KEEP),
    **dict.fromkeys(HOP_BY_HOP | {b"x-request-id", b"fsproxy-rejected"}, Do.DROP),
    b"connection": Do.CONNECTION,
    b"upgrade": Do.UPGRADE,
}


def downstream_block(answer: PlainAnswer, *, capture: bool) -> bytes:
    """``downstream_headers`` of a plain answer, as bytes: CRLF, and all lines but those that we add."""
    headers, key = answer.headers, (capture, answer.place)
    made = headers.forward_lines
    if made is None or made[0] != key:
        lines, length = headers.lines, (b"Content-Length", b"")  # no plain line is empty
        down = _end_to_end((*lines[: answer.place], length, *lines[answer.place :]), upgrade=False)
        if capture:
            _expose(down, (b"X-Request-Id",))
        at = down.index(length)
        before, after = (b"".join(b"\r\n%b: %b" % pair for pair in part) for part in (down[:at], down[at + 1 :]))
        made = headers.forward_lines = (key, before + b"\r\n", after)
    return b"%b%b%b" % (made[1], answer.length, made[2])


def downstream_headers(
    headers: RawHeaders,
    request_id: bytes,
    extra: Iterable[tuple[bytes, bytes]] = (),
    *,
    capture: bool = False,
    upgrade: bool = False,
) -> list[tuple[bytes, bytes]]:
    """The answer's lines for the client: order, case and repetition as they came.

    ``X-Request-Id`` is ours. ``extra`` is added (``FSProxy-Rejected``). On ``capture`` routes, where the
    answer has CORS headers, ``Access-Control-Expose-Headers`` names what we added. A length beside a
    ``Transfer-Encoding`` is dropped, as RFC 9112 6.3 asks. ``upgrade``: the answer is a 101.
    """
    down = _end_to_end(headers, upgrade=upgrade)
    ours = [(b"X-Request-Id", request_id), *extra]
    if capture:
        _expose(down, tuple(name for name, _ in ours if name in EXPOSED))
    return down + ours


def _end_to_end(headers: RawHeaders, *, upgrade: bool) -> list[tuple[bytes, bytes]]:
    down: list[tuple[bytes, bytes]] = []
    do, keep, look = _DOWN.get, Do.KEEP, Do.LOOK
    chunked = False
    for pair in headers:
        what = do(pair[0].lower(), look)
        if what is keep:
            down.append(pair)
        elif what is look:
            if pair[0][:6].lower() != PROXY_PREFIX:
                down.append(pair)
        elif what is Do.CONNECTION:
            if pair[1].lower() not in NAMES_NOTHING:
                return _end_to_end(without_named(headers), upgrade=upgrade)
        elif what is Do.UPGRADE and upgrade:
            down += (pair, (b"Connection", b"Upgrade"))
        elif pair[0].lower() == b"transfer-encoding":
            chunked = True
    return [pair for pair in down if pair[0].lower() != b"content-length"] if chunked else down


def _expose(down: list[tuple[bytes, bytes]], names: tuple[bytes, ...]) -> None:
    seen = {name.lower(): at for at, (name, _) in enumerate(down) if name[:15].lower() == b"access-control-"}
    if b"access-control-allow-origin" not in seen:
        return
    at = seen.get(b"access-control-expose-headers")
    if at is None:
        down.append((b"Access-Control-Expose-Headers", b", ".join(names)))
        return
    name, value = down[at]
    there = {part.strip() for part in value.lower().split(b",")}
    # For a credentialed request "*" is only a name (Fetch 3.3.3): it does not expose ours.
    if b"*" in there and b"access-control-allow-credentials" not in seen:
        return
    missing = [each for each in names if each.lower() not in there]
    if missing:
        down[at] = (name, b", ".join([value, *missing]) if value.strip() else b", ".join(missing))
