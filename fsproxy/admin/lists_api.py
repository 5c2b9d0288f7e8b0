"""The part of the API that shows and changes lists at run time."""

from __future__ import annotations

import asyncio

from aiohttp import web

from fsproxy.admin.api import answer, answered, error
from fsproxy.admin.backend import AdminBackend
from fsproxy.admin.lists.answers import NAMES, ListOutcome, ListReport, ListWish, list_name, read_change
from fsproxy.admin.openapi import INVALID, JSON, SILENT, Endpoint
from fsproxy.admin.state_answers import Error
from fsproxy.clock import now
from fsproxy.core.run_time_lists import MOST_ENTRIES, ListFullError

LIST_PATH = "/api/lists/{name}"


class ListsApi:
    """The handlers."""

    def __init__(self, backend: AdminBackend) -> None:
        self._backend = backend

    async def show(self, request: web.Request) -> web.Response:
        """Return a list that changes at run time.

        Users stand there as digests of their uids. What the configuration lists is not among them.
        """
        name = list_name(request.match_info["name"])
        return _no_list() if name is None else await answered(self._backend.lists.show(name))

    async def change(self, request: web.Request) -> web.Response:
        """Add entries to a list, and remove entries from it.

        The change is in force when the answer comes, on all workers, and within a second on all instances that share
        one Redis. What is added ends by itself. An entry that is there already ends as this change says. Entries of
        the configuration stay.
        """
        name = list_name(request.match_info["name"])
        if name is None:
            return _no_list()
        if request.content_type != JSON:
            return error(400, 'send {"add": [...], "remove": [...], "for": "30d"} as application/json')
        try:
            change = await asyncio.to_thread(read_change, name, await request.read(), now())
        except web.HTTPRequestEntityTooLarge:
            return error(413, "too large for one request: send the entries in several")
        except ValueError as fault:
            return error(400, str(fault))
        try:
            return answer(await self._backend.lists.change(change))
        except ListFullError:
            return error(409, f"the list has room for {MOST_ENTRIES[name]} entries: nothing was changed")


def _no_list() -> web.Response:
    return error(404, f"there is no such list: {', '.join(NAMES)}", allowed=list(NAMES))


_NO_LIST = {404: ("There is no such list.", Error)}
_REFUSED = {
    409: ("The list has no room for so many entries; nothing was changed.", Error),
    413: ("It is too large for one request.", Error),
}
ENDPOINTS = (
    Endpoint("GET", LIST_PATH, ListsApi.show, ListReport, others=_NO_LIST | SILENT, names=NAMES),
    Endpoint(
        "POST",
        LIST_PATH,
        ListsApi.change,
        ListOutcome,
        body=ListWish,
        others=INVALID | _NO_LIST | _REFUSED | SILENT,
        names=NAMES,
    ),
)
