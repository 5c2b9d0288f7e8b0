"""The answer to a call that is not forwarded: a problem document (RFC 9457; rules.md 3)."""

from __future__ import annotations

from typing import Any

import msgspec

from fsproxy.core.client_api.outcome import BAD_REQUEST, CallsOutcome

_TITLES = {400: "Client API call rejected", 413: "Client API call too large", 429: "Too many client API calls"}


def problem_document(outcome: CallsOutcome) -> bytes:
    """Return the body of the answer. Its ``errors`` list every rejection in order of appearance, and no value.

    All calls beyond ``max_calls`` are counted, and the first of them is listed. A rejection's ``call`` is the
    event's name, or the kind of a call that has no name.
    """
    rejections, all_of_them = (*outcome.listed, *outcome.surplus[:1]), outcome.rejected
    status = outcome.status or BAD_REQUEST
    count = f"{all_of_them} rejection{'s' if all_of_them != 1 else ''}"
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status, _TITLES[BAD_REQUEST]),
        "status": status,
        "detail": count,
        "errors": [
            {
                "code": each.code.value,
                "call": each.call if each.call is not None else each.kind.value,
                "property": each.property,
                "detail": each.detail,
            }
            for each in rejections
        ],
    }
    if outcome.for_server and rejections:
        first = rejections[0]
        where = f"{first.property}: " if first.property is not None else ""
        problem |= {"message": f"{where}{first.detail}", "code": first.code.value}
    return msgspec.json.encode(problem)
