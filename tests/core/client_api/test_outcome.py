"""The last word on every call, with the ledger's answers, modes and repeats; and the bytes that go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from fsproxy.core.client_api.calls import Call, ValidatedCall
from fsproxy.core.client_api.inspected import Form, InspectedCall, Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.limiting import spends
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.client_api.verdicts import LimitVerdict
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.limits.page_clock import CallClock
from fsproxy.core.model import CallKind, Instant, Mode, Rejection, Route
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import CardinalitySettings, ClientApiSettings, PlanSettings, RateSettings
from support.call_samples import API, OPAQUE, SET_VARS, bundle, compact, event, first, second, user

SETTINGS = ClientApiSettings()
SHADOW = ClientApiSettings(mode=Mode.SHADOW)
GOOD = first("Good", {"a_str": "x"})


def decided(inspection: Inspection, settings: ClientApiSettings = SETTINGS) -> CallsOutcome:
    return decide_calls(inspection, {}, (), settings)


def codes(outcome: CallsOutcome) -> list[tuple[str, str | None]]:
    return [(each.code.value, each.property) for each in outcome.rejections]


def forwarded(*events: str, route: Route = Route.BUNDLE) -> bytes | None:
    inspection = inspect(SETTINGS, route, bundle(*events))
    return rewrite(inspection, decided(inspection))


def test_a_bundle_in_which_nothing_is_rejected_goes_on_as_it_came() -> None:
    assert forwarded(*OPAQUE, API, GOOD) is None
    assert forwarded(*OPAQUE[:2]) is None


def test_a_rejected_call_goes_with_its_companion_and_nothing_else() -> None:
    bad = first("", {"a_str": "x"})
    default = '{"Kind":98,"Args":["default",null],"When":1}'
    assert forwarded(OPAQUE[0], API, bad, *OPAQUE) == bundle(OPAQUE[0], *OPAQUE)
    assert forwarded(API, bad) == bundle()
    assert forwarded(bad, GOOD, API, bad) == bundle(GOOD)
    assert forwarded(default, bad, API, GOOD) == bundle(default, API, GOOD)
    assert forwarded(API, GOOD, bad) == bundle(API, GOOD)


def test_a_rejected_property_leaves_the_properties_and_the_schema() -> None:
    call = event(8197, ["E", '{"a": 1.50,"b":"x","o":{"c":"x"},"d":1E3}', None, 1,
                        '{"a":"real","b":"int","o":{"c":"int"},"d":"real","unused":"str"}'])  # fmt: skip
    left = event(8197, ["E", '{"a": 1.50,"d":1E3}', None, 1, '{"a":"real","d":"real","unused":"str"}'])
    assert forwarded(*OPAQUE, API, call, OPAQUE[0]) == bundle(*OPAQUE, API, left, OPAQUE[0])


def test_other_arguments_and_members_keep_their_bytes() -> None:
    around = '{ "When":5 , "Extra":[1.0] ,"Args" :[ "\\u0045" , "{%s}" , "seg\\u006dent" ],"Kind":8197}'
    before = r"\"a_str\":5,\"b_str\":\"\u00e9\""
    after = r"\"b_str\":\"é\""
    assert forwarded(around.replace("%s", before)) == bundle(around.replace("%s", after))


def test_an_event_whose_properties_all_fail_goes_on_by_its_name() -> None:
    assert forwarded(API, first("E", {"a": 1, "o": {"b": 2}})) == bundle(API, first("E", {}))
    assert forwarded(API, second("E", {"a": 1}, {"a": "str"})) == bundle(API, second("E", {}, {}))


def test_each_of_several_lists_of_events_keeps_its_own_commas() -> None:
    """Some reader takes each of them for the events (rules.md 4)."""
    bad = first("", {})
    for lists, left in (
        (([bad, GOOD], [bad, GOOD]), ([GOOD], [GOOD])),
        (([GOOD, bad], [bad]), ([GOOD], [])),
        (([bad], [GOOD, bad, GOOD]), ([], [GOOD, GOOD])),
    ):
        came, goes = (
            f'{{"Evts":[{",".join(one)}],"evts":[{",".join(other)}]}}'.encode() for one, other in (lists, left)
        )
        inspection = inspect(SETTINGS, Route.BUNDLE, came)
        assert rewrite(inspection, decided(inspection)) == goes


def test_variables_that_all_fail_are_cut() -> None:
    assert forwarded(SET_VARS, user({"a": 1}), GOOD) == bundle(GOOD)
    assert forwarded(SET_VARS, user({}), GOOD) is None


def test_lists_of_objects_are_cut_by_element() -> None:
    before = {"products": [{"price": "x", "sku": "a"}, {"price": 1, "sku": 5}, {"sku": 6}]}
    schema = {"products": [{"price": "real", "sku": "str"}] * 2}
    after = {"products": [{"sku": "a"}, {"price": 1}, {}]}
    left = {"products": [{"sku": "str"}, {"price": "real"}]}
    assert forwarded(second("Order Completed", before, schema)) == bundle(second("Order Completed", after, left))


@pytest.mark.parametrize(
    ("route", "body", "status", "left"),
    [
        (Route.DIRECT_EVENT, '{"name":"E","properties":{"a_str":5,"b_str":"x"},"more":1.0}', None,
         '{"name":"E","properties":{"b_str":"x"},"more":1.0}'),
        (Route.DIRECT_EVENT, '{"n":"E","p":{"a_str":5}}', None, '{"n":"E","p":{}}'),
        (Route.DIRECT_EVENT, '{"name":"E","properties":{"a_str":"x"}}', None, None),
        (Route.DIRECT_EVENT, '{"name":""}', 400, None),
        (Route.DIRECT_IDENTIFY, '{"uid":"ada","a":1}', None, '{"uid":"ada"}'),
        (Route.DIRECT_IDENTIFY, '{"uid":"0","a_str":"x"}', 400, None),
        (Route.DIRECT_SET_USER_VARS, '{"a":1}', 400, None),
        (Route.DIRECT_SET_USER_VARS, "{}", None, None),
        (Route.DIRECT_SET_USER_VARS, '{"a_str":"' + "x" * 600_000 + '"}', 413, None),
    ],
)  # fmt: skip
def test_direct_calls(route: Route, body: str, status: int | None, left: str | None) -> None:
    inspection = inspect(SETTINGS, route, body.encode())
    outcome = decided(inspection)
    assert outcome.status == status
    assert rewrite(inspection, outcome) == (None if left is None else left.encode())


def test_a_bundle_is_never_answered_and_an_event_upload_only_when_nothing_is_left() -> None:
    bad, big = first("", {}), first("E", {"a_str": "x" * 600_000})
    for events, status in (((bad,), 400), ((bad, big), 400), ((big, big), 413), ((bad, GOOD), None), ((), None)):
        upload = bundle(*events, '{"Kind":99,"Args":[8197],"When":1}')
        assert decided(inspect(SETTINGS, Route.EVENT, upload)).status == status
        assert decided(inspect(SETTINGS, Route.BUNDLE, upload)).status is None


def test_refused_names_cut_properties_and_a_refused_event_name_its_call() -> None:
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(
        first("Old", {"a_str": "x", "b_str": "x"}), first("New", {"a_str": "x"}), user({"a_str": "x", "b_str": "x"}),
        first("page", {"b_str": "x"}, 8193),
    ))  # fmt: skip
    refused = {
        NameKind.EVENT_NAME: {"New"},
        NameKind.EVENT_PROPERTY: {"Old/b_str", "New/a_str"},
        NameKind.USER_PROPERTY: {"b_str"},
    }
    outcome = decide_calls(inspection, refused, (), SETTINGS)
    assert codes(outcome) == [
        ("CardinalityExceeded", "b_str"),
        ("CardinalityExceeded", None),
        ("CardinalityExceeded", "a_str"),
        ("CardinalityExceeded", "b_str"),
    ]
    assert rewrite(inspection, outcome) == bundle(
        first("Old", {"a_str": "x"}), user({"a_str": "x"}), first("page", {"b_str": "x"}, 8193)
    )


def test_what_is_over_the_rate_is_cut_and_both_halves_of_an_identify_are_one_rejection() -> None:
    events = [SET_VARS, user({"uid": "ada"}), SET_VARS, user({"a_str": "x"}), API, GOOD]
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(*events))
    outcome = decide_calls(inspection, {}, {0, 1}, SETTINGS)
    assert [(each.code.value, each.kind.value, each.detail) for each in outcome.rejections] == [
        ("RateLimited", "identify", "more than 5 in 1 s or 12 in 60 s")
    ]
    assert (outcome.rejected_calls, outcome.rejected) == (2, 1)
    assert rewrite(inspection, outcome) == bundle(API, GOOD)


def test_a_direct_call_over_the_rate_is_answered_with_429() -> None:
    inspection = inspect(SETTINGS, Route.DIRECT_EVENT, b'{"name":"E"}')
    assert decide_calls(inspection, {}, {0}, SETTINGS).status == 429


REFUSED = user({"uid": "0"})


@pytest.mark.parametrize("route", [Route.BUNDLE, Route.EVENT])
@pytest.mark.parametrize("uid", ["0", "", 5, None, "x" * 257, "x" * 600_000, ["a"], {"a": 1}])
def test_a_refused_uid_takes_the_variables_of_its_identify_along(route: Route, uid: object) -> None:
    """They would land on whoever is identified at that time."""
    events = [OPAQUE[0], SET_VARS, user({"uid": uid}), SET_VARS, user({"a_str": "x", "b": 1}), API, GOOD]
    inspection = inspect(SETTINGS, route, bundle(*events))
    outcome = decide_calls(inspection, {}, (), SETTINGS)
    assert [each.rejected for each in outcome.calls] == [True, True, False]
    assert inspection.names(range(3)) == inspect(SETTINGS, route, bundle(GOOD)).names([0])
    spending = spends("o", "s", inspection, outcome, (), CallClock(Instant(0.0)), SETTINGS.rate)
    assert [group.calls for group in spending.groups] == [(2,)]
    assert rewrite(inspection, outcome) == bundle(OPAQUE[0], API, GOOD)
    assert [(each.kind.value, each.property) for each in outcome.rejections][1:] == [("set_user_vars", "b")]


def test_a_repeated_identify_is_rejected_whole_again() -> None:
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(REFUSED, user({"a_str": "x"})))
    once = decide_calls(inspection, {}, (), SETTINGS)
    verdicts = {index: each.verdict for index, each in enumerate(once.calls)}
    again = decide_calls(inspection, {}, (), SETTINGS, repeats=verdicts)
    assert again.rejected_calls == once.rejected_calls == 2
    other = {1: LimitVerdict(refused=((NameKind.USER_PROPERTY, "a_str"),))}
    assert decide_calls(inspection, {}, (), SETTINGS, repeats=other).rejected_calls == 2


@pytest.mark.parametrize(
    "others",
    [
        [user({"a_str": "x"}, when=11)],
        [user({"uid": "ada", "a_str": "x"})],
        [GOOD, user({"a_str": "x"})],
        [OPAQUE[0], user({"a_str": "x"})],
        [first("page", {"a_str": "x"}, 8193)],
        [user({"a_str": "x"}, when=None)],
    ],
    ids=["later", "with a uid", "after an event", "after something opaque", "of the page", "without a time"],
)
def test_what_is_not_the_same_call_stays(others: list[str]) -> None:
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(REFUSED, *others))
    assert rewrite(inspection, decide_calls(inspection, {}, (), SETTINGS)) == bundle(*others)


def test_an_ordinary_property_named_uid_is_no_uid_of_its_own() -> None:
    variables = second("user", {"uid": "x"}, {"uid": "str"}, 8193)
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(REFUSED, variables))
    assert decide_calls(inspection, {}, (), SETTINGS).rejected_calls == 2


def test_in_shadow_the_variables_of_a_refused_uid_go_on() -> None:
    inspection = inspect(SHADOW, Route.BUNDLE, bundle(REFUSED, user({"a_str": "x"})))
    outcome = decided(inspection, SHADOW)
    assert (outcome.changed, [each.code.value for each in outcome.shadow]) == (False, ["InvalidId"])


def test_rejected_variables_leave_the_uid() -> None:
    uid = user({"uid": "ada"})
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(uid, user({"a": "x"})))
    assert rewrite(inspection, decide_calls(inspection, {}, (), SETTINGS)) == bundle(uid)


def test_a_repeat_takes_the_first_copys_verdict() -> None:
    body = bundle(first("E", {"a_str": "x", "b_str": "x"}), first("F", {}))
    inspection = inspect(SETTINGS, Route.BUNDLE, body)
    once = decide_calls(inspection, {NameKind.EVENT_PROPERTY: {"E/b_str"}}, {1}, SETTINGS)
    verdicts = {index: each.verdict for index, each in enumerate(once.calls)}
    assert decide_calls(inspection, {}, (), SETTINGS, repeats=verdicts) == once
    passed = {0: LimitVerdict(), 1: LimitVerdict()}
    again = decide_calls(inspection, {NameKind.EVENT_PROPERTY: {"E/b_str"}}, {1}, SETTINGS, repeats=passed)
    assert not again.changed


def test_shadow_changes_nothing_and_notes_everything() -> None:
    inspection = inspect(SHADOW, Route.DIRECT_EVENT, b'{"name":"","properties":{"a":1}}')
    outcome = decided(inspection, SHADOW)
    assert (outcome.status, outcome.changed, codes(outcome)) == (None, False, [])
    assert [each.code.value for each in outcome.shadow] == ["InvalidEventName", "MissingPropertyType"]
    assert rewrite(inspection, outcome) is None
    capped = decide_calls(inspection, {}, (), SETTINGS.capped(Mode.SHADOW))
    assert capped == outcome
    assert decide_calls(inspection, {}, (), SETTINGS.capped(Mode.OFF)).shadow == ()


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_limits_have_modes_of_their_own(mode: Mode) -> None:
    settings = ClientApiSettings(cardinality=CardinalitySettings(mode=mode), rate=RateSettings(mode=mode))
    inspection = inspect(settings, Route.BUNDLE, bundle(first("E", {"a_str": "x", "b": 1})))
    outcome = decide_calls(inspection, {NameKind.EVENT_PROPERTY: {"E/a_str"}}, {0}, settings)
    assert codes(outcome) == [("MissingPropertyType", "b")]
    noted = ["RateLimited", "CardinalityExceeded"] if mode is Mode.SHADOW else []
    assert [each.code.value for each in outcome.shadow] == noted
    assert rewrite(inspection, outcome) == bundle(first("E", {"a_str": "x"}))


def _document(outcome: CallsOutcome) -> dict[str, Any]:
    document = msgspec.json.decode(problem_document(outcome))
    assert isinstance(document, dict)
    return document


def test_the_problem_document_lists_every_rejection_in_order_and_no_value() -> None:
    body = compact({"name": "", "properties": {"sp ace_str": "s3cret", "a_int": "s3cret"}}).encode()
    document = _document(decided(inspect(SETTINGS, Route.DIRECT_EVENT, body)))
    assert document["status"] == 400
    assert document["errors"] == [
        {"code": "InvalidEventName", "call": "", "property": None, "detail": "not a string of 1 to 250 characters"},
        {
            "code": "InvalidPropertyName",
            "call": "",
            "property": "sp ace_str",
            "detail": "not a letter followed by letters, digits, _",
        },
        {"code": "InvalidValue", "call": "", "property": "a_int", "detail": "not an integer of 64 bits"},
    ]
    assert "s3cret" not in repr(document)
    assert "message" not in document


ONE = ClientApiSettings(max_calls=1)
LIMITED = RejectionCode.RATE_LIMITED


def test_calls_beyond_the_most_are_counted_and_not_listed() -> None:
    inspection = inspect(ONE, Route.BUNDLE, bundle(GOOD, GOOD, user({}), first("", {})))
    counted = {(LIMITED, CallKind.EVENT): 2, (LIMITED, CallKind.SET_USER_VARS): 1}
    for mode in (Mode.ENFORCE, Mode.SHADOW):
        outcome = decided(inspection, replace(ONE, mode=mode))
        cut = 3 if mode is Mode.ENFORCE else 0
        assert (outcome.rejected_calls, outcome.rejected, len(outcome.rejections)) == (cut, cut, cut)
        assert (outcome.listed, len(outcome.shadow), outcome.changed) == ((), 3 - cut, cut > 0)
        assert outcome.counts() == ((counted, {}) if cut else ({}, counted))
        assert {each.detail for each in outcome.surplus} == {"more than 1 calls in one body"}


@pytest.mark.parametrize(
    ("call", "limited", "status"),
    [
        (first("", {}), False, 400),
        (first("E", {"a_str": "x" * 600_000}), False, 400),
        (GOOD, True, 429),
        (GOOD, False, None),
    ],
)
def test_where_calls_are_too_many_the_status_is_429_unless_another_is_broken(
    call: str, *, limited: bool, status: int | None
) -> None:
    inspection = inspect(ONE, Route.EVENT, bundle(call, GOOD))
    assert decide_calls(inspection, {}, {0} if limited else (), ONE).status == status


def test_refused_names_are_counted_one_by_one() -> None:
    inspection = inspect(SETTINGS, Route.BUNDLE, bundle(first("E", {"a_str": "x", "b_str": "x", "c_str": 1}), GOOD))
    refused = {NameKind.EVENT_PROPERTY: {"E/a_str", "E/b_str", "Good/a_str"}}
    enforced, shadow = decide_calls(inspection, refused, (), SETTINGS).counts()
    assert (sum(enforced.values()), shadow) == (4, {})
    assert enforced[RejectionCode.CARDINALITY_EXCEEDED, CallKind.EVENT] == 3


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_what_is_only_noted_is_listed_for_every_call(count: int) -> None:
    nameless = inspect(SHADOW, Route.BUNDLE, bundle(*[first("", {"a": 1})] * count))
    assert len(decided(nameless, SHADOW).shadow) == 2 * count
    assert len(decided(nameless).rejections) == 2 * count


def test_what_the_plan_of_names_notes_is_shadow() -> None:
    noted = (Rejection(RejectionCode.UNPLANNED_EVENT, CallKind.EVENT, "E", None, "is not in the plan"),)
    call = InspectedCall(Call(kind=CallKind.EVENT, name="E"), ValidatedCall(noted=noted))
    inspection = Inspection(b"", Route.BUNDLE, Form.BUNDLE, ((0, 0),), (call,))
    assert tuple(decided(inspection, replace(SETTINGS, plan=PlanSettings())).shadow) == noted
    assert decided(inspection).is_clean


def test_a_call_without_a_name_is_called_by_its_kind() -> None:
    document = _document(decided(inspect(SETTINGS, Route.DIRECT_IDENTIFY, b'{"uid":5}')))
    assert [(each["call"], each["code"]) for each in document["errors"]] == [("identify", "InvalidId")]


def test_a_name_is_echoed_only_so_far() -> None:
    document = _document(decided(inspect(SETTINGS, Route.DIRECT_EVENT, compact({"name": "n" * 9999}).encode())))
    assert document["errors"][0]["call"] == "n" * 1024 + "…"


def test_each_route_has_its_form_of_call() -> None:
    for route, body, expected in (
        (Route.DIRECT_EVENT, b'{"name":"E","properties":{"a":1}}', [("MissingPropertyType", "a")]),
        (Route.DIRECT_IDENTIFY, b'{"uid":"1"}', [("InvalidId", None)]),
        (Route.DIRECT_SET_USER_VARS, b'{"a_str":"x"}', []),
        (Route.BUNDLE, bundle(first("E", {"a": 1})), [("MissingPropertyType", "a")]),
    ):
        assert codes(decided(inspect(SETTINGS, route, body))) == expected


def test_the_mode_of_the_settings_is_obeyed() -> None:
    inspection = inspect(SETTINGS, Route.DIRECT_EVENT, b'{"name":""}')
    shadow = decided(inspection, SHADOW)
    assert (shadow.rejections, len(shadow.shadow)) == ((), 1)
    off = decided(inspection, ClientApiSettings(mode=Mode.OFF))
    assert (off.rejections, off.shadow) == ((), ())
