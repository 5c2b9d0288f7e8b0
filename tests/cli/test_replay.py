"""``fsproxy replay``: exit status, counts, input and output."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.cli.audit_files import AuditFiles

UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"
BLOCKING = UPSTREAM + "filters: {ip: {block: [10.0.0.0/8]}}\n"
SHADOWING = UPSTREAM + "filters: {ip: {mode: shadow, block: [10.0.0.0/8]}}\n"


def page(number: int, address: str, **more: Any) -> dict[str, Any]:
    return {
        "@timestamp": "2026-11-21T22:07:59.205Z",
        "event.action": "page",
        "fsproxy.decision": "captured",
        "http.request.id": f"r-{number}",
        "organization.id": "o-1",
        "client.ip": address,
        "url.domain": "www.example.com",
        "fsproxy.url.length": 24,
        "fsproxy.facts": {"session": "new", "scheme": "https"},
        **more,
    }


def blocked(number: int, address: str) -> dict[str, Any]:
    hit = {"fsproxy.reason_code": 5, "rule.id": "ip:block:10.0.0.0/8", "fsproxy.filter": "ip"}
    return page(number, address, **hit, **{"fsproxy.facts": {"scheme": "https"}})


def written(file: Path, *lines: dict[str, Any] | str) -> Path:
    text = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return file


def config(folder: Path, text: str, name: str = "new.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def replay(*arguments: object, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)], input=stdin)


def document(*arguments: object) -> tuple[int, dict[str, Any]]:
    done = replay(*arguments, "--json")
    return done.exit_code, json.loads(done.stdout)


def test_nothing_changes_is_exit_status_0(tmp_path: Path) -> None:
    audit = written(tmp_path / "a.log", page(1, "192.0.2.1"), blocked(2, "10.1.1.1"))
    code, found = document(audit, "--config", config(tmp_path, BLOCKING))
    assert (code, found["pages"], found["changed"]) == (0, 2, 0)


@pytest.mark.parametrize("mode", ["truncated", "none", "full"])
def test_the_same_rule_is_no_other_one_because_its_id_hides_an_address_now(tmp_path: Path, mode: str) -> None:
    """Lines with whole addresses, written before ids hid a part of one, or under another ``audit.client_ip``."""
    rule = {"rule.id": "ip:block:10.1.1.1"}
    shadow = {"fsproxy.shadow": [{**rule, "reason_code": 5, "filter": "ip"}]}
    audit = written(tmp_path / "a.log", blocked(1, "10.1.1.1") | rule)
    new = f"{UPSTREAM}audit: {{client_ip: {mode}}}\nfilters: {{ip: {{block: [10.1.1.1]}}}}\n"
    code, found = document(audit, "--config", config(tmp_path, new))
    assert (code, found["pages"], found["rules"]) == (0, 1, [])
    written(audit, page(1, "10.1.1.1") | shadow)
    code, found = document(audit, "--config", config(tmp_path, new.replace("block:", "mode: shadow, block:")))
    assert (code, [(each["old"], each["new"]) for each in found["shadow"]]) == (0, [(1, 1)])


def test_what_changes_is_counted_by_code_and_rule_with_examples_and_exit_status_3(tmp_path: Path) -> None:
    lines = [page(n, "10.1.1.1") for n in range(5)] + [blocked(9, "192.0.2.1"), page(10, "192.0.2.2")]
    audit = written(tmp_path / "a.log", *lines)
    code, found = document(audit, "--config", config(tmp_path, BLOCKING), "--examples", 2)
    assert (code, found["pages"], found["changed"]) == (3, 7, 6)
    assert found["codes"] == [
        {"old": 0, "new": 5, "count": 5, "examples": ["r-0", "r-1"]},
        {"old": 5, "new": 0, "count": 1, "examples": ["r-9"]},
        {"old": 0, "new": 0, "count": 1, "examples": []},
    ]
    rule = "ip:block:10.0.0.0/8"
    assert found["rules"][0] == {"old": {"code": 0, "rule": ""}, "new": {"code": 5, "rule": rule}, "count": 5}


def test_another_configuration_may_stand_for_what_was_recorded(tmp_path: Path) -> None:
    audit = written(tmp_path / "a.log", page(1, "10.1.1.1"))
    new = config(tmp_path, BLOCKING)
    assert replay(audit, "--config", new, "--against", new).exit_code == 0
    assert replay(audit, "--config", new, "--against", config(tmp_path, UPSTREAM, "old.yaml")).exit_code == 3


def test_shadow_hits_are_compared_and_change_nothing(tmp_path: Path) -> None:
    shadow = {"rule.id": "geo:never:FR", "reason_code": 7, "filter": "geo"}
    audit = written(tmp_path / "a.log", page(1, "10.1.1.1", **{"fsproxy.shadow": [shadow]}), page(2, "10.1.1.2"))
    code, found = document(audit, "--config", config(tmp_path, SHADOWING))
    assert code == 0
    assert found["shadow"] == [
        {"rule": "geo:never:FR", "old": 1, "new": 0},
        {"rule": "ip:block:10.0.0.0/8", "old": 0, "new": 2},
    ]


def test_undecidable_pages_are_counted_with_the_reason_and_fail_when_asked_to(tmp_path: Path) -> None:
    hidden = {"session": "new", "scheme": "https", "address": "hidden"}
    audit = written(tmp_path / "a.log", page(1, "", **{"client.ip": None, "fsproxy.facts": hidden}))
    new = config(tmp_path, BLOCKING)
    code, found = document(audit, "--config", new)
    assert (code, found["pages"]) == (0, 0)
    assert found["undecidable"] == {"ip: the line does not hold the whole address": 1}
    assert replay(audit, "--config", new, "--fail-on-undecidable").exit_code == 3


def test_several_files_and_other_lines_are_read_and_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    packed = written(tmp_path / "a.log.gz", page(1, "192.0.2.1"), {"event.action": "bundle"})
    plain = written(tmp_path / "b.log", page(2, "192.0.2.1"))
    with plain.open("a") as file:
        file.write('{"event.action":"page"')
    code, found = document(packed, plain, "--config", config(tmp_path, UPSTREAM))
    assert code == 0
    assert (found["pages"], found["other_lines"], found["unfinished_lines"]) == (2, 1, 1)


@pytest.mark.parametrize("wrong", ["nonsense", "{}", '{"event.action":"page"}', "[1]", '{"event.action": "page", '])
def test_a_line_that_is_no_audit_line_is_bad_input_after_all_that_was_found(tmp_path: Path, wrong: str) -> None:
    audit = written(tmp_path / "a.log", wrong, page(1, "192.0.2.1"))
    done = replay(audit, "--config", config(tmp_path, UPSTREAM))
    assert "1 page was decided again" in done.stdout
    # An object that says nothing of pages may be anything.
    assert done.exit_code == (0 if wrong == "{}" else 1)


def test_no_lines_no_file_and_a_bad_configuration_are_bad_input(tmp_path: Path) -> None:
    new = config(tmp_path, UPSTREAM)
    assert replay(written(tmp_path / "empty.log"), "--config", new).exit_code == 1
    assert replay(tmp_path / "none.log", "--config", new).exit_code == 1
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(json.dumps(page(1, "192.0.2.1")).encode() * 99)[:-20])
    done = replay(cut, "--config", new)
    assert (done.exit_code, "not whole gzip data" in done.stderr) == (1, True)
    audit = written(tmp_path / "a.log", page(1, "192.0.2.1"))
    assert replay(audit, "--config", config(tmp_path, "nonsense: 1\n")).exit_code == 1


def test_the_text_says_what_changes_and_what_was_taken_as_recorded(tmp_path: Path) -> None:
    audit = written(tmp_path / "a.log", page(1, "10.1.1.1"))
    printed = replay(audit, "--config", config(tmp_path, BLOCKING)).stdout
    assert "1 page was decided again; 1 would get another decision." in printed
    assert "captured  5 IP Filter  r-1" in printed
    assert "Quotas are taken as recorded" in printed
    assert "\x1b" not in printed


def test_each_kind_of_line_that_is_left_out_gets_a_sentence(tmp_path: Path) -> None:
    others = [{"event.action": "bundle"}, {"event.action": "bundle"}]
    audit = written(tmp_path / "a.log", page(1, "192.0.2.1"), *others, "nonsense")
    with audit.open("a") as file:
        file.write('{"event.action":"page"')
    printed = replay(audit, "--config", config(tmp_path, UPSTREAM)).stdout.splitlines()
    assert [line for line in printed if line.startswith("Left out: ")] == [
        "Left out: 2 lines are not about pages.",
        "Left out: 1 last line has no end.",
        "Left out: 1 line cannot be read.",
    ]
    assert printed[0] == "1 page was decided again; none would get another decision."


def test_a_file_of_a_gigabyte_would_be_read_a_megabyte_at_a_time(tmp_path: Path) -> None:
    audit = tmp_path / "a.log.gz"
    with gzip.open(audit, "wb", compresslevel=1) as file:
        for number in range(40):
            file.write(b"".join(b'{"n":%d,"x":"%s"}\n' % (number, b"y" * 1000) for _ in range(1000)))
    sizes = [sum(map(len, batch)) for batch in AuditFiles([str(audit)]).batches()]
    assert sum(sizes) > 40_000_000
    assert max(sizes) < 2_200_000
