"""The files of the operators' page: what they may do, how a browser keeps them, and that they need no token."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import TYPE_CHECKING, cast

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from fsproxy.admin.server import create_admin
from fsproxy.config.schema import AdminConfig

if TYPE_CHECKING:
    from fsproxy.admin.backend import AdminBackend

Admin = TestClient[web.Request, web.Application]


@pytest_asyncio.fixture
async def admin() -> AsyncIterator[Admin]:
    """An admin port with a token, and nobody who could answer what is asked with it."""
    nobody = cast("AdminBackend", None)
    async with TestClient(TestServer(create_admin(AdminConfig(token="right"), nobody))) as client:
        yield client


async def test_the_page_may_run_nothing_but_its_own_script(admin: Admin) -> None:
    async with admin.get("/") as response:
        html = await response.text()
        rules = dict(each.split(" ", 1) for each in response.headers["Content-Security-Policy"].split("; "))
        assert response.headers["Cache-Control"] == "no-store"
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert (rules["require-trusted-types-for"], rules["trusted-types"]) == ("'script'", "'none'")
    assert "unsafe" not in "".join(rules.values())
    assert re.findall(r"<script[^>]*>[^<]| style=| on\w+=", html) == []
    assert re.findall(r"""(?:src|href)="([^"]*)""", html) == ["data:,", "page/style.css", "page/main.js", "#main"]


async def test_the_files_of_the_page_have_their_types_and_a_browsers_copy_is_checked(admin: Admin) -> None:
    kinds = {"main.js": "text/javascript", "style.css": "text/css"}
    for name, kind in kinds.items():
        async with admin.get(f"/page/{name}") as response:
            assert (response.status, response.content_type, response.charset) == (200, kind, "utf-8")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-cache"
            tag = response.headers["ETag"]
        async with admin.get(f"/page/{name}", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
    for name in ("nothing.js", "%2e%2e%2fpage.py", "__init__.py", ""):
        async with admin.get(URL(f"/page/{name}", encoded=True)) as response:
            assert response.status == 404, name


def test_no_file_of_the_page_asks_elsewhere_or_makes_markup() -> None:
    asks = re.compile(
        r"""innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|\bimport\(|url\((?!#)|@import|cssText = [^f]"""
        r"""|https?://(?!www\.example\.com/|…|\$\{|\[\$\{|www\.w3\.org/2000/svg)"""
    )
    folder = files("fsproxy.admin").joinpath("web")
    found = {each.name: asks.findall(each.read_text("utf-8")) for each in folder.iterdir()}
    assert {name: faults for name, faults in found.items() if faults} == {}
    assert {"main.js", "style.css", "index.html"} <= found.keys()
