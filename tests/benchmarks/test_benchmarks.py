"""The benchmark suite works; what it measures is looked at by people."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # as for its scripts

import payloads  # noqa: E402
from benchmarks.audit_lines import Lines, differences, masked  # noqa: E402
from load import is_whole  # noqa: E402
from upstream import page_answer  # noqa: E402

RUN = HERE / "run.py"
pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(sys.platform != "linux", reason="it pins processes to cores, and reads /proc"),
]


async def run(*words: str) -> tuple[int, str]:
    """The exit status and all output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(RUN),
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.slow
async def test_a_quick_run_measures_every_peer_in_both_loops_and_exits_0(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ("--paths", "block,forward-500,event-1k,socket", "--other", str(RUN.parents[2]), "--json", str(file))
    code, output = await run("--quick", "--peers", "direct,bare,naive,validating", *options)
    assert code == 0, output
    rows = json.loads(file.read_text())
    ours = ("fsproxy", "other")
    assert [(row["path"], row["peer"]) for row in rows] == [
        *(("block", peer) for peer in ("bare", *ours)),
        *(("block-redis", peer) for peer in ("fsproxy", "redis", "other-redis")),
        *(("forward-500", peer) for peer in ("direct", "naive", *ours)),
        *(("event-1k", peer) for peer in ("validating", *ours)),
        *(("socket", peer) for peer in ("naive", *ours)),
    ]
    for row in rows:
        assert row["problems"] == []
        assert row["rps"]["median"] > 0
        assert row["peer"] == "direct" or row["cpu_us"]["median"] > 0
        assert row["peer"] == "direct" or row["rss"] > 0
    (open_loop,) = (row for row in rows if (row["path"], row["peer"]) == ("forward-500", "fsproxy"))
    assert open_loop["added_p50_ms"] is not None
    assert set(open_loop["cpu_ratios"]) == {"naive", "other"}


@pytest.mark.slow
async def test_a_peer_that_does_not_answer_is_named_and_the_exit_status_is_1() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening: it refuses
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code, output = await run("--quick", "--paths", "forward", "--peers", "naive", "--url", url)
    assert code == 1
    assert f"forward {url}: ConnectionRefusedError" in output


async def test_an_unknown_path_is_refused_with_those_there_are() -> None:
    code, output = await run("--quick", "--paths", "typo")
    assert code == 1
    assert "unknown path typo; there are: block," in output


@pytest.mark.slow
async def test_a_short_run_of_swaps_under_load_finds_no_fault() -> None:
    status, text = await _output("reload_under_load.py", "--rate", "100", "--swaps", "4", "--rules", "10")
    assert status == 0, text
    assert {"failed        0", "mixed         0"} <= {line.rstrip() for line in text.splitlines()}


@pytest.mark.slow
async def test_memory_of_connections_sessions_and_full_stores_is_measured() -> None:
    status, text = await _output("memory.py", "--quick", "--peers", "fsproxy", "--stores")
    assert status == 0, text
    assert "idle connections  300:" in text
    assert "a session" in text
    assert "all stores, full" in text


@pytest.mark.slow
async def test_growth_is_measured_and_told_for_every_pair(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    status, text = await _output("growth.py", "--quick", "--pairs", "sessions,connections,workers", "--json", str(file))
    assert status == 0, text
    rows = json.loads(file.read_text())
    assert [row["pair"] for row in rows] == ["sessions", "connections", "workers"]
    for row in rows:
        assert row["growth"] > 0
        assert row["problems"] == []


def test_no_two_pages_of_the_load_have_the_same_head() -> None:
    for made in (payloads.opted_out_pages(), payloads.pages_under_way(), payloads.new_pages()):
        assert len({made().partition(b"\r\n\r\n")[0] for _ in range(10_000)}) == 10_000


def test_the_upstream_answers_a_page_with_the_pages_own_ids() -> None:
    for made, new in ((payloads.pages_under_way(), False), (payloads.new_pages(), True)):
        head, _, body = made().partition(b"\r\n\r\n")
        answer = page_answer(head + b"\r\n\r\n" + body, len(head) + 4)
        said, sent = json.loads(answer.partition(b"\r\n\r\n")[2]), json.loads(body)
        assert (said["SessionUUID"], said["PageUUID"]) == (sent["SessionId"], sent["PageId"])
        assert said["IsNewSession"] is new
        assert said["UserUUID"] == (sent["UserId"] or said["UserUUID"]) != ""
        assert is_whole(answer)
        assert not is_whole(answer[:-1])


@pytest.mark.slow
async def test_both_lanes_answer_some_mutated_heads_alike_and_send_up_the_same_bytes() -> None:
    options = ("--env", "FSPROXY_FAST_LANE=off", "--count", "600", "--quiet")
    status, text = await _output("mutated_heads.py", str(RUN.parents[2]), *options)
    assert status == 0, text
    assert "cases: 600" in text


@pytest.mark.slow
async def test_mutated_heads_find_a_checkout_that_answers_otherwise(tmp_path: Path) -> None:
    shutil.copytree(RUN.parents[2] / "fsproxy", tmp_path / "fsproxy")
    file = tmp_path / "fsproxy" / "core" / "reasons.py"
    file.write_text(file.read_text().replace("User Agent", "Agent"))
    status, text = await _output("mutated_heads.py", str(tmp_path), "--count", "100", "--quiet")
    assert status == 1, text
    assert "x bytes of an answer" in text


def test_audit_lines_are_compared_by_test_and_field() -> None:
    kept = {"event.action": "page", "url.path": "/a", "client.ip": "127.0.0.1:1"}
    before: Lines = {"a": Counter([masked(kept), masked(kept)]), "b": Counter([masked(kept)])}
    assert list(differences([before], {name: Counter(lines) for name, lines in before.items()})) == []
    other = {**kept, "url.path": "/b", "client.ip": "127.0.0.1:2", "event.duration": 7}
    after = {**before, "a": Counter([masked(kept), masked(other)])}
    assert list(differences([before], after)) == [
        (True, 'a:\n  event.duration: "(none)" -> "(masked)"\n  url.path: "/a" -> "/b"')
    ]
    # The runs of before differ in that test, so what it has since does not count.
    again: Lines = {**before, "a": Counter([masked(kept)])}
    assert [counts for counts, _ in differences([before, again], after)] == [False]


async def _output(script: str, *options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(RUN.with_name(script)), *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.slow
async def test_the_costs_of_the_store_are_measured_for_each_thing() -> None:
    status, text = await _output("store_costs.py", "--quick")
    assert status == 0, text
    assert "sessions of 10 minutes that one core carries" in text.splitlines()[-1]
