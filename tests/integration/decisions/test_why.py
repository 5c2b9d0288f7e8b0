"""Why is this session blocked? Asked of a running program for each of the codes, in every way there is to ask.

Code -1 has three causes. Two are made here; the third, a filter of ours that fails under ``filters.on_error: block``,
takes a fault in the program, which no request can bring about: ``tests/core/test_pipeline.py`` has it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner

from fsproxy.cli import main
from fsproxy.core.reasons import ReasonCode
from support.ports import free_ports
from support.rig import JSON, Answer, Rig, page, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG: dict[str, Any] = {
    "orgs": {
        "unlisted": "block",
        "listed": {
            "o-TEST-na1": {},
            "o-OFF-na1": {"enabled": False},
            "o-WEB-na1": {"mobile": False},
            "o-SMALL-na1": {"filters": {"quota": {"sessions": 1}}},
            "o-RAMP-na1": {"filters": {"ramping": {"share": "0%"}}},
        },
    },
    "filters": {
        "script": {"min_compiled": "2023-08-03"},
        "url": {"max_length": 2000},
        "domain": {"rules": [{"block": "staging.example.com", "id": "no-staging"}]},
        "ip": {"block": ["203.0.113.0/24"]},
        "user_agent": {"block": ["YandexBot"]},
        "geo": {"never": ["AQ"]},
        "opt_out": {"cookies": ["fs_optout=1"]},
        "deleting_user": {"block": ["uid-deleted"]},
        "blocked_user": {"block": ["uid-blocked"]},
    },
}


@dataclass(frozen=True)
class Case:
    """A page that is blocked, and what is to be told of it."""

    code: int
    filter: str
    rule: str
    at: str
    """What stands at the place in the configuration that is named; "": the rule is a default."""
    means: str
    """Some of the words."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    sessions: int = 0
    """Of the org, that are captured before."""
    named: bool = True
    """Whether the line may hold the session."""


BLOCKED = "blocked_user:block:d07381af"
CASES = {
    "-1": Case(-1, "blocked_user", BLOCKED, '"uid-blocked"', "uid is blocked", {"AppId": "uid-blocked"}),
    "1": Case(1, "org", "org:unlisted", '"block"', "not in orgs.listed", {"OrgId": "o-WHO-na1"}),
    "2": Case(2, "org", "org:disabled", "false", "enabled: false", {"OrgId": "o-OFF-na1"}),
    "2, mobile": Case(
        2, "org", "org:mobile", "false", "a mobile app's", {"OrgId": "o-WEB-na1"}, {"User-Agent": "okhttp/4.9"}
    ),
    "3": Case(3, "quota", "quota:sessions", "1", "are used up", {"OrgId": "o-SMALL-na1"}, sessions=1),
    "4": Case(
        4, "domain", "no-staging", '"staging.example.com"', "matches the host", {"Url": "https://staging.example.com/a"}
    ),
    "5": Case(
        5, "ip", "ip:block:203.0.113.0/24", '"203.0.113.0/24"', "address is blocked",
        headers={"X-Forwarded-For": "203.0.113.9"},
    ),
    "6": Case(
        6, "user_agent", "user_agent:block:YandexBot", '"YandexBot"', "User-Agent holds",
        headers={"User-Agent": "a yandexbot/3.0"},
    ),
    "7": Case(7, "geo", "geo:never:AQ", '"AQ"', "a zone of never", headers={"CF-IPCountry": "AQ"}),
    "8": Case(8, "ramping", "ramping:share", '"0%"', "outside of the share", {"OrgId": "o-RAMP-na1"}),
    "9": Case(9, "url", "url:scheme", "", "none of schemes", {"Url": "file:///etc/hosts"}),
    "9, too long": Case(9, "url", "url:max_length", "2000", "longer than", {"Url": "https://a.example/" + "x" * 2000}),
    "10": Case(
        10, "opt_out", "opt_out:cookie:fs_optout=1", '"fs_optout=1"', "cookie that opts out",
        headers={"Cookie": "fs_optout=1"}, named=False,
    ),
    "11": Case(
        11, "script", "script:min_compiled", '"2023-08-03"', "built before", {"CompiledTimestamp": 1_661_778_047}
    ),
    "12": Case(
        12, "deleting_user", "deleting_user:listed", "[", "being deleted",
        {"AppId": "uid-deleted"}, named=False,
    ),
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", CASES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        yield running


async def blocked(rig: Rig, case: Case) -> tuple[Answer, dict[str, Any]]:
    """The page, as the client sees it, and its audit line."""
    for _ in range(case.sessions):
        await rig.page(**case.fields)
    answer = await rig.page(case.headers, **case.fields)
    assert (answer.status, answer.json()["reason_code"]) == (202, case.code)
    return answer, await rig.line(answer)


def stands_at(rig: Rig, place: str) -> str:
    """The text at ``file:line:column``."""
    file, line, column = place.rsplit(":", 2)
    assert file == str(rig.proxy.config_path)
    text = rig.proxy.config_path.read_text()
    at = sum(len(each) for each in text.splitlines(keepends=True)[: int(line) - 1]) + int(column) - 1
    return text[at:]


async def run(*words: object) -> tuple[int, str]:
    """Exit status and output of a command."""
    done = await asyncio.to_thread(CliRunner().invoke, main, [str(each) for each in words])
    return done.exit_code, done.stdout


async def test_there_is_a_case_for_every_code(rig: Rig) -> None:
    assert {case.code for case in CASES.values()} == {int(code) for code in ReasonCode}


@EVERY
async def test_the_terminal_tells_filter_rule_line_and_text_of_a_request(rig: Rig, name: str) -> None:
    case = CASES[name]
    answer, line = await blocked(rig, case)
    audit = rig.proxy.folder / "stdout"
    status, told = await run("why", answer.request_id, "--audit", audit, "--config", rig.proxy.config_path)
    assert status == 0
    assert told.count(", request ") == 1
    assert f"blocked with reason_code {case.code} ({ReasonCode(case.code).text}). The answer had status 202." in told
    assert f"rule:      {case.rule} (filter {case.filter}), config generation 1" in told
    (meaning,) = [part for part in told.splitlines() if part.startswith("  meaning:")]
    assert case.means in meaning
    (place,) = [part.split()[1] for part in told.splitlines() if part.startswith("  place:")]
    assert stands_at(rig, place).startswith(case.at) if case.at else place == "A"
    status, _ = await run("why", line.get("fsproxy.session_id", "nobody"), "--audit", audit)
    assert (status == 0) is case.named


@EVERY
async def test_the_admin_port_shows_the_decision_with_its_rule_and_line(rig: Rig, name: str) -> None:
    case = CASES[name]
    answer, line = await blocked(rig, case)
    status, text = await rig.admin(f"/api/decisions?code={case.code}&limit=1")
    assert status == 200
    (found,) = json.loads(text)["decisions"]
    assert found["line"] == line
    assert found["line"]["http.request.id"] == answer.request_id
    told = found["line"]
    assert (told["fsproxy.reason_code"], told["event.reason"]) == (case.code, ReasonCode(case.code).text)
    assert (told["fsproxy.filter"], told["rule.id"]) == (case.filter, case.rule)
    where = found["where"]
    assert stands_at(rig, where).startswith(case.at) if case.at else where == ""


@EVERY
async def test_the_question_is_answered_alike_by_terminal_and_admin_port(rig: Rig, name: str) -> None:
    """For a session that has not come yet: what blocks is told with its rule and line, and what comes before passes."""
    case = CASES[name]
    await blocked(rig, case)  # the quota is used up only once somebody came
    body = page(**case.fields)
    asked = {"method": "POST", "url": "/rec/page", "headers": dict(case.headers), "body": json.dumps(body)}
    question: dict[str, Any] = {"request": asked}
    if "X-Forwarded-For" in case.headers:
        question["ip"] = case.headers["X-Forwarded-For"]
    status, text = await rig.admin("/api/explain", "POST", json.dumps(question).encode(), **JSON)
    assert status == 200
    document = json.loads(text)
    assert (document["decision"], document["reason_code"]) == ("blocked", case.code)
    assert document["reason"] == ReasonCode(case.code).text
    assert document["rule"]["id"] == case.rule
    assert case.means in document["means"]
    judged = {each["filter"]: each["judgement"] for each in document["filters"]}
    assert [each for each, said in judged.items() if said == "hit"] == [case.filter]
    assert "not reached" not in list(judged.values())[: list(judged).index(case.filter)]

    file = rig.proxy.folder / "request.json"
    file.write_text(json.dumps(asked))
    ip = ("--ip", question["ip"]) if "ip" in question else ()
    config = rig.proxy.config_path
    status, told = await run("explain", "--config", config, "--request", file, *ip, "--json")
    if case.filter == "quota":
        # Only the running program knows what is used up.
        assert (status, json.loads(told)["decision"]) == (0, "captured")
        return
    assert status == 3
    ours = json.loads(told)
    assert ours == {key: document[key] for key in ours}
    status, told = await run("explain", "--config", config, "--request", file, *ip)
    place = f" ({document['rule']['where']})" if case.at else ""
    reason = f"reason_code {case.code} ({ReasonCode(case.code).text})"
    first = f"The session would be blocked with {reason} by the rule {case.rule}{place}."
    assert (status, told.splitlines()[0]) == (3, first)
    assert case.means in told.splitlines()[1]


async def test_a_store_that_is_down_is_told_as_the_reason_when_it_blocks(rig: Rig) -> None:
    del rig
    (nobody,) = free_ports(1)
    state = {"backend": "redis", "redis": {"url": f"redis://127.0.0.1:{nobody}/0"}, "on_error": "block"}
    quota = {"filters": {"quota": {"sessions": 5}}}
    async with running_rig({"state": state, **quota}) as down:
        answer = await down.page()
        assert answer.json()["reason_code"] == -1
        await down.line(answer)
        audit = down.proxy.folder / "stdout"
        status, told = await run("why", answer.request_id, "--audit", audit, "--config", down.proxy.config_path)
        assert status == 0
        assert "reason_code -1 (Unspecified). The answer had status 202." in told
        assert "rule:      state:down" in told
        assert "The store did not answer, and state.on_error is block" in told
        assert "place:     No line of the file: state.on_error decided." in told
        _, text = await down.admin("/api/decisions?code=-1")
        (found,) = json.loads(text)["decisions"]
        assert found["line"]["rule.id"] == "state:down"


async def test_the_upload_of_a_blocked_page_is_told_as_its_pages(rig: Rig) -> None:
    answer = await rig.page(OrgId="o-RAMP-na1", PageId="page-of-both", SessionId="session-of-both")
    upload = await rig.bundle(OrgId="o-RAMP-na1", PageId="page-of-both", SessionId="session-of-both")
    assert (answer.status, upload.status) == (202, 202)
    await rig.line(upload)
    status, told = await run("why", "page-of-both", "--audit", rig.proxy.folder / "stdout")
    assert status == 0
    page_story, upload_story = told.split("\n\n")[:2]
    assert "decided on its page" not in page_story
    assert "decided on its page, which was blocked" in upload_story
