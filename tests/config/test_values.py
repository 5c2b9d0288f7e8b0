"""Every kind of value becomes what the rest of the program works with."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.config import schema
from fsproxy.config.loader import load_text
from fsproxy.config.schema import Config
from fsproxy.core import units
from fsproxy.core.model import Mode
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import Cycle, RampingStep, Window, rate

UPSTREAM = "upstream: {url: http://a}\n"


def loaded(text: str) -> Config:
    return load_text(UPSTREAM + text, "f.yaml", {}, Path())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30.0),
        ("5m", 300.0),
        ("24h", 86_400.0),
        ("30d", 2_592_000.0),
        ("1.5s", 1.5),
        ("0s", 0.0),
    ],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert units.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("512KB", 524_288), ("8MB", 8_388_608), ("1GB", 1_073_741_824), ("7B", 7), ("8192", 8192), ("0.5KB", 512)],
)
def test_sizes_are_bytes_and_a_kilobyte_has_1024(text: str, count: int) -> None:
    assert units.size(text) == count


@pytest.mark.parametrize(("text", "share"), [("0%", 0.0), ("25%", 0.25), ("12.5%", 0.125), ("100%", 1.0)])
def test_shares_are_parts_of_one(text: str, share: float) -> None:
    assert units.share(text) == share


@pytest.mark.parametrize(
    ("text", "window"), [("10/s", Window(10, 1.0)), ("30/min", Window(30, 60.0)), ("0/h", Window(0, 3600.0))]
)
def test_rates_are_windows(text: str, window: Window) -> None:
    assert rate(text) == window


PARSERS = [units.duration, units.size, units.share, units.any_share, rate, units.day, units.day_as_unix]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "text", ["", " ", "x", "-1s", "1 s", "1S", "1e3s", "\u0663s", "\u0661/s", "1kb", "1/d", "101", "1w", "%"]
)
def test_nothing_else_is_a_value(parser: object, text: str) -> None:
    assert callable(parser)
    if (parser, text) == (units.size, "101"):
        return
    with pytest.raises(ValueError):  # noqa: PT011 - that it raises nothing else is the point
        parser(text)


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{1,40}(\.[0-9]{1,40})?(ms|s|d|KB|%|/min)", fullmatch=True))
def test_a_parser_raises_nothing_but_value_error(text: str) -> None:
    for parser in PARSERS:
        try:
            found = parser(text)
        except ValueError:
            continue
        assert isinstance(found, float | int | Window | date)


def test_the_network_sections() -> None:
    config = load_text(
        """\
upstream:
  url: https://a.example:8443/base
  prefixes: {/s/: "https://s.example", /s/long/: "https://l.example"}
  timeouts: {connect: 500ms}
  cookies: all
  origin: https://own.example:8443
  rewrite: [{path: "regex:^/a/(.*)", to: '/b/\\1'}, {path: /c/, to: http://d.example/e}]
  tls: {cert: a.pem, key: b.pem}
listen: {unix: /run/f.sock, tls: {cert: c.pem, key: d.pem}}
client_ip: {trusted_proxies: [192.0.2.1, "2001:db8::/32"], header: CF-Connecting-IP}
routes: {page: [/p], direct: {event: null}, server_api: false}
socket: tunnel
cors: {origins: ["*.example.com", null, "file://", capacitor://localhost]}
mode: bypass
""",
        "f.yaml",
        {},
        Path(),
    )

    assert config.upstream.url == "https://a.example:8443/base"
    assert config.upstream.prefixes == (("/s/long/", "https://l.example"), ("/s/", "https://s.example"))
    assert config.upstream.timeouts == schema.UpstreamTimeouts(connect=0.5)
    assert config.upstream.cookies is None
    assert config.upstream.origin == "https://own.example:8443"
    assert config.upstream.rewrite == (
        schema.RewriteConfig(path="regex:^/a/(.*)", to=r"/b/\1"),
        schema.RewriteConfig(path="/c/", to="http://d.example/e"),
    )
    assert config.upstream.tls == schema.UpstreamTls(cert="a.pem", key="b.pem")
    assert config.listen.unix == "/run/f.sock"
    assert config.listen.tls == schema.ServerTls(cert="c.pem", key="d.pem")
    assert config.client_ip.trusted_proxies == (ip_network("192.0.2.1"), ip_network("2001:db8::/32"))
    assert config.client_ip.header == "cf-connecting-ip"
    assert config.routes == schema.RoutesConfig(page=("/p",), direct_event=None, server_api=False)
    assert config.socket is schema.SocketMode.TUNNEL
    assert [entry.text for entry in config.cors.origins or ()] == [
        "*.example.com",
        "null",
        "file://",
        "capacitor://localhost",
    ]
    assert (config.mode, config.core.mode) == (schema.TopMode.BYPASS, Mode.OFF)


def test_the_state_audit_and_log_sections() -> None:
    config = loaded("""\
state: {persist: null, on_error: block, backend: redis, redis: {url: "unix:///run/redis.sock", prefix: "", timeout: 1s}}
audit: {to: /var/log/a.log, share: {page: 5%}, client_ip: hashed, key: k, rejections: 0}
log: {level: debug, format: json}
""")

    assert config.state == schema.StateConfig(
        backend=schema.StateBackend.REDIS,
        persist=None,
        redis=schema.RedisConfig(url="unix:///run/redis.sock", prefix="", timeout=1.0),
    )
    assert config.core.state_on_error == "block"
    assert config.core.places["state_on_error"] == "f.yaml:2:34"
    assert config.audit == schema.AuditConfig(
        to="/var/log/a.log",
        share_page=0.05,
        client_ip=schema.AddressPrivacy.HASHED,
        client_ip_key="k",
        rejections=0,
    )
    assert config.log == schema.LogConfig(level="debug", format="json")


def test_the_filters() -> None:
    filters = loaded("""\
filters:
  script: {min_compiled: 2023-08-03, require: true}
  url: {schemes: [HTTPS, capacitor], max_length: 10}
  domain: {otherwise: block}
  geo: {source: {database: g.mmdb, region: null}}
  blocked_user: {reason_code: 12}
  ramping: {schedule: [{from: 2026-01-01, share: 10%}, {from: 2026-02-01, share: 100%}], salt: s}
  quota: {sessions: 0, cycle: yearly, anchor_day: 02-29, timezone: Europe/Berlin, spill_over: 150%}
""").core.default.filters

    assert (filters.script.min_compiled, filters.script.require) == (1_691_020_800, True)
    assert (filters.url.schemes, filters.url.max_length) == (("https", "capacitor"), 10)
    assert filters.domain.otherwise_capture is False
    assert (filters.geo.source.header, filters.geo.source.database, filters.geo.source.region) == (None, "g.mmdb", None)
    assert filters.blocked_user.reason_code is ReasonCode.USER_ACTIVELY_BEING_DELETED
    assert filters.ramping.schedule == (RampingStep(date(2026, 1, 1), 0.1), RampingStep(date(2026, 2, 1), 1.0))
    quota = filters.quota
    assert (quota.sessions, quota.cycle, quota.anchor_month, quota.anchor_day) == (0, Cycle.YEARLY, 2, 29)
    assert (quota.timezone, quota.spill_over) == ("Europe/Berlin", 1.5)


def test_the_client_api() -> None:
    client_api = loaded("""\
client_api:
  max_payload: 1KB
  max_calls: 7
  event_name: {max_length: 1}
  property_name: {max_length: 2, allow_hyphen: true}
  property_value: {max_size: 3KB}
  cardinality: {mode: shadow, event_names: 0, retention: 24h}
  rate: {mode: off, event: []}
  blocked_uids: [N/A, STRASSE, Straße]
  on_uninspectable: block
""").core.default.client_api

    assert (client_api.max_payload, client_api.event_name_length, client_api.property_name_length) == (1024, 1, 2)
    assert (client_api.allow_hyphen, client_api.value_size, client_api.max_calls) == (True, 3072, 7)
    assert (client_api.cardinality.mode, client_api.cardinality.event_names) == (Mode.SHADOW, 0)
    assert client_api.cardinality.retention == 86_400.0
    assert (client_api.rate.mode, client_api.rate.event) == (Mode.OFF, ())
    assert client_api.blocked_uids == {"n/a", "strasse"}
    assert client_api.on_uninspectable == "block"
