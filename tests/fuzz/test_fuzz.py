"""A bounded run of every fuzzing target, the same each time; ``run.py`` looks for longer."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from fsproxy.core.client_api.validation.values import VALIDATORS
from fsproxy.core.matching import addresses
from fsproxy.core.model import PropertyType
from fsproxy.core.wire import cookies
from fuzz.mutating import inputs
from fuzz.run import NAMES
from fuzz.targets import TARGETS

SEED = 20_261_121
RUN = Path(__file__).with_name("run.py")


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_property(name: str) -> None:
    target = TARGETS[name]
    for data in islice(inputs(target, SEED), target.inputs):
        try:
            target.check(data)
        except Exception as error:
            raise AssertionError(f"{name}: {data!r}") from error


def test_the_command_knows_every_target() -> None:
    assert set(NAMES) == set(TARGETS)


def test_inputs_are_the_same_for_the_same_seed_and_differ_from_the_seeds() -> None:
    target = TARGETS["bundles"]
    first, again = (list(islice(inputs(target, 7), 200)) for _ in range(2))
    assert first == again
    assert len(set(first) - set(target.seeds)) > 100
    assert first != list(islice(inputs(target, 8), 200))


def finds_a_fault(name: str) -> bool:
    target = TARGETS[name]
    for data in islice(inputs(target, SEED), target.inputs):
        try:
            target.check(data)
        except AssertionError:
            return True
    return False


def test_a_cookie_that_goes_up_against_the_rules_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.forwarding.kept_cookies", lambda header, _: header)
    assert cookies.kept_cookies(b"x=1", frozenset()) == b""
    assert finds_a_fault("cookies")


def test_an_address_that_is_unwrapped_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "is_mapped", lambda _: False)
    assert finds_a_fault("addresses")


def test_a_value_that_passes_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VALIDATORS, PropertyType.DATE, VALIDATORS[PropertyType.STR])
    assert finds_a_fault("values")


def test_a_rewritten_bundle_that_loses_an_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsproxy.core.client_api.rewriting.is_companion", lambda _: True)
    assert finds_a_fault("bundles")


def test_a_string_between_calls_that_is_not_redacted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsproxy.core.client_api.redacting.gaps", lambda *_: ())
    assert finds_a_fault("redaction")


def test_the_command_runs_a_target_and_says_what_it_did(tmp_path: Path) -> None:
    command = (sys.executable, str(RUN), "cookies", "--seconds", "0", "--plain")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "cookies: 0 inputs, all properties hold\n")
    assert not list(tmp_path.iterdir())


def test_the_command_tries_one_file(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"fs_uid=1")
    command = (sys.executable, str(RUN), "cookies", "--file", str(file))
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
