"""An upstream that is this proxy itself is a fault of the configuration, however its host is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError

DATA = {"host": "0.0.0.0", "port": 8080}


def faults(url: str, **more: Any) -> list[str]:
    """The key paths of the faults."""
    try:
        load_text(json.dumps({"upstream": {"url": url}, **more}), "f.yaml", {}, Path())
    except ConfigError as error:
        return [problem.key_path for problem in error.problems if "is this proxy itself" in str(problem)]
    return []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
    ],
)
@pytest.mark.parametrize("listen", ["0.0.0.0", "::"])
def test_a_name_of_this_machine_is_refused_where_all_addresses_are_served(host: str, listen: str) -> None:
    assert faults(f"http://{host}:8080", listen={"host": listen, "port": 8080}) == ["upstream.url"]
    assert not faults(f"http://{host}:8088", listen={"host": listen, "port": 8080})


@pytest.mark.parametrize(
    ("url", "listen"),
    [
        ("http://[::1]:8080", {"host": "::", "port": 8080}),
        ("http://[::1]:8080", {"host": "::1", "port": 8080}),
        ("http://[::]:8080", {"host": "::1", "port": 8080}),
        ("http://localhost:8080", {"host": "::1", "port": 8080}),
        ("http://127.0.0.1:8080", {"host": "localhost", "port": 8080}),
        ("http://127.0.0.1:8080", {"host": "127.0.0.1", "port": 8080}),
        ("http://0.0.0.0:8080", {"host": "127.0.0.1", "port": 8080}),
        ("http://127.0.0.1:8080", {"host": "[::]", "port": 8080}),
        ("http://[::1]:8080", {"host": ["192.0.2.9", "::1"], "port": 8080}),
        ("http://proxy.internal:8080/base", {"host": "Proxy.Internal", "port": 8080}),
        ("http://192.0.2.7:8080", {"host": "192.0.2.7", "port": 8080}),
        ("http://127.0.0.1", {"host": "127.0.0.1", "port": 80}),
        ("https://127.0.0.1", {"host": "127.0.0.1", "port": 443}),
    ],
)
def test_the_address_that_is_listened_on_is_refused(url: str, listen: dict[str, Any]) -> None:
    assert faults(url, listen=listen) == ["upstream.url"]


@pytest.mark.parametrize(
    ("url", "listen"),
    [
        ("http://127.0.0.2:8080", {"host": "127.0.0.1", "port": 8080}),
        ("http://[::1]:8080", {"host": "0.0.0.0", "port": 8080}),
        ("http://[::1]:8080", {"host": "127.0.0.1", "port": 8080}),
        ("http://192.0.2.7:8080", {"host": "0.0.0.0", "port": 8080}),
        ("http://backend.internal:8080", {"host": "0.0.0.0", "port": 8080}),
        ("http://127.0.0.1:8080", {"host": "0.0.0.0", "port": 0}),
        ("http://127.0.0.1:8080", {"host": ["192.0.2.9", "::1"], "port": 8080}),
        ("http://127.0.0.1:8080", {"unix": "/run/fsproxy.sock"}),
        ("https://127.0.0.1", {"host": "127.0.0.1", "port": 80}),
    ],
)
def test_another_address_or_port_is_none_of_ours(url: str, listen: dict[str, Any]) -> None:
    assert not faults(url, listen=listen)


def test_defaults_count_and_so_does_the_admin_port() -> None:
    assert faults("http://127.0.0.1:8080") == ["upstream.url"]
    assert faults("http://127.0.0.1:8081") == ["upstream.url"]
    assert faults("http://127.0.0.1:8081", listen={"unix": "/run/fsproxy.sock"}) == ["upstream.url"]
    assert faults("http://127.0.0.1:9001", admin={"port": 9001}) == ["upstream.url"]
    assert not faults("http://127.0.0.1:8081", admin={"port": 9001})


def test_every_upstream_is_looked_at_and_each_that_is_wrong_is_said() -> None:
    upstream = {
        "url": "http://127.0.0.1:8080",
        "prefixes": {"/s/": "http://localhost:8081", "/t/": "http://127.0.0.1:9000"},
    }
    assert faults("", upstream=upstream) == ["upstream.url", "upstream.prefixes./s/"]
    rewrite = [{"path": "/a/", "to": "http://localhost:8081/b/"}, {"path": "/c/", "to": "http://localhost:9000"}]
    assert faults("http://127.0.0.1:9000", upstream={"rewrite": rewrite}) == ["upstream.rewrite[0].to"]
