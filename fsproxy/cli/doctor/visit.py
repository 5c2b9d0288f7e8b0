"""All steps, one after the other."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress

import aiohttp

from fsproxy.cli.doctor import machine, public, seen, upstream
from fsproxy.cli.doctor.cluster import cluster
from fsproxy.cli.doctor.connecting import Place, connect
from fsproxy.cli.doctor.findings import Report, unknown
from fsproxy.cli.doctor.store import store
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config, StateBackend, TopMode
from fsproxy.config.tls import client_context
from fsproxy.http.origin import Origin
from fsproxy.http.upstream.hosts import rewrites_of


async def examine(
    report: Report,
    config: Config,
    public_url: str | None,
    org: str | None,
    origin: str,
    announce: Callable[[str], None],
) -> None:
    """Take every step that can be taken. ``announce`` is called before a page is sent."""
    await report.step("host", machine.host(config))
    await report.step("descriptors", machine.descriptors(config))
    await _upstream(report, config, org, origin, announce)
    if config.state.backend is StateBackend.REDIS:
        look = cluster if config.state.redis.cluster else store
        await report.step("redis", look(config.state.redis))
    await _front(report, config, public_url, org, origin)


async def _upstream(
    report: Report, config: Config, org: str | None, origin: str, announce: Callable[[str], None]
) -> None:
    try:
        context = client_context(config.upstream.tls)
    except HostError:  # the first step has reported it
        return
    fine = True
    keys = {config.upstream.url: "upstream.url"}
    for _, url in config.upstream.prefixes:
        keys.setdefault(url, "upstream.prefixes")
    for rewrite in rewrites_of(config.upstream):
        if rewrite.url:
            keys.setdefault(rewrite.url, "upstream.rewrite")
    for url, key in keys.items():
        fine &= await report.step("upstream", connect(Place("upstream", Origin.of(url), context, key)))
    if not fine:
        return
    async with _client(report, context) as http:
        if (
            await report.step("upstream.settings", upstream.settings(http, config.upstream, org))
            and org
            and config.routes.page
        ):
            announce(f"A page of {origin}/fsproxy-doctor is sent to the upstream now, which begins a session of {org}.")
            await report.step("upstream.page", upstream.page(http, config, org, origin))


async def _front(report: Report, config: Config, url: str | None, org: str | None, origin: str) -> None:
    context = ssl.create_default_context()
    async with _client(report, context) as http, _client(report, context) as other:
        admin = seen.Admin(other, config.admin)
        await report.step("admin.ready", seen.readiness(admin))
        if url is None:
            report.add(unknown("public", "what is in front of fsproxy was not looked at", "Give --public-url."))
            return
        if not await report.step("public", connect(Place("public", Origin.of(url), context, "--public-url"))):
            return
        way = public.Public(http, url, origin, config)
        mode = await admin.mode()
        if TopMode.BYPASS in {config.mode, mode} or not (config.routes.page and config.routes.bundle):
            text = "fsproxy judges nothing now (mode: bypass, or no routes), so that all of it would reach the backend"
            report.add(unknown("public.reached", text, "Run doctor again in the mode enforce or shadow."))
            return
        if not await report.step("public.reached", public.reached(way)):
            return
        await report.step("public.client_ip", seen.client_address(way, admin))
        await report.step("public.cors", public.cross_origin(way))
        await report.step("public.socket", public.socket(way))
        await report.step("public.size", public.size(way, mode))
        await report.step("public.requests", seen.request_body(way, admin))
        with suppress(HostError):  # the first step has reported it
            async with _client(report, client_context(config.upstream.tls)) as straight:
                await report.step("public.answers", public.compression(way, straight, org))


def _client(report: Report, context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Return a client that keeps no cookies, follows nothing, and changes no body."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, force_close=True),
        # Less than the step's, so that a step can say what took too long.
        timeout=aiohttp.ClientTimeout(total=0.9 * report.seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "fsproxy-doctor"},
        skip_auto_headers=("Accept-Encoding",),
    )
