"""Redacts bodies that are one object: pages, direct calls, and calls of the server-side API (wire.md 1 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fsproxy.core.json.member_names import folded
from fsproxy.core.model import Route
from fsproxy.core.redact.json_strings import KEPT, Plan, Redactor, Work

_PAGE_IDS = ("OrgId", "UserId", "SessionId", "PageId", "TabId", "SessionKeyHash", "PageKeyHash")
_PAGE_KEPT = (*_PAGE_IDS, "CompiledVersion", "CompiledTimestamp", "SnippetVersion", "Doctype")
_PAGE_URLS = ("Url", "Base", "Referrer")


def redact_page(redactor: Redactor, body: bytes) -> bytes:
    """Return a page request's body, redacted. Raise UnreadableError where it is no object."""
    plan: dict[str, Work | str] = dict.fromkeys(map(folded, _PAGE_KEPT), KEPT)
    plan |= dict.fromkeys(map(folded, _PAGE_URLS), redactor.strings(redactor.rules.in_url))
    plan[folded("AppId")] = redactor.uids
    return redactor.document(body, plan, redactor.rest)


def redact_call(form: str, redactor: Redactor, body: bytes) -> bytes:
    """Return the body of one call, redacted. ``form``: its route, or the call that a path of the server's API takes.

    Raise UnreadableError where it is no object.
    """
    return _CALLS[form](redactor, body)


def _event(redactor: Redactor, body: bytes) -> bytes:
    plan: Plan = {"name": KEPT, "n": KEPT, "properties": redactor.properties, "p": redactor.properties}
    return redactor.document(body, plan, redactor.rest)


def _variables(redactor: Redactor, body: bytes) -> bytes:
    return redactor.document(body, {"uid": redactor.uids}, redactor.properties)


def _custom_event(redactor: Redactor, body: bytes) -> bytes:
    plan: Plan = {
        "event_name": KEPT,
        "event_data": redactor.properties,
        "timestamp": KEPT,
        "session_url": KEPT,
    }
    rest = redactor.rest
    return redactor.document(body, {"event": redactor.inside(plan, rest)}, rest)


def _server_event(redactor: Redactor, body: bytes) -> bytes:
    rest = redactor.rest
    plan: Plan = {
        "name": KEPT,
        "timestamp": KEPT,
        "user": redactor.inside({"id": KEPT, "uid": redactor.uids}, rest),
        "session": redactor.inside({"id": KEPT}, rest),
        "properties": redactor.properties,
        "schema": KEPT,
    }
    return redactor.document(body, plan, rest)


def _server_user(redactor: Redactor, body: bytes) -> bytes:
    plan: Plan = {
        "id": KEPT,
        "uid": redactor.uids,
        "display_name": redactor.properties,
        "email": redactor.properties,
        "properties": redactor.properties,
        "schema": KEPT,
    }
    return redactor.document(body, plan, redactor.rest)


_CALLS: Mapping[str, Callable[[Redactor, bytes], bytes]] = {
    Route.DIRECT_EVENT: _event,
    Route.DIRECT_IDENTIFY: _variables,
    Route.DIRECT_SET_USER_VARS: _variables,
    "customvars": _variables,
    "customevent": _custom_event,
    "/v2/events": _server_event,
    "/v2/users": _server_user,
    "/v2/events/batch": _server_event,
    "/v2/users/batch": _server_user,
}
"""By the route of a direct call, or the ``ServerCall``."""
