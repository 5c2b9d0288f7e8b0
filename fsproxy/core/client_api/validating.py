"""Validates a file as ``fsproxy validate`` does: like a body on the wire, but without counting names and rates."""

from __future__ import annotations

from enum import StrEnum, unique

from fsproxy.core.client_api.inspected import Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings


@unique
class Validated(StrEnum):
    """What a file can hold, as written on the command line."""

    EVENT = "event"
    IDENTIFY = "identify"
    SET_USER_VARS = "setUserVars"
    BUNDLE = "bundle"


_ROUTES = {
    Validated.EVENT: Route.DIRECT_EVENT,
    Validated.IDENTIFY: Route.DIRECT_IDENTIFY,
    Validated.SET_USER_VARS: Route.DIRECT_SET_USER_VARS,
    Validated.BUNDLE: Route.BUNDLE,
}


def validate(kind: Validated, body: bytes, settings: ClientApiSettings) -> tuple[Inspection, CallsOutcome]:
    """Validate a decompressed body by itself, in the mode of ``settings``."""
    inspection = inspect(settings, _ROUTES[kind], body)
    return inspection, decide_calls(inspection, {}, (), settings)
