"""``explain``: the decision and each filter's answer, by the functions that decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.core.reasons import ReasonCode

CONFIG = """\
upstream: {url: http://127.0.0.1:9000}
orgs:
  unlisted: block
  listed:
    o-1: {}
    o-off:
      enabled: false
    o-web: {mobile: false}
    o-full: {filters: {quota: {sessions: 0}}}
    o-ramp: {filters: {ramping: {share: 0%}}}
    o-shadow: {filters: {ip: {mode: shadow}, quota: {sessions: 0, mode: shadow}}}
filters:
  script: {min_compiled: 2023-08-03}
  domain:
    rules:
      - {block: staging.example.com, id: no-staging}
  ip:
    block:
      - 203.0.113.0/24
  user_agent: {block: [YandexBot]}
  geo: {never: [US-CA, AQ]}
  deleting_user: {block: [uid-deleted, user-deleted]}
  blocked_user: {block: [uid-blocked]}
"""
URL = "https://app.example.com/cart"
CASES: dict[str, tuple[int, list[str], str, str]] = {
    # arguments -> code, rule, place in CONFIG
    "unlisted": (1, ["--org", "o-who"], "org:unlisted", "3:13"),
    "disabled": (2, ["--org", "o-off"], "org:disabled", "7:16"),
    "mobile": (2, ["--org", "o-web", "--user-agent", "okhttp/4"], "org:mobile", "8:21"),
    "quota": (3, ["--org", "o-full"], "quota:sessions", "9:42"),
    "domain": (4, ["--url", "https://staging.example.com/"], "no-staging", "16:17"),
    "ip": (5, ["--ip", "203.0.113.9"], "ip:block:203.0.113.0/24", "19:9"),
    "user agent": (6, ["--user-agent", "a YandexBot"], "user_agent:block:YandexBot", "20:24"),
    "country": (7, ["--country", "aq"], "geo:never:AQ", "21:24"),
    "region": (7, ["--country", "US-CA"], "geo:never:US-CA", "21:17"),
    "ramping": (8, ["--org", "o-ramp"], "ramping:share", "10:41"),
    "url": (9, ["--url", "http://["], "url:", ""),
    "opt-out": (10, ["--cookie", "a=b", "--cookie", "fs_optout=1"], "opt_out:cookie:fs_optout=1", ""),
    "deleting, by uid": (12, ["--app-id", "uid-deleted"], "deleting_user:listed", "22:"),
    "deleting, by user id": (12, ["--user-id", "user-deleted"], "deleting_user:listed", "22:"),
    "blocked user": (-1, ["--app-id", "uid-blocked"], "blocked_user:block:d07381af", "23:"),
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "fsproxy.yaml"
    file.write_text(CONFIG)
    return file


def explain(config: Path, *arguments: str) -> Result:
    given: Sequence[str] = arguments
    if "--request" not in arguments:
        defaults = [("--org", "o-1"), ("--url", URL)]
        given = [*arguments, *(word for pair in defaults if pair[0] not in arguments for word in pair)]
    result = CliRunner().invoke(main, ["explain", "--config", str(config), *given])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("name", CASES)
def test_every_code_is_explained_with_its_rule_and_where_it_is(config: Path, name: str) -> None:
    code, arguments, rule, place = CASES[name]
    result = explain(config, *arguments)
    assert result.exit_code == 3
    first = result.stdout.splitlines()[0]
    assert first.startswith(
        f"The session would be blocked with reason_code {code} ({ReasonCode(code).text}) by the rule {rule}"
    )
    assert (f"({config}:{place}" in first) is bool(place)

    machine = explain(config, *arguments, "--json")
    assert machine.exit_code == 3
    document = json.loads(machine.stdout)
    assert (document["decision"], document["reason_code"]) == ("blocked", code)
    assert document["reason"] == ReasonCode(code).text
    assert document["rule"]["id"].startswith(rule)
    hits = [step for step in document["filters"] if step["judgement"] == "hit"]
    assert [step["rule"]["id"] for step in hits] == [document["rule"]["id"]]


def test_an_outdated_script_is_explained_from_a_recorded_request(config: Path, tmp_path: Path) -> None:
    body = {"OrgId": "o-1", "Url": URL, "CompiledTimestamp": 1_661_778_047}
    recorded = tmp_path / "request.json"
    recorded.write_text(json.dumps({"method": "POST", "url": "/rec/page", "headers": {}, "body": json.dumps(body)}))
    result = explain(config, "--request", str(recorded))
    assert result.exit_code == 3
    assert result.stdout.startswith(
        "The session would be blocked with reason_code 11 (Invalid Data Capture Script) by the rule script:min_compiled"
    )
    assert f"({config}:13:26)" in result.stdout


def test_what_is_captured_is_shown_filter_by_filter(config: Path) -> None:
    result = explain(config, "--ip", "198.51.100.7", "--user-agent", "Mozilla/5.0")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "The session would be captured."
    printed = [line.split() for line in lines if line.startswith("  ")]
    judged = ["script", "url", "domain", "ip", "user_agent", "geo", "opt_out", "deleting_user", "blocked_user"]
    assert [words[:2] for words in printed if words[0] in judged] == [[name, "pass"] for name in judged]
    assert printed[-1] == ["These", "filters", "have", "no", "rule", "to", "ask:", "org,", "ramping,", "quota."]


def test_what_comes_after_the_hit_was_not_reached_and_shadows_are_reported(config: Path) -> None:
    document = json.loads(explain(config, "--user-agent", "YandexBot", "--json").stdout)
    printed = {step["filter"]: step["judgement"] for step in document["filters"]}
    assert (printed["ip"], printed["user_agent"], printed["geo"]) == ("pass", "hit", "not reached")
    shadow = json.loads(explain(config, "--org", "o-shadow", "--ip", "203.0.113.9", "--json").stdout)
    printed = {step["filter"]: step["judgement"] for step in shadow["filters"]}
    assert (shadow["decision"], printed["ip"], printed["quota"]) == ("captured", "shadow", "shadow")


def _recorded(folder: Path, document: Any) -> str:
    file = folder / "request.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(file)


@pytest.mark.parametrize("form", ["text", "object", "body alone"])
def test_a_recorded_page_is_read_in_three_forms(config: Path, tmp_path: Path, form: str) -> None:
    body = {"OrgId": "o-1", "Url": "https://staging.example.com/", "UserId": ""}
    document = {
        "text": {"method": "POST", "url": "/rec/page", "headers": {"origin": "https://a"}, "body": json.dumps(body)},
        "object": {"url": "http://127.0.0.1:8080/rec/page", "body": body},
        "body alone": body,
    }[form]
    result = explain(config, "--request", _recorded(tmp_path, document))
    assert result.exit_code == 3
    assert "reason_code 4" in result.stdout


@pytest.mark.parametrize(
    ("method", "url"), [("POST", "//rec/page/"), ("PUT", "/rec%2Fpage"), ("GET", "/REC/page;x"), ("GET", "/rec/page")]
)
def test_any_spelling_of_a_page_request_is_explained_as_one(
    config: Path, tmp_path: Path, method: str, url: str
) -> None:
    body = {"OrgId": "o-1", "Url": "https://staging.example.com/"}
    result = explain(config, "--request", _recorded(tmp_path, {"method": method, "url": url, "body": body}))
    assert result.exit_code == 3
    assert "reason_code 4" in result.stdout


def test_a_recorded_bundle_is_decided_as_a_bundle(config: Path, tmp_path: Path) -> None:
    """By its query and headers; an opt-out cookie is none of a bundle's matters, a user agent is."""
    request: dict[str, Any] = {
        "method": "POST",
        "url": "/rec/bundle/v2?OrgId=o-1&UserId=u&SessionId=s&PageId=p&Seq=1",
        "headers": {"cookie": "fs_optout=1", "user-agent": "Mozilla/5.0"},
        "body": "{}",
    }
    passed = explain(config, "--request", _recorded(tmp_path, request), "--json")
    assert passed.exit_code == 0
    judged = [step["filter"] for step in json.loads(passed.stdout)["filters"]]
    assert judged == ["domain", "ip", "user_agent", "deleting_user", "blocked_user"]
    request["headers"]["user-agent"] = "YandexBot"
    assert explain(config, "--request", _recorded(tmp_path, request)).exit_code == 3


def test_options_go_over_what_was_recorded(config: Path, tmp_path: Path) -> None:
    file = _recorded(tmp_path, {"OrgId": "o-1", "Url": "https://staging.example.com/"})
    assert explain(config, "--request", file, "--url", URL).exit_code == 0
    assert explain(config, "--request", file, "--url", URL, "--header", "CF-IPCountry: AQ").exit_code == 3
    assert explain(config, "--request", file, "--url", URL, "--header", "Sec-GPC: 1").exit_code == 0


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "7",
        "[" * 100_000,
        {"url": "/rec/page", "body": "no object"},
        {"url": "/rec/page", "body": [1]},
        {"url": "/rec/page", "headers": "Cookie: a=b", "body": "{}"},
        {"url": "/rec/page", "body": '"\\ud800"'},
        {"url": "/rec/page#x", "body": "{}"},
        {"url": "/rec/event%3f/../page", "body": "{}"},
        {"url": "/rec/bundle?OrgId=o-1&OrgId=o-2", "body": "{}"},
    ],
)
def test_a_file_that_holds_no_request_is_refused_with_a_reason(config: Path, tmp_path: Path, document: Any) -> None:
    result = explain(config, "--request", _recorded(tmp_path, document))
    assert result.exit_code == 1
    assert "--request" in result.stderr
    assert result.stdout == ""


def test_what_is_no_address_is_wrong_usage(config: Path) -> None:
    assert explain(config, "--ip", "10.0.0.300").exit_code == 2


def test_faults_of_the_configuration_are_reported_with_exit_status_1(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text("mode: strict\n")
    result = explain(file)
    assert result.exit_code == 1
    assert f"{file}:1:7: mode:" in result.stderr


@pytest.mark.parametrize(("mode", "status"), [("shadow", 0), ("bypass", 0), ("enforce", 3)])
def test_the_top_level_mode_is_obeyed_and_shown(tmp_path: Path, mode: str, status: int) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text(f"mode: {mode}\n{CONFIG}")
    result = explain(file, "--ip", "203.0.113.9")
    assert result.exit_code == status
    assert (f"The top-level mode is {mode}." in result.stdout) is (mode != "enforce")


def test_under_bypass_the_privacy_rules_are_asked_and_without_any_nothing_is(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text("mode: bypass\nupstream: {url: http://127.0.0.1:9000}\n")
    assert explain(file, "--cookie", "fs_optout=1").exit_code == 3
    file.write_text("mode: bypass\nupstream: {url: http://127.0.0.1:9000}\nfilters: {opt_out: {cookies: []}}\n")
    assert "no privacy rule is in force" in explain(file, "--cookie", "fs_optout=1").stdout


@pytest.mark.parametrize(
    ("target", "status", "goes_up_as"),
    [
        ("/relay/rec/page", 0, "http://127.0.0.1:9000/base/rec/page"),
        ("/assets/v2/fs.js?a=b", 0, "https://static.example/2/fs.js"),
        ("/rec/page", 0, None),
    ],
)
def test_a_path_that_is_rewritten_is_told(tmp_path: Path, target: str, status: int, goes_up_as: str | None) -> None:
    config = """\
upstream:
  url: http://127.0.0.1:9000/base
  rewrite:
    - {path: "regex:^/assets/v([0-9]+)/", to: https://static.example/\\1/}
    - {path: "regex:^/relay/rec/(page)$", to: /rec/\\1}
routes: {page: [/rec/page, /relay/rec/page]}
"""
    (tmp_path / "f.yaml").write_text(config)
    request = {"method": "POST", "url": target, "body": {"OrgId": "o-1", "Url": "https://a.example/"}}
    (tmp_path / "r.json").write_text(json.dumps(request))
    arguments = ["explain", "--config", str(tmp_path / "f.yaml"), "--request", str(tmp_path / "r.json")]
    text, document = CliRunner().invoke(main, arguments), CliRunner().invoke(main, [*arguments, "--json"])
    assert (text.exit_code, json.loads(document.stdout).get("goes_up_as")) == (status, goes_up_as)
    first = f"The request would go up to {goes_up_as}, by upstream.rewrite.\n"
    assert text.stdout.startswith(first) is (goes_up_as is not None)


def test_what_would_be_redacted_in_the_url_is_told_by_rule_and_never_shown(tmp_path: Path) -> None:
    config = tmp_path / "fsproxy.yaml"
    rules = "[{mask: email, in: [urls], id: mails}, {mask: 'query:to', mode: shadow}]"
    config.write_text(f"upstream: {{url: http://127.0.0.1:9000}}\nredact: {{rules: {rules}}}\n")
    result = explain(config, "--url", "https://x.example/?to=ann%40example.com&cc=bob@example.com")
    assert "Its URL would be redacted by these rules of redaction: mails (2)." in result.output
    assert "Its URL would be counted by these rules of redaction: redact:mask:query:to (1)." in result.output
    assert "ann" not in result.output
    assert "redaction" not in explain(config, "--url", "https://x.example/").output
