"""Redaction where nothing else is done with a body: of pages, and of everything in ``bypass`` (rules.md 8)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.failures import Failure
from fsproxy.core.model import PAGE, UNREAD
from fsproxy.core.redact.documents import redact_page
from fsproxy.core.redact.json_strings import Redactor
from fsproxy.core.redact.redaction import UID, Found, UnreadableError
from fsproxy.core.wire.facts import bundle_query
from fsproxy.proxy.bodies import read_body
from fsproxy.proxy.decoding import UndecodableError, decode, encode, encoding_of
from fsproxy.proxy.inspecting import ON_LOOP, REDACTED_ON_LOOP, redact
from fsproxy.proxy.off_loop import run

if TYPE_CHECKING:
    from fsproxy.core.redact.redaction import Redaction
    from fsproxy.http.sweeper import Sweeper
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.forward import Forwarder

_INDIVIDUAL = re.compile(r"(/users/v1/individual/)([^/?;]+)(?=/)")


async def pass_redacted(flow: Flow, rules: Redaction, forwarder: Forwarder, sweeper: Sweeper) -> bool:
    """Send what nothing is decided about, and what is redacted all the same."""
    if flow.route in UNREAD:
        return await forwarder.stream(flow)
    flow.upload = bundle_query(flow.query)
    redacted = await redacted_body(flow, rules, await read_body(flow, sweeper))
    return forwarder.refuse(flow, Failure.UNINSPECTABLE) if redacted is None else await forwarder.send(flow, redacted)


async def redacted_body(flow: Flow, rules: Redaction, body: bytes) -> bytes | None:
    """Return a body, redacted and compressed as it came; None: it cannot be read, and may not go on."""
    try:
        decoded = await decode(body, encoding_of(flow), flow.generation.config.server.max_decompressed)
    except UndecodableError:
        return None if rules.fails_closed else body
    if rules.fails_closed and not decoded.is_sound:
        return None
    text = await redacted_text(flow, rules, decoded.text, is_page=flow.route is PAGE)
    if not redact_path(flow, rules):
        return None
    if text is None or text is decoded.text:
        return None if text is None else body
    return await run(len(text) > ON_LOOP, encode, text, decoded.layers)


async def redacted_text(flow: Flow, rules: Redaction, text: bytes, *, is_page: bool) -> bytes | None:
    """Return a page or an upload, redacted, the same object if nothing is; None as ``redacted_body`` does."""
    if is_page:
        if not await run(len(text) > ON_LOOP, rules.may_hold, text, rules.in_bodies):
            return text
        found, instead = await run(len(text) > REDACTED_ON_LOOP, _page, rules, text)
    else:
        found, instead = await _upload(flow, rules, text)
    if instead is None:
        return None if rules.fails_closed else text
    flow.redacted = found
    return instead


def _page(rules: Redaction, text: bytes) -> tuple[Found, bytes | None]:
    redactor = Redactor(rules)
    try:
        return redactor.found, redact_page(redactor, text)
    except UnreadableError:
        return redactor.found, None


async def _upload(flow: Flow, rules: Redaction, text: bytes) -> tuple[Found, bytes | None]:
    api, route = flow.generation.snapshot.default.client_api, flow.form or flow.route
    inspection = await run(len(text) > ON_LOOP, inspect, api, route, text, flow.endpoint)
    inspection = await redact(inspection, api, flow.endpoint, rules)
    found = inspection.redacted.found
    if inspection.uninspectable is not None:
        return found, None
    instead = await run(len(text) > ON_LOOP, rewrite, inspection, None)
    return found, text if instead is None else instead


def redact_path(flow: Flow, rules: Redaction) -> bool:
    """Redact the uid in the path of a server's call, in ``flow``; return False where it may be and is not found."""
    if flow.endpoint is None or not rules.of[UID] or flow.endpoint.startswith("/"):
        return True
    # A path that is rewritten may have more in front; a query is not looked at.
    find = _INDIVIDUAL.search if flow.generation.routes.rewrites else _INDIVIDUAL.match
    path = find(flow.target, 0, len(flow.path))
    if path is None:
        return not rules.fails_closed
    found = Found(flow.redacted)
    uid = unquote(path[2])
    instead = rules.redacted(uid, rules.of[UID], found)
    if instead is not uid:
        flow.target = flow.target[: path.end(1)] + quote(instead, safe="") + flow.target[path.end() :]
    flow.redacted = found
    return True
