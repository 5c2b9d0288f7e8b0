"""The part of the API that tries a configuration on live traffic."""

from __future__ import annotations

from aiohttp import web

from fsproxy.admin.api import answer, answered, error
from fsproxy.admin.backend import AdminBackend
from fsproxy.admin.openapi import JSON, SILENT, Endpoint
from fsproxy.admin.state_answers import Error
from fsproxy.admin.trial.answers import Try, TryError
from fsproxy.admin.trial.backend import RefusedTrialError
from fsproxy.reload.build_generation import Asked

MOST_CANDIDATE = 64 * 1024 * 1024
"""Bytes of a candidate with its lists."""


class TrialApi:
    """The handlers."""

    def __init__(self, backend: AdminBackend) -> None:
        self._backend = backend

    async def start(self, request: web.Request) -> web.Response:
        """Try a configuration on live traffic.

        A share of the requests is judged by it as well, for a while. Nothing is changed, stored or counted for it. A
        reload, another mode and the end of the program end it.
        """
        if request.content_type != JSON:
            return error(400, "send a JSON object as application/json")
        try:
            asked = await request.clone(client_max_size=MOST_CANDIDATE).read()
        except web.HTTPRequestEntityTooLarge:
            return error(413, f"a configuration with its lists may have {MOST_CANDIDATE // 2**20} MB")
        try:
            return answer(await self._backend.trials.start(asked))
        except RefusedTrialError as refusal:
            return answer(refusal.document, refusal.status)

    async def show(self, _: web.Request) -> web.Response:
        """Return what the candidate would change so far."""
        return await answered(self._backend.trials.show())

    async def end(self, _: web.Request) -> web.Response:
        """End it; return what was found."""
        return await answered(self._backend.trials.end())


_REFUSED = {
    400: ("The candidate has faults.", TryError),
    409: ("None can begin now.", TryError),
    413: ("It is too large.", Error),
} | SILENT
ENDPOINTS = (
    Endpoint("POST", "/api/try", TrialApi.start, Try, body=Asked, others=_REFUSED),
    Endpoint("GET", "/api/try", TrialApi.show, Try, others=SILENT),
    Endpoint("DELETE", "/api/try", TrialApi.end, Try, others=SILENT),
)
