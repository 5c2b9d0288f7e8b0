"""What is done with an upload's body off the event loop, or only where something in it changes."""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.client_api.inspection import inspect, recognize
from fsproxy.core.client_api.redacted_calls import look_for, redact_inspected
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.proxy.decoding import encode
from fsproxy.proxy.off_loop import run

if TYPE_CHECKING:
    from fsproxy.core.client_api.inspected import Inspection
    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.client_api.reading.server_api import ServerCall
    from fsproxy.core.model import Route
    from fsproxy.core.redact.redaction import Redaction
    from fsproxy.core.settings import ClientApiSettings
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.limit_queries import LimitedCalls

ON_LOOP = 32 * 1024
"""Bytes of a body that are inspected on the event loop, under 10 ms whatever they are; more go to a thread."""


REDACTED_ON_LOOP = 2 * 1024
"""Bytes of a body that are redacted on the event loop. To replace a match takes some ten microseconds."""


class CutBody(msgspec.Struct, frozen=True, gc=False):
    """What is to become of a body with calls."""

    body: bytes | None = None
    """To be forwarded instead, compressed as it came; None: the body goes on as it came."""
    refused: bool = False
    """It cannot be read, and ``on_uninspectable`` says block."""
    none_left: LimitedCalls | None = None
    """No call in it was valid: nothing is forwarded."""
    document: bytes = b""
    """The problem document that says so."""
    blocked: bool = False
    """It names a user who is being deleted; the flow's decision says so (rules.md 10)."""


AS_IT_CAME = CutBody()


async def inspect_large(api: ClientApiSettings, form: Route, text: bytes, endpoint: ServerCall | None) -> Inspection:
    """Inspect a large body: in a thread, unless it is an event that is learned."""
    known = recognize(api, form, text)
    return known if known is not None else await to_thread(inspect, api, form, text, endpoint)


async def inspect_first(
    inspection: Inspection, first: bytes, api: ClientApiSettings, rules: Redaction | None
) -> Inspection:
    """Inspect the first gzip member of a body that cannot be read as a whole.

    Not where the body must be redacted: readers of all members would find there what is not.
    """
    if rules is not None and rules.fails_closed:
        return inspection
    return await run(len(first) > ON_LOOP, inspect, api, inspection.route, first)


async def redact(
    inspection: Inspection, api: ClientApiSettings, endpoint: ServerCall | None, rules: Redaction
) -> Inspection:
    """Redact what was inspected: in a thread, unless nothing is found or the body is small."""
    size = len(inspection.body)
    hits = await run(size > ON_LOOP, look_for, inspection, rules)
    if hits is None:
        return inspection
    return await run(size > REDACTED_ON_LOOP, redact_inspected, inspection, hits, api, endpoint, rules)


def fails_closed(flow: Flow) -> bool:
    """Return whether a body that cannot be redacted may not go on (rules.md 8)."""
    rules = flow.generation.redaction
    return rules is not None and rules.fails_closed


async def changed(inspection: Inspection, outcome: CallsOutcome | None, layers: int) -> CutBody:
    """Return the body without what is rejected and redacted, in a thread if it is large."""
    return await run(len(inspection.body) > ON_LOOP, rewritten, inspection, outcome, layers)


def rewritten(inspection: Inspection, outcome: CallsOutcome | None, layers: int) -> CutBody:
    """Return the body without what is rejected and redacted; as it came if nothing is."""
    left = rewrite(inspection, outcome)
    if left is None:
        return AS_IT_CAME
    return CutBody(body=encode(left, layers) if layers else left)
