"""The story of a request or a session, from its audit lines."""

from __future__ import annotations

import gzip
import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.core.audit.record import Outcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import CallKind, FilterName, Hit, Instant, Rejection, Route, Rule, SessionFacts
from fsproxy.core.pipeline import Decision
from fsproxy.core.reasons import ReasonCode, RejectionCode
from support.made_lines import line_of
from tests.support.urls import of_url

FACTS = SessionFacts(
    route=Route.PAGE, org="o-1", session_id="s-1", page_id="p-1", user_id="u-1", app_id="me@example.com",
    **of_url("https://www.example.com/secret"), client_ip=ip_address("10.1.2.3"), user_agent="Mozilla/5.0",
)  # fmt: skip
BLOCK = Decision(block=Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8")))
CONFIG = "upstream: {url: http://127.0.0.1:9000}\nfilters:\n  ip:\n    block:\n      - 192.0.2.1\n      - 10.0.0.0/8\n"


def line(
    request_id: str, at: float, outcome: Outcome = Outcome.CAPTURED, *, facts: SessionFacts | None = FACTS, **more: Any
) -> bytes:
    return line_of(facts, outcome, arrived=Instant(1795287341 + at), request_id=request_id, **more) + b"\n"


def why(identity: str, *arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["why", identity, *map(str, arguments)], input=stdin)


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    file = tmp_path / "audit.log"
    file.write_bytes(
        line("r-2", 5, facts=msgspec.structs.replace(FACTS, session_id="s-2"))
        + line("r-1", 1, Outcome.BLOCKED, decision=BLOCK, status=202)
        + b"not json r-1\n"
    )
    return file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(CONFIG)
    return file


def test_a_blocked_request_is_reported_with_its_rule_and_the_rules_place(audit: Path, config: Path) -> None:
    printed = why("r-1", "--audit", audit, "--config", config)
    assert printed.exit_code == 0, printed.output
    assert "blocked with reason_code 5 (IP Filter). The answer had status 202." in printed.stdout
    assert "rule:      ip:block:10.0.0.0/8 (filter ip), config generation 7" in printed.stdout
    assert f"{config}:6:9 (as the file is now; generation 7 may have been another)" in printed.stdout
    assert "It was not asked." in printed.stdout
    assert "The last part of the address, and the visitor's uid" in printed.stdout
    assert (
        "today:     It would be blocked with reason_code 5 (IP Filter) by the rule ip:block:10.0.0.0/8."
        in printed.stdout
    )
    assert "r-2" not in printed.stdout


@pytest.mark.parametrize("identity", ["s-1", "p-1", "r-1"])
def test_a_session_a_page_and_a_request_are_found(audit: Path, identity: str) -> None:
    assert "request r-1" in why(identity, "--audit", audit).stdout


def test_several_files_plain_and_gzip_are_reported_in_the_order_of_time(tmp_path: Path, audit: Path) -> None:
    packed = tmp_path / "old.gz"
    packed.write_bytes(gzip.compress(line("r-0", 0)) + gzip.compress(line("r-9", 9)))
    printed = why("s-1", "--audit", audit, packed).stdout
    assert [printed.index(f"request {each}") for each in ("r-0", "r-1", "r-9")] == sorted(
        printed.index(f"request {each}") for each in ("r-0", "r-1", "r-9")
    )
    assert printed == why("s-1", "--audit", packed, "--audit", audit).stdout


def test_nothing_found_is_exit_status_1(audit: Path) -> None:
    for identity in ("r-3", "r", "10.1.2.3", "page"):
        done = why(identity, "--audit", audit)
        assert done.exit_code == 1
        assert "nothing was found" in done.stderr


def test_no_audit_is_wrong_usage() -> None:
    assert why("r-1").exit_code == 2


def test_a_file_that_is_not_there_or_not_whole_is_reported(tmp_path: Path) -> None:
    assert "No such file" in why("r-1", "--audit", tmp_path / "none").stderr
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(line("r-1", 0))[:-9])
    done = why("r-1", "--audit", cut)
    assert (done.exit_code, "not whole gzip data" in done.stderr) == (1, True)


def test_rejections_are_reported_with_what_they_mean(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    wrong = Rejection(RejectionCode.MISSING_PROPERTY_TYPE, CallKind.EVENT, "Bought", "price", "")
    file.write_bytes(line("r-1", 0, Outcome.FORWARDED, route=Route.BUNDLE, rejections=[wrong] * 3, most_rejections=1))
    printed = why("r-1", "--audit", file).stdout
    assert "Bought price: MissingPropertyType, the name has no type suffix" in printed
    assert "and 2 more" in printed


def test_failures_upstream_answers_and_shadows_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    shadow = Decision(shadow=(Hit(FilterName.GEO, ReasonCode.GEOGRAPHY, Rule("geo:never:FR")),), ledger_down=True)
    answered = {"status": 202, "upstream_status": 202, "upstream_reason_code": 3, "waited": 2_500_000}
    file.write_bytes(
        line("r-1", 0, decision=shadow, **answered)
        + line("r-2", 1, Outcome.FAILED, failure=Failure.UPSTREAM_TIMEOUT, status=504)
    )
    printed = why("s-1", "--audit", file).stdout
    assert "would be blocked with reason_code 7 (Geography) by the rule geo:never:FR, if that were enforced" in printed
    assert "The store was down" in printed
    assert (
        "answered with status 202 after 2.5 ms. It blocked the session itself, with reason_code 3 (Over quota)."
        in printed
    )
    assert (
        "decision:  The page was let through, but the upstream did not capture it. The answer had status 202."
        in printed
    )
    assert "failed. The upstream did not answer in time. The answer had status 504." in printed


def test_a_rule_that_is_gone_from_the_file_is_reported(tmp_path: Path, audit: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("upstream: {url: http://127.0.0.1:9000}\nfilters: {ip: {block: [10.1.2.77]}}\n")
    printed = why("r-1", "--audit", audit, "--config", other).stdout
    assert f"not in {other} as it is now; generation 7 had it" in printed
    assert "today:     It cannot be known: ip: the line does not hold the whole address" in printed


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("ip:block:10.0.0.8", "fsproxy.yaml:2:36 (as"),
        ("ip:block:10.0.0.x", "fsproxy.yaml:2:26, or another rule that has this id,"),
        ("ip:block:10.1.0.x", "fsproxy.yaml:2:46 (as"),
        ("ip:block:10.0.0.9", "It is not in"),
    ],
)
def test_a_rule_that_hides_a_part_of_an_address_is_found_and_so_is_one_of_older_lines(
    tmp_path: Path, rule: str, place: str
) -> None:
    config = tmp_path / "fsproxy.yaml"
    config.write_text("upstream: {url: http://a}\nfilters: {ip: {block: [  10.0.0.7, 10.0.0.8, 10.1.0.7]}}\n")
    file = tmp_path / "audit.log"
    block = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule(rule))
    file.write_bytes(line("r-1", 0, Outcome.BLOCKED, decision=Decision(block=block)))
    told = why("r-1", "--audit", file, "--config", config)
    assert f"place:     {place}" in told.output.replace(f"{tmp_path}/", ""), told.output


def test_who_may_not_be_named_is_found_by_request_and_never_by_session(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    opted_out = Hit(FilterName.OPT_OUT, ReasonCode.OPT_OUT_COOKIE, Rule("opt_out:gpc"))
    file.write_bytes(line("r-1", 0, decision=Decision(shadow=(opted_out,))))
    assert why("s-1", "--audit", file).exit_code == 1
    assert "the visitor opted out or is being deleted" in why("r-1", "--audit", file).stdout


def test_the_lines_themselves_are_printed_for_machines(audit: Path) -> None:
    printed = json.loads(why("r-1", "--audit", audit, "--json").stdout)
    assert printed["http.request.id"] == "r-1"


@pytest.mark.parametrize(
    "changed", [{"organization.id": 5}, {"client.ip": "10.1.2"}, {"fsproxy.facts": [1]}, {"fsproxy.facts": {"gpc": 2}}]
)
def test_a_line_that_another_program_changed_is_reported_and_the_others_are_explained(
    tmp_path: Path, config: Path, changed: dict[str, Any]
) -> None:
    changed_line = {**json.loads(line("r-1", 1, Outcome.BLOCKED, decision=BLOCK)), **changed}
    file = tmp_path / "audit.log"
    file.write_bytes(json.dumps(changed_line).encode() + b"\n" + line("r-2", 2))

    found = why("s-1", "--audit", file, "--config", config)

    assert (found.exit_code, found.exception) == (0, None)
    assert found.stdout.startswith("A line cannot be explained: some of its fields are not as fsproxy writes them.")
    assert "page, request r-2" in found.stdout


def test_control_characters_out_of_a_line_do_not_reach_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    document = json.loads(line("r-1", 0)) | {"user_agent.original": "\x1b[2J", "organization.id": "\x1b]0;x\x07"}
    file.write_text(json.dumps(document) + "\n")
    assert "\x1b" not in why("r-1", "--audit", file).stdout
