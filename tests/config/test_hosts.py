"""Where to listen: a host or several, and ports that collide."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config

UPSTREAM = "upstream: {url: http://a}\n"


def loaded(text: str, environ: dict[str, str] | None = None) -> Config:
    return load_text(UPSTREAM + text, "f.yaml", environ or {}, Path())


def faults(text: str) -> list[tuple[str, int]]:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return [(problem.key_path, problem.line) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "hosts"),
    [
        ("0.0.0.0", ("0.0.0.0",)),
        ("'::'", ("::",)),
        ("'[::]'", ("::",)),
        ("'[::1]'", ("::1",)),
        ("'2001:DB8:0::1'", ("2001:db8::1",)),
        ("'fe80::1%eth0'", ("fe80::1%eth0",)),
        ("LocalHost", ("localhost",)),
        ("proxy_1.internal", ("proxy_1.internal",)),
        ("[127.0.0.1, '::1', 127.0.0.1]", ("127.0.0.1", "::1")),
        ("'${HOST}'", ("10.0.0.1",)),
    ],
)
@pytest.mark.parametrize("section", ["listen", "admin"])
def test_a_host_is_one_or_a_list_with_or_without_brackets(section: str, written: str, hosts: tuple[str, ...]) -> None:
    found = loaded(f"{section}: {{host: {written}}}", {"HOST": "10.0.0.1"})

    assert getattr(found, section).host == hosts


@pytest.mark.parametrize(
    "written",
    [
        *["''", "null", "~", "[]", "[[]]", "{a: b}", "'*'", "a b", "127.0.0.1:80", "'[::1]:80'", "'[127.0.0.1'"],
        *["http://a", "300.1.1.1", "127.1", "1", "'[localhost]'", "a/b", "[127.0.0.1, '']", "'::g'", "-a", "a."],
    ],
)
@pytest.mark.parametrize("section", ["listen", "admin"])
def test_what_no_socket_can_be_bound_to_is_a_fault_of_the_file(section: str, written: str) -> None:
    [(path, line)] = faults(f"{section}: {{host: {written}}}")

    assert path.startswith(f"{section}.host")
    assert line == 2


@pytest.mark.parametrize(
    "text",
    [
        "admin: {port: 8080}",
        "listen: {port: 8081, host: 127.0.0.1}",
        "listen: {port: 9000, host: '::'}\nadmin: {port: 9000}",
        "listen: {port: 9000, host: localhost}\nadmin: {port: 9000, host: '::'}",
        "listen: {port: 9000, host: ['10.0.0.1', '::1']}\nadmin: {port: 9000, host: ['127.0.0.1', '[::1]']}",
        "listen: {port: 9000, host: a.internal}\nadmin: {port: 9000, host: 0.0.0.0}",
    ],
)
def test_one_port_for_recorders_and_operators_is_a_fault(text: str) -> None:
    [(path, line)] = faults(text)

    assert path in {"listen.port", "admin.port"}
    assert line == 2


@pytest.mark.parametrize(
    "text",
    [
        "listen: {port: 0}\nadmin: {port: 0}",
        "listen: {port: 9000, host: 10.0.0.1}\nadmin: {port: 9000}",
        "listen: {port: 9000, host: '::1'}\nadmin: {port: 9000, host: 0.0.0.0}",
        "listen: {unix: /a.sock}\nadmin: {port: 8080}",
    ],
)
def test_ports_that_do_not_collide_are_fine(text: str) -> None:
    assert loaded(text)


def test_a_list_of_hosts_beside_a_unix_socket_is_a_fault_too() -> None:
    assert faults("listen: {unix: /a.sock, host: [127.0.0.1]}") == [("listen.host", 2)]
