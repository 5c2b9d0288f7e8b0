"""No message ever holds a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.summary import summary

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
    "a Redis address with a wrong scheme": "state: {redis: {url: 'http://:hunter2@a'}}",
    "a Redis address in place of its section": "state: {redis: 'redis://:hunter2@a'}",
    "a state that is an address": "state: redis://:hunter2@a",
    "an upstream with a password": "upstream: {url: 'http://u:hunter2@a'}",
    "a prefix with a password": "upstream: {url: http://a, prefixes: {/s: 'ftp://u:hunter2@a'}}",
    "a wrong port from the environment": "listen: {port: '${SECRET}'}",
    "a wrong entry from the environment": "filters: {ip: {block: ['${SECRET}']}}",
    "a missing list from the environment": "filters: {ip: {block: ['file:${SECRET}']}}",
    "a wrong default": "listen: {port: '${NONE:-hunter2}'}",
    "a malformed reference": "listen: {port: '${SECRET:?hunter2}'}",
    "a whole file that is one text": "hunter2",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_a_refusal_does_not_show(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f.yaml", {"SECRET": SECRET}, Path())

    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


def test_neither_the_configuration_nor_its_summary_shows_a_secret() -> None:
    text = "upstream: {url: http://a}\nadmin: {token: hunter2}\naudit: {client_ip: hashed, key: hunter2}\n"
    text += "state: {redis: {url: 'redis://:hunter2@a'}}"
    loaded = load_text(text, "f.yaml", {}, Path())

    assert loaded.admin.token == loaded.audit.client_ip_key == SECRET
    assert SECRET not in repr(loaded)
    assert SECRET not in summary(loaded)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"upstream: {{url: {'x' * 500}}}", "f.yaml", {}, Path())

    assert caught.value.problems[0].value == f'"{"x" * 77}..."'
