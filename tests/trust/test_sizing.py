"""``docs/reference/sizing.md`` tells the bytes that a real server takes, and its arithmetic is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from benchmarks import store_costs
from benchmarks.store_costs import MIX, TOGETHER, Server
from fsproxy.clock import now
from support.valkey import running_valkey

PAGE = (Path(__file__).parents[2] / "docs/reference/sizing.md").read_text("utf-8")
NUMBER = 4_000
ROWS = {
    "session": "session under way, with its user (2 keys)",
    "waiting": "page on its way, while it waits for its answer (2 keys)",
    "clock": "page's clock",
    "block": "blocked page",
    "call": "first call of a session or page, for its rate",
    "calls": "each further call",
    "name": "name, of 16 characters",
    "page names": "page with 50 names of its own",
    "admitted": "visitor whom a share has let in, outside the share by his id",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_valkey() as valkey, Redis(port=valkey.port, protocol=2) as client:
        yield Server(client)


def said(row: str) -> list[str]:
    """The cells behind the first of a row of the first table."""
    (line,) = [each for each in PAGE.splitlines() if each.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


@pytest.mark.parametrize("name", ROWS)
def test_the_bytes_are_those_of_a_real_server(server: Server, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_costs, "PER_CALL", {"together": TOGETHER})
    monkeypatch.setattr(store_costs, "SETTLES_SECONDS", 0.2)
    every = {item.name: item for item in store_costs.items(now())}
    # The smaller each is, the more there must be of them, beside what the server takes for itself.
    found = store_costs.measure(server, every[name], every, NUMBER * (10 if name == "admitted" else 1))
    assert found["bytes"] == pytest.approx(int(said(ROWS[name])[0].split(",")[0]), rel=0.35, abs=3)


def test_a_core_carries_as_many_sessions_as_their_cost_allows() -> None:
    def costs(row: str, which: int) -> tuple[float, float]:
        alone, together = re.findall(r"(\d+) / (\d+)", said(row)[2])[which]
        return float(alone), float(together)

    rows = {
        "counted": (ROWS["session"], 0),
        "bundle": ("bundle that must be asked about", 0),
        "names": (ROWS["name"], 1),
    }
    rows |= {name: (ROWS[name], 0) for name in ("clock", "call", "calls")}
    whole = [sum(each * costs(*rows[name])[way] for name, each in MIX.items()) for way in (0, 1)]
    in_words = [
        int(number) for number in re.findall(r"costs that core (\d+) µs .* and (\d+) µs in", PAGE, re.DOTALL)[0]
    ]
    assert whole == pytest.approx(in_words, rel=0.05)
    fewest, most = (
        int(number.replace(",", "")) for number in re.findall(r"\*\*([\d,]+) to ([\d,]+) new sessions", PAGE)[0]
    )
    assert [0.7e6 / each for each in whole] == pytest.approx([fewest, most], rel=0.05)
