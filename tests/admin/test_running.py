"""The admin port of a running proxy: readiness while it drains, and metrics that count what happened."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from support.log_lines import log_lines
from support.proxy import POLL
from support.rig import Rig, running_rig
from support.upstream import reset

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig({"filters": {"ip": {"block": ["203.0.113.0/24"]}}}) as running:
        yield running


async def test_it_is_ready_and_says_in_what_state(rig: Rig) -> None:
    answered, text = await rig.admin("/readyz")
    assert answered == 200
    body = json.loads(text)
    assert (body["status"], body["mode"], body["generation"]) == ("ready", "enforce", 1)
    assert body["store"]["backend"] == "memory"
    assert body["upstream"]["last_failure"] is None
    assert body["warnings"] == []
    assert (await rig.admin("/healthz"))[0] == 200


async def test_an_upstream_that_is_down_is_told_and_takes_nothing_out_of_service(rig: Rig) -> None:
    rig.upstream.on("POST", "/rec/event", reset)
    assert (await rig.bundle(path="/rec/event")).status == 502
    answered, text = await rig.admin("/readyz")
    assert answered == 200
    assert json.loads(text)["upstream"]["last_failure"] == "upstream_reset"
    assert (await rig.page()).status == 200
    assert json.loads((await rig.admin("/readyz"))[1])["upstream"]["last_failure"] is None


@pytest.mark.parametrize(
    "head", [b"GET /%b HTTP/1.1\r\n" % (b"x" * 9_000), b"GET / HTTP/1.1\r\nno colon\r\n", b"\x16\x03 x\r\n"]
)
async def test_a_malformed_request_is_no_error_of_ours(rig: Rig, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.proxy.admin_port)
    writer.write(head + b"Host: a\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
    writer.close()
    assert "error" not in [line["log.level"] for line in log_lines(rig.proxy.log_text())]


FAMILIES = {
    "fsproxy_decisions": {"reason_code", "filter", "mode"},
    "fsproxy_forwarded": {"route"},
    "fsproxy_upstream_failures": {"kind"},
    "fsproxy_recordings_ended": {"cause"},
    "fsproxy_requests": {"route", "status"},
    "fsproxy_own_latency_seconds": {"le"},
    "fsproxy_total_latency_seconds": {"le"},
    "fsproxy_in_flight": set(),
    "fsproxy_audit_lines_dropped": set(),
    "fsproxy_config_generation": set(),
}


async def test_every_family_is_there_with_its_labels(rig: Rig) -> None:
    await rig.page({"X-Forwarded-For": "203.0.113.9"})
    rig.upstream.on("POST", "/rec/event", reset)
    await rig.bundle(path="/rec/event")
    await rig.bundle({"X-Forwarded-For": "203.0.113.9"})
    families = {each.name: each for each in text_string_to_metric_families((await rig.admin("/metrics"))[1])}
    assert set(FAMILIES) <= set(families)
    for name, labels in FAMILIES.items():
        assert families[name].documentation
        assert {label for sample in families[name].samples for label in sample.labels} == labels, name
    others = {name.partition("_")[0] for name in families if not name.startswith("fsproxy_")}
    assert others == {"process"}
    (build,) = families["fsproxy_build_info"].samples
    assert (set(build.labels), build.value) == ({"version", "python", "aiohttp"}, 1)


async def test_what_happens_is_counted_once(rig: Rig) -> None:
    counters: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {
        ("fsproxy_decisions_total", (("reason_code", "0"), ("filter", ""), ("mode", ""))): 1,
        ("fsproxy_decisions_total", (("reason_code", "5"), ("filter", "ip"), ("mode", "enforce"))): 2,
        ("fsproxy_forwarded_total", (("route", "page"),)): 1,
        ("fsproxy_forwarded_total", (("route", "other"),)): 1,
        ("fsproxy_upstream_failures_total", (("kind", "upstream_reset"),)): 1,
        ("fsproxy_recordings_ended_total", (("cause", "blocked"),)): 1,
        ("fsproxy_requests_total", (("route", "page"), ("status", "2xx"))): 2,
        ("fsproxy_requests_total", (("route", "event"), ("status", "5xx"))): 1,
        ("fsproxy_total_latency_seconds_count", ()): 5,
        ("fsproxy_own_latency_seconds_count", ()): 5,
    }
    rig.upstream.on("POST", "/rec/event", reset)
    before = {key: await rig.counted(key[0], **dict(key[1])) for key in counters}
    await rig.page()
    await rig.page({"X-Forwarded-For": "203.0.113.9"})
    await rig.bundle({"X-Forwarded-For": "203.0.113.9"})
    await rig.bundle(path="/rec/event")
    await rig.send("/rec/integrations", b"", method="GET")
    async with asyncio.timeout(120):
        while await rig.counted("fsproxy_in_flight"):
            await asyncio.sleep(POLL)
    after = {key: await rig.counted(key[0], **dict(key[1])) for key in counters}
    assert {key: after[key] - before[key] for key in counters} == counters
    assert await rig.counted("fsproxy_config_generation") == 1
    assert await rig.counted("fsproxy_audit_lines_dropped_total") == 0


async def test_what_is_in_flight_is_counted_while_it_is(rig: Rig) -> None:
    before = len(rig.upstream.received)
    rig.upstream.hold()
    pages = [asyncio.create_task(rig.page()) for _ in range(3)]
    await rig.upstream.arrived(before + 3)
    assert await rig.counted("fsproxy_in_flight") == 3
    rig.upstream.release()
    await asyncio.gather(*pages)


async def test_nothing_that_a_client_sends_but_its_org_becomes_a_label(rig: Rig) -> None:
    await rig.page({"User-Agent": "planted"}, Url="https://planted.example/")
    assert "planted" not in (await rig.admin("/metrics"))[1]


async def test_while_it_drains_it_is_not_ready_but_alive_and_what_is_under_way_ends_well() -> None:
    async with running_rig() as rig:
        rig.upstream.hold()
        page = asyncio.create_task(rig.page())
        await rig.upstream.arrived()
        rig.proxy.signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            while (ready := await rig.admin("/readyz"))[0] == 200:
                await asyncio.sleep(POLL)
        assert ready[0] == 503
        assert json.loads(ready[1])["status"] == "draining"
        assert (await rig.admin("/healthz"))[0] == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            async with aiohttp.ClientSession() as other, other.get(rig.proxy.url):
                pass
        rig.upstream.release()
        assert (await page).status == 200
        await rig.proxy.stop()
        assert [line["fsproxy.decision"] for line in rig.proxy.audit_lines()] == ["captured"]


async def test_untrusted_forwarding_headers_on_many_pages_are_warned_of() -> None:
    """The usual sign of a load balancer that is not listed (rules.md 4)."""
    async with running_rig({"client_ip": {"trusted_proxies": []}}) as rig:
        for _ in range(100):
            await rig.page()
        assert json.loads((await rig.admin("/readyz"))[1])["warnings"] == [
            "forwarding headers from 127.0.0.1 are dropped: not in client_ip.trusted_proxies"
        ]
        assert await rig.counted("fsproxy_forwarding_headers_dropped_total") == 100
        assert rig.proxy.log_text().count("forwarding headers from 127.0.0.1 are dropped") == 1
