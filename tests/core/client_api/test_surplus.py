"""The calls beyond ``client_api.max_calls``: cut, counted, and hardly looked at (rules.md 2, "Calls of one body")."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.reading import bundle as bundle_module
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.model import Mode, Route
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings
from support.call_samples import API, OPAQUE, SET_VARS, bundle, first, user
from support.steps import counted

FEW = ClientApiSettings(max_calls=3)
CALLS = [first("E", {"n_int": n}, when=n) for n in range(6)]


def outcome_of(body: bytes, settings: ClientApiSettings = FEW, route: Route = Route.BUNDLE) -> CallsOutcome:
    return decide_calls(inspect(settings, route, body), {}, (), settings)


def left_of(body: bytes, settings: ClientApiSettings = FEW, route: Route = Route.BUNDLE) -> bytes | None:
    inspection = inspect(settings, route, body)
    return rewrite(inspection, decide_calls(inspection, {}, (), settings))


def test_the_first_are_judged_and_the_rest_go_with_what_announces_them() -> None:
    body = bundle(OPAQUE[0], API, CALLS[0], CALLS[1], OPAQUE[1], API, CALLS[2], API, CALLS[3], OPAQUE[0], CALLS[4], API)
    assert left_of(body) == bundle(OPAQUE[0], API, CALLS[0], CALLS[1], OPAQUE[1], API, CALLS[2], OPAQUE[0], API)
    outcome = outcome_of(body)
    assert (outcome.rejected_calls, outcome.rejected, outcome.status) == (2, 2, None)
    assert {each.code for each in outcome.rejections} == {RejectionCode.RATE_LIMITED}


def test_at_the_limit_all_are_judged() -> None:
    assert left_of(bundle(*CALLS[:3], *OPAQUE)) is None


def test_the_rest_is_counted_by_kind() -> None:
    body = bundle(*CALLS[:3], user({"a_int": 1}), CALLS[3], SET_VARS, user({"uid": "x"}))
    kinds = Counter(each.kind.value for each in outcome_of(body).rejections)
    assert kinds == {"set_user_vars": 2, "event": 1}


@pytest.mark.parametrize(
    ("surplus", "goes"),
    [
        ('{"Kind":8197,"Args":"nonsense"}', True),
        ('{"When":5,"Args":["E","{}"],"Kind": 8193 }', True),
        ('{"When":5,"Args":["\\ud800",1e400],"Kind":8197}', True),
        ('{"Kind":20,"Args":[{"Kind":8197}],"When":5}', False),
        ('{"Kind":20,"Args":["\\ud800",8197],"When":5}', False),
        ('{"Kind":8196,"Args":[8197],"When":5}', False),
    ],
)
def test_beyond_the_limit_the_kind_alone_tells(surplus: str, *, goes: bool) -> None:
    left = left_of(bundle(*CALLS[:3], surplus, OPAQUE[0]))
    assert left == (bundle(*CALLS[:3], OPAQUE[0]) if goes else None)


def test_shadow_forwards_and_counts_them() -> None:
    settings = replace(FEW, mode=Mode.SHADOW)
    assert left_of(bundle(*CALLS), settings) is None
    outcome = outcome_of(bundle(*CALLS), settings)
    assert (len(outcome.shadow), outcome.rejections, outcome.changed) == (3, (), False)
    assert outcome_of(bundle(*CALLS), replace(FEW, mode=Mode.OFF)).shadow == ()


def test_the_modes_of_rates_do_not_matter() -> None:
    """What is not read cannot be let pass: only ``client_api.mode`` does."""
    settings = replace(FEW, rate=replace(FEW.rate, mode=Mode.OFF))
    assert left_of(bundle(*CALLS), settings) == bundle(*CALLS[:3])


def test_when_nothing_is_left_of_an_event_upload_the_rest_stands_once_in_the_answer() -> None:
    body = bundle(*[first("", {}, when=n) for n in range(9)])
    outcome = outcome_of(body, route=Route.EVENT)
    assert outcome.status == 400
    problem = json.loads(problem_document(outcome))
    assert problem["detail"] == "9 rejections"
    assert [each["code"] for each in problem["errors"]] == ["InvalidEventName"] * 3 + ["RateLimited"]


def test_a_batch_loses_the_rest_of_its_items() -> None:
    items = [{"name": f"E{n}"} for n in range(5)]
    body = json.dumps({"requests": items}, separators=(",", ":")).encode()
    inspection = inspect(FEW, Route.SERVER_API, body, endpoint=ServerCall.EVENT_BATCH)
    outcome = decide_calls(inspection, {}, (), FEW)
    assert rewrite(inspection, outcome) == json.dumps({"requests": items[:3]}, separators=(",", ":")).encode()
    assert (outcome.rejected, outcome.status) == (2, None)


def cost(body: bytes, settings: ClientApiSettings) -> int:
    """The steps that it takes to find what is left of a body."""
    with counted() as steps:
        left_of(body, settings)
    return steps.taken


def test_the_rest_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of it is decoded as a call, and a call of it costs less than a tenth of one that is judged."""
    settings = ClientApiSettings(max_calls=2_000)
    calls = [first(f"E{n % 7}", {"a_str": "x", "n_int": n}, when=n) for n in range(20_000)]
    judged, all_of_them = bundle(*calls[:2_000]), bundle(*calls)
    read = Counter[str]()
    original = bundle_module.read_event

    def counted(raw: bytes, index: int, settings: ClientApiSettings) -> Any:
        read["events"] += 1
        return original(raw, index, settings)

    monkeypatch.setattr(bundle_module, "read_event", counted)
    outcome = outcome_of(all_of_them, settings)
    assert (read["events"], outcome.rejected) == (2_000, 18_000)
    monkeypatch.undo()
    each_judged = (cost(judged, settings) - cost(bundle(), settings)) / 2_000
    each_unread = (cost(all_of_them, settings) - cost(judged, settings)) / 18_000
    assert each_unread < each_judged / 4
