"""What is to find decisions of two configurations finds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from support import swaps


def line(number: int, generation: int, org: str = swaps.SHADOWED, **more: Any) -> dict[str, Any]:
    sections = swaps.good(number)["filters"]
    rules = (
        sections["domain"]["rules"][0]["id"],
        f"ip:block:{sections['ip']['block'][0]}",
        f"user_agent:block:{sections['user_agent']['block'][0]}",
    )
    made: dict[str, Any] = {"fsproxy.generation": generation, "organization.id": org}
    if org == swaps.BLOCKED:
        return made | {"rule.id": rules[0]} | more
    return made | {"fsproxy.shadow": [{"rule.id": rule} for rule in rules]} | more


def test_lines_of_one_configuration_are_fine() -> None:
    assert swaps.faults([line(1, 2), line(6, 3), line(6, 3, swaps.BLOCKED)], {2: 1, 3: 6}) == []


MIXED = {"fsproxy.shadow": line(6, 3)["fsproxy.shadow"][:2] + line(7, 3)["fsproxy.shadow"][2:]}


@pytest.mark.parametrize(
    "wrong",
    [line(7, 3), line(7, 3, swaps.BLOCKED), line(6, 4), line(6, 3, **MIXED)],
    ids=["other rules", "another rule", "a generation that never was", "a mixture"],
)
def test_a_line_that_its_generation_cannot_have_decided_is_found(wrong: dict[str, Any]) -> None:
    assert len(swaps.faults([wrong], {2: 1, 3: 6})) == 1


@pytest.mark.parametrize("number", range(6))
def test_a_bad_configuration_is_one(number: int) -> None:
    made = swaps.bad(number)
    text = made if isinstance(made, str) else json.dumps({"upstream": {"url": "http://127.0.0.1:9"}} | made)
    with pytest.raises(ConfigError):
        load_text(text, "bad.yaml", {}, Path())


@pytest.mark.parametrize("number", range(8))
def test_a_good_configuration_is_one(number: int) -> None:
    text = json.dumps({"upstream": {"url": "http://127.0.0.1:9"}} | swaps.good(number, filler=300))
    assert len(load_text(text, "good.yaml", {}, Path()).core.default.filters.ip.block) == 301
