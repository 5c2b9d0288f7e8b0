"""The header lines of an answer to the client: which are forwarded, which dropped, and our own (rules.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fsproxy.core.wire.header_names import HOP_BY_HOP, ORDINARY, PROXY_PREFIX
from fsproxy.core.wire.header_values import NAMES_NOTHING, RawHeaders, without_named
from fsproxy.core.wire.headers import Do
from fsproxy.core.wire.plain_head import PlainAnswer

EXPOSED = (b"X-Request-Id", b"FSProxy-Rejected", b"Retry-After")
"""The headers that CORS lets a page's script read, if the answer has them."""

_DOWN: Mapping[bytes, Do] = {
    **dict.fromkeys(ORDINARY | {b"cookie", b"content-length"}, Do.KEEP),
    **dict.fromkeys(HOP_BY_HOP | {b"x-request-id", b"fsproxy-rejected"}, Do.DROP),
    b"connection": Do.CONNECTION,
    b"upgrade": Do.UPGRADE,
}


def downstream_block(answer: PlainAnswer, *, capture: bool) -> bytes:
    """Return the lines of ``downstream_headers`` for a plain answer, without those that we add.

    They are bytes in which each line follows a CRLF. All but the line of the length is kept with the answer's headers,
    in two halves: what comes before that line, and what comes after it.
    """
    headers, key = answer.headers, (capture, answer.place)
    made = headers.forward_lines
    if made is None or made[0] != key:
        # The length's value is left out to mark its place; no value of a plain line is empty.
        lines, length = headers.lines, (b"Content-Length", b"")
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
    """Return the answer's lines for the client, with order, case and repetition as they came.

    ``X-Request-Id`` and ``extra`` (``FSProxy-Rejected``) are added. On ``capture`` routes, if the answer has CORS
    headers, ``Access-Control-Expose-Headers`` names what we added. A length beside a ``Transfer-Encoding`` is dropped,
    as RFC 9112 6.3 requires. ``upgrade``: the answer is a 101.
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
