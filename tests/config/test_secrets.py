"""No message ever holds a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.summary import summary
from fsproxy.config.yaml.positions import SECRETS

SECRET = "hunter2"
WRONG = {
    "a token that is a list": "admin: {token: [hunter2]}",
    "a token that is a mapping": "admin: {token: {hunter2: hunter2}}",
    "a token without a blank after its key": "admin: {token:hunter2}",
    "a token in place of its section": "admin: hunter2",
    "a misspelt token": "admin: {tokn: hunter2}",
    "a token given twice": "admin: {token: hunter2, token: hunter2}",
    "a token in a file that is no YAML": "admin: {token: hunter2\nmode: [",
    "a token behind a tab": "admin:\n\ttoken: hunter2",
    "a token with an unknown tag": "admin: {token: !secret hunter2}",
    "an audit key beside a wrong mode": "audit: {key: hunter2, client_ip: hush}",
    "an audit key in place of its section": "audit: hunter2",
    "a Redis address with a wrong scheme": "state: {backend: redis, redis: {url: 'http://:hunter2@a'}}",
    "a Redis address in place of its section": "state: {redis: 'redis://:hunter2@a'}",
    "a state that is an address": "state: redis://:hunter2@a",
    "a Redis password that is a list": "state: {backend: redis, redis: {password: [hunter2]}}",
    "a Redis password beside another fault": "state: {backend: redis, redis: {password: hunter2, database: x}}",
    "a Redis password given twice": "state: {backend: redis, redis: {password: hunter2, url: 'redis://:hunter2@a'}}",
    "a Redis password that an address cannot hold": "state: {backend: redis, redis: {url: 'redis://:hun/hunter2#@a'}}",
    "a Sentinel's password beside another fault": "state: {backend: redis, redis: {sentinel: {password: hunter2, nodes: a}}}",
    "a Sentinel's password in place of its section": "state: {backend: redis, redis: {sentinel: hunter2}}",
    "a password in a node": "state: {backend: redis, redis: {cluster: true, nodes: ['u:hunter2@a:1']}}",
    "an upstream with a password": "upstream: {url: 'http://u:hunter2@a'}",
    "a prefix with a password": "upstream: {url: http://a, prefixes: {/s: 'ftp://u:hunter2@a'}}",
    "a wrong port from the environment": "listen: {port: '${SECRET}'}",
    "a wrong entry from the environment": "filters: {ip: {block: ['${SECRET}']}}",
    "a missing list from the environment": "filters: {ip: {block: ['file:${SECRET}']}}",
    "a wrong default": "listen: {port: '${NONE:-hunter2}'}",
    "a malformed reference": "listen: {port: '${SECRET:?hunter2}'}",
    "a whole file that is one text": "hunter2",
    "an expression from the environment": "filters: {user_agent: {block: ['regex:${SECRET}(']}}",
    "a token without a blank after its key, in a block": "admin:\n  token:hunter2\n  port: 1",
    "a token beside another fault": "admin: {token: hunter2, port: x}",
    "a read token beside another fault": "admin: {read_token: hunter2, port: x}",
    "a read token that is wrong": "admin: {read_token: [hunter2]}",
    "a token that is merged": "x-a: &a {token: hunter2, port: x}\nadmin: {<<: *a}",
    "a token that is merged, and another one wins": "x-a: &a {token: hunter2, port: x}\nadmin: {<<: *a, token: y}",
    "a long token for anchors": f"x-a: &a {{b: {'hunter2' * 10_000}}}",
    "a token that an alias repeats": "mode: x\nplans: &s hunter2\nadmin: {token: *s, port: x}",
    "a token below a key that is not known": "admin: {tokens: {first: hunter2}, port: x}",
    "a token over two lines": "admin: {token: hunter2\n  hunter2, mode: x}",
    "an upstream with a password and no blank": "upstream: {url:http://u:hunter2@a}",
    "a token before a fault of the YAML": "admin: {token: hunter2} x: y",
    "a token behind a fault of the YAML": "mode: a: token: hunter2",
    "a token with two colons": "admin: {token:: hunter2, port: x}",
    "a token without its colon": 'admin: {token "hunter2", port: x}',
    "a comment": "nope: 1 # hunter2",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_a_refusal_does_not_show(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f.yaml", {"SECRET": SECRET}, Path())

    assert SECRET not in "".join(problem.excerpt for problem in caught.value.problems)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


def test_neither_the_configuration_nor_its_summary_shows_a_secret() -> None:
    text = "upstream: {url: http://a}\nadmin: {token: hunter2}\naudit: {client_ip: hashed, key: hunter2}\n"
    text += "state: {backend: redis, redis: {url: 'redis://:hunter2@a'}}"
    loaded = load_text(text, "f.yaml", {}, Path())

    assert loaded.admin.token == loaded.audit.client_ip_key == SECRET
    assert SECRET not in repr(loaded)
    assert SECRET not in summary(loaded)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"upstream: {{url: {'x' * 500}}}", "f.yaml", {}, Path())

    assert caught.value.problems[0].value == f'"{"x" * 77}..."'


SECRET_KEYS = {
    "admin.token": ("admin: {{token: {}}}", lambda config: config.admin.token),
    "admin.read_token": ("admin: {{read_token: {}}}", lambda config: config.admin.read_token),
    "audit.key": ("audit: {{client_ip: hashed, key: {}}}", lambda config: config.audit.client_ip_key),
    "state.redis.url": ("state: {{backend: redis, redis: {{url: {}}}}}", lambda config: config.state.redis.url),
    "state.redis.password": (
        "state: {{backend: redis, redis: {{password: {}}}}}",
        lambda config: config.state.redis.password,
    ),
    "state.redis.sentinel.password": (
        "state: {{backend: redis, redis: {{sentinel: {{master: m, nodes: a:1, password: {}}}}}}}",
        lambda config: config.state.redis.sentinel.password,
    ),
}
URL = "redis://:{}@store"


def secret_of(key: str, held: str, written: str | None = None) -> str | None:
    """What the configuration takes for the secret, when the variable ``S`` holds ``held``."""
    text, read = SECRET_KEYS[key]
    if written is None:
        written = '"${S}"' if key != "state.redis.url" else f'"{URL.format("${S}")}"'
    found = read(load_text("upstream: {url: http://a}\n" + text.format(written), "f.yaml", {"S": held}, Path()))
    assert found is None or isinstance(found, str)
    return found


def expected(key: str, secret: str) -> str:
    return URL.format(secret) if key == "state.redis.url" else secret


def test_every_key_that_is_never_shown_is_looked_at_here() -> None:
    assert set(SECRET_KEYS) == set(SECRETS)


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("held", ["s3cret\n", "\r\n s3cret\t", " s3cret"])
def test_blanks_around_a_secret_do_not_count(key: str, held: str) -> None:
    assert secret_of(key, held) == expected(key, "s3cret")


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("held", ["12345", "null", "~", "true", "0x10", "1e3", "[a]", "${A}"])
def test_a_secret_from_the_environment_is_a_text_whatever_it_looks_like(key: str, held: str) -> None:
    assert secret_of(key, held) == expected(key, held)


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("held", ["", "\n", " \t\r\n"])
def test_a_secret_that_is_set_but_empty_is_refused_with_its_key_and_its_variable(key: str, held: str) -> None:
    with pytest.raises(ConfigError) as caught:
        secret_of(key, held)

    [problem] = caught.value.problems
    assert (problem.key_path, problem.value) == (key, "***")
    assert "S, which is set in the environment but empty" in problem.fault
    assert problem.line == 2


def test_a_default_of_a_secret_is_read_as_the_file_writes_it() -> None:
    assert secret_of("admin.token", "x", '"${NONE:-null}"') is None
    assert secret_of("admin.token", "", '"${S:-null}"') is None
    assert secret_of("admin.token", "null", '"${S:-none}"') == "null"
    with pytest.raises(ConfigError, match=r"admin\.token: \*\*\* is not a secret"):
        secret_of("admin.token", "x", '"${NONE:- }"')


@pytest.mark.parametrize("key", ["admin.token", "audit.key"])
@pytest.mark.parametrize("held", ["two\nlines", "a\x00b", "a\udcffb", "a\x7fb"])
def test_what_no_header_can_carry_is_no_secret_and_not_shown(key: str, held: str) -> None:
    with pytest.raises(ConfigError) as caught:
        secret_of(key, held)

    assert [(p.key_path, p.value) for p in caught.value.problems] == [(key, "***")]


def test_a_secret_that_an_alias_brings_is_a_text_too() -> None:
    text = "upstream: {url: http://a}\nlog: {level: &s '${S}'}\nadmin: {token: *s}"
    loaded = load_text(text, "f.yaml", {"S": "info"}, Path())

    assert loaded.admin.token == "info"
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f.yaml", {"S": ""}, Path())
    assert "admin.token" in [problem.key_path for problem in caught.value.problems]


def test_blanks_around_a_secret_in_the_file_do_not_count_either() -> None:
    text = "upstream: {url: http://a}\nadmin:\n  token: |\n    s3cret\n"

    assert load_text(text, "f.yaml", {}, Path()).admin.token == "s3cret"
