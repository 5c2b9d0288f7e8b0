"""Configurations of the vendor's relay, as its documentation shows them, become ours and run."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.cli import main
from fsproxy.config.loader import load_text
from fsproxy.config.schema import Config, RewriteConfig, TopMode
from fsproxy.config.vendor.export import VendorSettingsError
from fsproxy.config.vendor.relay import relay_to_yaml
from fsproxy.config.vendor.relay_file import OF_AN_EMPTY_FILE
from support.in_process import in_process
from support.raw_http import raw_client
from support.upstream import RecordingUpstream, status

TARGET = "relay: {port: 8990, target: 'https://target.example:12346'}\n"


def converted(text: str, **environ: str) -> tuple[Config, list[str], list[str]]:
    """The configuration, what was not carried over, and what differs."""
    made, left = relay_to_yaml(text, "relay.yaml", environ)
    comments = [line[2:] for line in made.splitlines() if line.startswith("#")]
    lost = [line.removeprefix("not carried over: ") for line in comments if line.startswith("not carried over: ")]
    assert left == len(lost)
    differs = [line.removeprefix("differs: ") for line in comments if line.startswith("differs: ")]
    return load_text(made, "made.yaml", {}, Path()), lost, differs


def rules(config: Config) -> list[tuple[str, str]]:
    return [(each.path, each.to) for each in config.upstream.rewrite]


def redactions(config: Config) -> list[tuple[str, str, set[str]]]:
    return [(each.action, each.pattern, {place.value for place in each.places_in}) for each in config.core.redact.rules]


def test_the_smallest_file_of_the_relay() -> None:
    config, lost, _ = converted(TARGET)
    assert (config.upstream.url, config.listen.port, config.mode) == (
        "https://target.example:12346",
        8990,
        TopMode.SHADOW,
    )
    assert config.upstream.cookies == frozenset()
    assert config.core.default.client_api.rate.event[0].limit == 40
    assert (config.upstream.origin, config.upstream.rewrite, lost) == (None, (), [])


def test_a_file_with_everything() -> None:
    config, lost, differs = converted(
        r"""
relay:
  port: ${RELAY_PORT:9001}
  target: ${TRAFFIC_RELAY_TARGET}
  max-body-size: 4194304
cookies:
  allowlist: [safe_cookie, 'no cookie']
  TRAFFIC_RELAY_COOKIES: ${TRAFFIC_RELAY_COOKIES}
headers: {override-origin: shop.example}
block-content:
  body:
    - mask: '[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}'
    - exclude: '\$[0-9]+(\.[0-9][0-9])?'
    - mask: '(?!x)'
    - mask: 'x*'
  header:
    - exclude: 'SECRET'
paths:
  routes:
    - {path: '^/bar/', target-url: 'https://bar.example/api/'}
    - {path: '(', target-path: /x}
    - {path: '^/a', target-path: '/b?c=d'}
    - {path: '^/(a)', target-url: 'https://$1.example/'}
extra: {a: 1}
""",
        TRAFFIC_RELAY_TARGET="https://target.example/path",
        TRAFFIC_RELAY_COOKIES="TOKEN_ID other",
    )

    assert (config.listen.port, config.upstream.url) == (9001, "https://target.example")
    assert config.upstream.cookies == {"safe_cookie", "TOKEN_ID", "other"}
    assert config.upstream.origin == "https://shop.example"
    assert rules(config) == [("regex:^/bar/", "https://bar.example/api/")]
    assert redactions(config) == [
        ("exclude", r"regex:\$[0-9]+(\.[0-9][0-9])?", {"properties", "urls"}),
        ("mask", r"regex:\$[0-9]+(\.[0-9][0-9])?", {"strings"}),
        ("exclude", "regex:SECRET", {"headers"}),
        ("mask", r"regex:[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", {"properties", "urls", "strings"}),
    ]
    places = [each.partition(" ")[0] for each in lost]
    assert sorted(places) == sorted(f"relay.yaml:{line}:" for line in (5, 7, 14, 15, 21, 22, 23, 24))
    assert any("only scheme and host count" in each for each in differs)
    assert any("offsets stay true" in each for each in differs)


@pytest.mark.parametrize(
    ("path", "target", "made"),
    [
        ("^/([^/]*)/foo/([^/]*)/", "/$1/xyz/$2/abc/", r"/\1/xyz/\2/abc/"),
        ("^/(test)/", "/wow-${1}/", r"/wow-\1/"),
        ("^/(?P<name>test)/", "/${name}/$name/$name_/$$/", r"/\1/\1//$/"),
        ("^/(a)", "/$1x/$2/$0/", r"///\0/"),
        (r"^/a\.b", r"/c\d", r"/c\\d"),
        ("foo", "xyz", "xyz"),
    ],
)
def test_replacements_refer_to_groups_in_gos_way(path: str, target: str, made: str) -> None:
    text = yaml.safe_dump({"routes": [{"path": path, "target-path": target.replace("${", r"\${")}]})
    config, lost, _ = converted(f"{TARGET}paths: {json.dumps(yaml.safe_load(text))}".replace("\\\\$", "\\$"))
    assert (config.upstream.rewrite, lost) == ((RewriteConfig(path=f"regex:{path}", to=made),), [])


def test_variables_are_put_in_as_the_relay_does() -> None:
    text = r"""
relay: {target: "$(T:https://d.example)", port: "${P:1}${Q}"}
cookies: $(C)
headers: {override-origin: "${O:own.example}"}
paths: {routes: [{path: '^/a', target-path: '/\${1}/$1'}]}
"""
    config, lost, _ = converted(text, C="{allowlist: [a, b]}", P="9", Q="", O="")
    assert (config.upstream.url, config.listen.port) == ("https://d.example", 9)
    assert (config.upstream.cookies, config.upstream.origin) == ({"a", "b"}, "https://own.example")
    assert (rules(config), lost) == ([("regex:^/a", "//")], [])


VARIABLES = {
    "TRAFFIC_RELAY_TARGET": "https://target.example",
    "TRAFFIC_RELAY_COOKIES": "safe_cookie TOKEN_ID",
    "TRAFFIC_RELAY_SPECIALS": r"^/example/(.*\.js) https://example.com/static-js/${1} ^/b/ https://b.example/",
    "TRAFFIC_PATHS_MATCH": "^/(test)/",
    "TRAFFIC_PATHS_REPLACEMENT": "/wow-${1}/",
    "TRAFFIC_EXCLUDE_BODY_CONTENT": "[0-9]{3}: x",
    "TRAFFIC_MASK_BODY_CONTENT": "(?i)foo",
    "TRAFFIC_EXCLUDE_HEADER_CONTENT": "'quoted'",
    "TRAFFIC_MASK_HEADER_CONTENT": '"quoted"',
    "TRAFFIC_RELAY_ORIGIN_OVERRIDE": "own.example",
    "RELAY_PORT": "8181",
}


@pytest.mark.parametrize("text", ["", "# nothing\n\n", OF_AN_EMPTY_FILE])
def test_variables_alone_are_a_configuration(text: str) -> None:
    config, lost, _ = converted(text, **VARIABLES)
    assert (config.listen.port, config.upstream.url, config.upstream.origin) == (
        8181,
        "https://target.example",
        "https://own.example",
    )
    assert rules(config) == [
        ("regex:^/(test)/", r"/wow-\1/"),
        (r"regex:^/example/(.*\.js)", r"https://example.com/static-js/\1"),
        ("regex:^/b/", "https://b.example/"),
    ]
    assert [each[:2] for each in redactions(config)] == [
        ("exclude", "regex:[0-9]{3}: x"),
        ("mask", "regex:[0-9]{3}: x"),
        ("exclude", "regex:'quoted'"),
        ("mask", "regex:(?i)foo"),
        ("mask", 'regex:"quoted"'),
    ]
    assert lost == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "relay.target is missing"),
        ("relay: {port: 1}", "relay.yaml: relay.target is missing: set TRAFFIC_RELAY_TARGET"),
        ("relay: {target: 'ftp://a'}", "relay.yaml:1: relay.target is not http or https and a host"),
        ("relay: {target: 'https://u:hunter2@a'}", "relay.target is not http or https and a host"),
        ("- a\n", "relay.yaml: is not a mapping of sections"),
        ("relay: {\n", "relay.yaml:2: is not YAML: the bracket"),
        ("relay: {port: 1, port: 2}", "relay.yaml:1: relay.port: is there twice"),
        ("a: ${TWO_LINES}", "TWO_LINES: has a line break"),
    ],
)
def test_what_is_no_configuration_of_a_relay_is_refused(text: str, fault: str) -> None:
    with pytest.raises(VendorSettingsError) as caught:
        relay_to_yaml(text, "relay.yaml", {"TWO_LINES": "a\nb"})
    assert fault in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        "relay2: 1",
        "cookies: {allowlist: a}",
        "cookies: {allowlist: [[a]]}",
        "paths: {routes: [7]}",
        "paths: {routes: [{path: a}]}",
        "paths: {routes: [{path: a, target-path: b, target-url: http://c}]}",
        "paths: {routes: {a: b}}",
        "paths: {TRAFFIC_RELAY_SPECIALS: 'a http://b c'}",
        "block-content: {body: [{}]}",
        "block-content: {body: [{mask: a, exclude: b}]}",
        "block-content: {header: [a]}",
        "headers: {override-origin: 'https://a'}",
        "headers: {other: a}",
    ],
)
def test_what_is_not_understood_is_said(more: str) -> None:
    _, lost, _ = converted(TARGET + more)
    assert len(lost) == 1
    assert lost[0].startswith("relay.yaml:2: ")
    assert "?" not in lost[0]


@settings(max_examples=25, deadline=None)
@given(
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20),
    st.text(st.sampled_from(r"/ab$1{}()\*.^: #"), max_size=12),
)
def test_whatever_the_texts_are_what_comes_out_loads(pattern: str, target: str) -> None:
    document = {
        "relay": {"target": "https://a.example", "port": pattern},
        "cookies": {"allowlist": [pattern, target]},
        "headers": {"override-origin": pattern},
        "block-content": {"body": [{"mask": pattern}, {"exclude": target}], "header": [{"exclude": pattern}]},
        "paths": {"routes": [{"path": target, "target-path": pattern}, {"path": pattern, "target-path": target}]},
    }
    text = json.dumps(document, ensure_ascii=False)
    with suppress(VendorSettingsError):  # a reference in it makes other YAML of it
        converted(text)


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["import-settings", *arguments], env=environ)


def test_the_command_reads_a_file_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("relay: {target: '${TRAFFIC_RELAY_TARGET}', max-body-size: 7}")
    found = run("--relay", str(file), TRAFFIC_RELAY_TARGET="https://a.example")
    assert (found.exit_code, found.stderr) == (
        0,
        "1 setting was not carried over; the comments in the output say why\n",
    )
    assert load_text(found.stdout, "made", {}, Path()).upstream.url == "https://a.example"

    assert run("--relay", str(file)).exit_code == 1
    assert run("--relay", str(file), str(file)).exit_code == 2
    assert run("--relay", str(file), "--org", "o-1").exit_code == 2
    assert run().exit_code == 2


# -- and run


def anything() -> RecordingUpstream:
    return RecordingUpstream(answer=status(200), allow_unexpected=True)


@pytest.mark.parametrize(
    ("paths", "target", "there", "elsewhere"),
    [
        ("routes: [{path: '^/foo/', target-path: '/xyz/'}]", "/foo/bar?x=y", "/xyz/bar?x=y", None),
        ("routes: [{path: '^/foo/', target-path: '/xyz/'}]", "/abc/bar", "/abc/bar", None),
        ("routes: [{path: 'foo', target-path: 'xyz'}]", "/foo/a?foo=1", "/xyz/a?foo=1", None),
        (
            "routes: [{path: '^/foobar/', target-path: /xyzbar/}, {path: '^/foo', target-path: /xyz/}]",
            "/football/a",
            "/xyz/tball/a",
            None,
        ),
        ("routes: [{path: '^/foo/', target-url: 'OTHER/xyz/'}]", "/foo/bar", None, "/xyz/bar"),
        ("routes: [{path: '/?foo', target-url: 'OTHER/xyz'}]", "/foo/b?foo=1", None, "/xyz/b?foo=1"),
        ("TRAFFIC_RELAY_SPECIALS: '^/a/ OTHER/x/ ^/b/ OTHER/y/'", "/b/c", None, "/y/c"),
        (
            "{TRAFFIC_PATHS_MATCH: '^/foo/', TRAFFIC_PATHS_REPLACEMENT: /xyz/, TRAFFIC_RELAY_SPECIALS: '^/a/ OTHER/x/'}",
            "/foo/a/",
            "/xyz/a/",
            None,
        ),
    ],
)
async def test_paths_go_where_the_relay_sends_them(
    paths: str, target: str, there: str | None, elsewhere: str | None
) -> None:
    async with anything() as main_target, anything() as other:
        paths = paths.replace("OTHER", other.url)
        paths = paths if paths.startswith("{") else "{" + paths + "}"
        text, left = relay_to_yaml(f"relay: {{target: '{main_target.url}'}}\npaths: {paths}", "relay.yaml", {})
        assert left == 0
        async with in_process(yaml.safe_load(text)) as proxy, raw_client(proxy.port) as client:
            assert (await client.ask(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())).status == 200
        assert [one.target for one in main_target.received] == [each for each in (there,) if each]
        assert [one.target for one in other.received] == [each for each in (elsewhere,) if each]


async def test_content_is_blocked_cookies_are_kept_and_the_origin_is_replaced() -> None:
    relay = {
        "relay": {"target": ""},
        "cookies": {"allowlist": ["safe_cookie"]},
        "headers": {"override-origin": "own.example"},
        "block-content": {
            "body": [{"mask": r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"}, {"exclude": "(?i)deleted"}],
            "header": [{"exclude": "SECRET"}, {"mask": "MASKED"}],
        },
    }
    async with anything() as upstream:
        relay["relay"]["target"] = upstream.url
        text, left = relay_to_yaml(json.dumps(relay), "relay.yaml", {})
        assert left == 0
        async with in_process(yaml.safe_load(text)) as proxy, aiohttp.ClientSession() as session:
            body = {"OrgId": "o-1", "Url": "https://a.example/?ip=215.1.0.33&x=Deleted", "Referrer": "", "PageId": "p"}
            headers = {"Origin": "https://a.example", "X-Own": "a SECRET, MASKED", "Cookie": "safe_cookie=1; fs_uid=2"}
            async with session.post(f"{proxy.url}/rec/page", json=body, headers=headers) as answer:
                assert answer.status == 200
        page = upstream.only()
        sent: dict[str, Any] = json.loads(page.body)
        assert sent == {**body, "Url": "https://a.example/?ip=**********&x="}
        assert (page.value("Origin"), page.value("Cookie")) == ("http://own.example", "safe_cookie=1")
        assert page.value("X-Own") == "a , ******"
