"""Rules of upstream.rewrite that would send recordings past every rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from support.documents import text_of

ROUTES = (
    "routes: {page: [/relay/rec/page], bundle: [/relay/rec/bundle, /relay/rec/bundle/v2], event: [/relay/rec/event], "
    "socket: [/relay/rec/sock], direct: {event: /relay/client/event, identify: null, set_user_vars: null}}"
)


def faults(rewrite: str, more: str = "") -> list[str]:
    try:
        load_text(f"upstream: {{url: http://a, rewrite: {rewrite}}}\n{more}", "f.yaml", {}, Path())
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "rule",
    [
        "{path: /relay/, to: /}",
        "{path: 'regex:^/relay/(.*)', to: '/\\1'}",
        "{path: 'regex:^/relay', to: ''}",
        "{path: /relay, to: https://b}",
    ],
)
def test_a_path_that_becomes_a_capture_route_must_be_one(rule: str) -> None:
    (fault,) = faults(f"[{rule}]")
    assert (
        "sends /relay/rec/page up as /rec/page, but no rule would look at it; allowed: /relay/rec/page in routes.page, "
        in fault
    )
    assert "/relay/client/event in routes.direct.event" in fault
    assert fault.startswith("f.yaml:1:")

    assert faults(f"[{rule}]", ROUTES) == []


def test_only_what_is_missing_is_named() -> None:
    (fault,) = faults("[{path: /relay/, to: /}]", ROUTES.replace("/relay/rec/event", "/rec/event"))
    assert fault.endswith(
        "sends /relay/rec/event up as /rec/event, but no rule would look at it; allowed: /relay/rec/event in routes.event"
    )


@pytest.mark.parametrize(
    "rules",
    [
        "[{path: /s/, to: /static/}]",
        "[{path: 'regex:^/v[0-9]/s/', to: https://static.example/}]",
        "[{path: 'regex:.*', to: '/\\0'}]",
        "[{path: /relay/rec/, to: /not/}, {path: /relay/client/, to: /not/}, {path: /relay/, to: /}]",
        "[{path: 'regex:^/rec/(page)$', to: '/own/\\1'}]",
    ],
)
def test_other_rules_are_fine(rules: str) -> None:
    assert faults(rules) == []


def test_the_example_of_the_reference_is_fine() -> None:
    text = text_of("reference/forwarding.md").partition("```yaml\nupstream:")[2].partition("```")[0]
    assert len(load_text(f"upstream:{text}", "f.yaml", {}, Path()).upstream.rewrite) == 2
