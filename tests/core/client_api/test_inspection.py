"""What a body holds, judged without the ledger: every route, and what the limits need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fsproxy.core.client_api.inspected import Inspection, RateGroup
from fsproxy.core.client_api.inspection import inspect, inspect_anew, recognize
from fsproxy.core.client_api.outcome import decide_calls
from fsproxy.core.client_api.reading.bundle import Uninspectable
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.client_api.validation.learned import EVENTS, SIGHTINGS
from fsproxy.core.limits.operations import NameKind, RateKind
from fsproxy.core.model import Route
from fsproxy.core.name_digest import name_digest
from fsproxy.core.settings import CardinalitySettings, ClientApiSettings, OnUninspectable
from support.call_samples import API, OPAQUE, SET_VARS, bundle, compact, event, first, second, user

SETTINGS = ClientApiSettings()


def found(inspection: Inspection) -> list[tuple[str, str, str | None, str | None]]:
    return [
        (each.code.value, each.kind.value, each.call, each.property)
        for call in inspection.calls
        for each in call.validated.rejections
    ]


def on_bundle(*events: str, route: Route = Route.BUNDLE) -> Inspection:
    return inspect(SETTINGS, route, bundle(*events))


FIRST_GENERATION = [
    SET_VARS,
    user({"uid": "user-42"}),
    SET_VARS,
    user({"displayName": "Ada", "email": "a@example.com", "plan_str": "pro", "n_int": 3}),
    SET_VARS,
    user({"nul_str": None, "float_int": 1.5, "flag_bool": "true", "arr_str": ["a"], "items_strs": ["a", 1, None],
          "nested": {"a_int": 1, "b": {"c_str": "z"}}, "list_objs": [{"k_str": "v"}], "uni_str": "é😀", "email": 5}),
    SET_VARS,
    user({"0": 1, "1": 2}),
    SET_VARS,
    user({}),
    API,
    first("Bought", {"price_real": 9.5, "items_strs": ["a", "b"], "when_date": "1970-01-01T00:00:00.000Z"}),
    API,
    first("", {"a_str": "x"}),
    API,
    first("L" * 251, {"a_str": "b"}),
    API,
    first("StrProps", {"0": "a", "1": "b"}),
    API,
    event(8197, ["WithSource", '{"a_str":"b"}', "segment"]),
    first("page", {"pageName": "Home", "cat_str": "x"}, 8193),
    first("document", {"d": "x"}, 8193),
    '{"Kind":8196,"Args":[true,1],"When":6}',
]  # fmt: skip

SECOND_GENERATION = [
    SET_VARS,
    second("user", {"uid": "user-42"}, kind=8193),
    SET_VARS,
    second("user", {"displayName": "Ada", "plan": "pro", "n": 3}, {"plan": "str", "n": "int"}, 8193),
    SET_VARS,
    second("user", {"pets": 2, "noSuffix": "x", "dash-name": "v", "nul": None, "arr": ["a"], "list": [{"k": "v"}],
                    "nested": {"a": 1, "b": {"c": "z"}}, "email": 5},
           {"pets": "int", "dash-name": "str", "nul": "str", "fn": "str", "arr": "str", "list": [{"k": "str"}],
            "nested": {"a": "int", "b": {"c": "str"}}}, 8193),
    SET_VARS,
    second("user", {"0": 1, "1": 2}, {}, 8193),
    API,
    second("Bought", {"price": 9.5, "items": ["a"]}, {"price": "real", "items": "strs"}),
    API,
    second("", {"a": "x"}, {"a": "str"}),
    API,
    second("Signed Up", {"plan": "pro", "list": [{"a": 1}], "9x": 1, "nul": None}, version=2),
    second("page", {"pageName": "Checkout", "cart": 3}, {}, 8193, 2),
    second("document", {"a": 1}, {}, 8193, 2),
]  # fmt: skip


def test_a_first_generation_bundle_gives_the_rejections_that_the_rules_say() -> None:
    """Worked out by hand from rules.md 2, call by call."""
    assert found(on_bundle(*OPAQUE[:3], *FIRST_GENERATION)) == [
        ("InvalidValue", "set_user_vars", None, "nul_str"),
        ("InvalidValue", "set_user_vars", None, "float_int"),
        ("InvalidValue", "set_user_vars", None, "flag_bool"),
        ("ExpectedAtom", "set_user_vars", None, "arr_str"),
        ("InvalidValue", "set_user_vars", None, "items_strs"),
        ("ExpectedAtom", "set_user_vars", None, "list_objs"),
        ("InvalidValue", "set_user_vars", None, "email"),
        ("InvalidPropertyName", "set_user_vars", None, "0"),
        ("InvalidPropertyName", "set_user_vars", None, "1"),
        ("InvalidEventName", "event", "", None),
        ("InvalidEventName", "event", "L" * 251, None),
        ("InvalidPropertyName", "event", "StrProps", "0"),
        ("InvalidPropertyName", "event", "StrProps", "1"),
        ("MissingPropertyType", "document", None, "d"),
    ]


def test_a_second_generation_bundle_gives_the_rejections_that_the_rules_say() -> None:
    """Worked out by hand from rules.md 2, call by call."""
    assert found(on_bundle(*OPAQUE, *SECOND_GENERATION)) == [
        ("MissingPropertyType", "set_user_vars", None, "noSuffix"),
        ("InvalidPropertyName", "set_user_vars", None, "dash-name"),
        ("InvalidValue", "set_user_vars", None, "nul"),
        ("ExpectedAtom", "set_user_vars", None, "arr"),
        ("ExpectedAtom", "set_user_vars", None, "list"),
        ("InvalidValue", "set_user_vars", None, "email"),
        ("InvalidPropertyName", "set_user_vars", None, "0"),
        ("InvalidPropertyName", "set_user_vars", None, "1"),
        ("InvalidEventName", "event", "", None),
        ("ExpectedAtom", "event", "Signed Up", "list"),
        ("InvalidPropertyName", "event", "Signed Up", "9x"),
        ("InvalidValue", "event", "Signed Up", "nul"),
    ]


def test_names_to_claim_are_of_what_survives() -> None:
    inspection = on_bundle(
        user({"a_str": "x", "b_int": "x", "email": "a@b"}),
        second("user", {"a": "y", "c": 1}, {"a": "str", "c": "int"}, 8193),
        first("Bought", {"a_str": "x"}),
        first("Bought", {"a_str": "x", "b_str": "x"}),
        first("Sold", {"a_str": 5}),
        first("", {"z_str": "x"}),
        user({"z_int": "x"}),
        first("page", {"z_str": "x", "pageName": "Home"}, 8193),
        first("page", {"pageName": 5, "y_str": 5}, 8193),
        first("document", {"z_str": "x", "pageName": "Home"}, 8193),
    )
    assert inspection.names(range(len(inspection.calls))) == {
        NameKind.USER_PROPERTY: ("a_str", "c_int"),
        NameKind.EVENT_NAME: ("Bought", "Sold"),
        NameKind.EVENT_PROPERTY: ("Bought/a_str", "Bought/b_str"),
        NameKind.PAGE_PROPERTY: ("z_str",),
    }


def test_values_of_page_name_are_claimed_as_digests_where_they_are_limited() -> None:
    limited = ClientApiSettings(cardinality=CardinalitySettings(page_names=5))
    events = [
        first("page", {"pageName": "Home"}, 8193),
        first("page", {"pageName": "Home", "a_int": 1}, 8193),
        second("page", {"pageName": "Cart"}, {"pageName": "str"}, 8193),
        first("page", {"n": {"pageName": "Below"}}, 8193),
        first("page", {"pageName": 5}, 8193),
        first("document", {"pageName": "Other"}, 8193),
        first("pageName", {"pageName_str": "x"}),
    ]
    inspection = inspect(limited, Route.BUNDLE, bundle(*events))
    names = inspection.names(range(len(inspection.calls)))
    assert names[NameKind.PAGE_NAME] == (name_digest("Home"),)
    assert names[NameKind.PAGE_PROPERTY] == ("a_int", "pageName_str")


def test_identify_with_vars_is_one_call_against_the_rate() -> None:
    uid, both = user({"uid": "ada"}, 1), user({"a_str": "x"}, 2)
    groups = on_bundle(
        *(SET_VARS, uid, SET_VARS, both, both, uid, both, uid, OPAQUE[0], both, uid, first("E", {}, when=9), both),
        *(uid, uid, both, first("page", {}, 8193)),
    ).rate_groups()
    assert [(each.kind.value, each.calls, each.when) for each in groups] == [
        ("user", (0, 1), 1),
        ("user", (2,), 2),
        ("user", (3, 4), 1),
        ("user", (5,), 1),
        ("user", (6,), 2),
        ("user", (7,), 1),
        ("event", (8,), 9),
        ("user", (9,), 2),
        ("user", (10,), 1),
        ("user", (11, 12), 1),
        ("page", (13,), 5),
    ]


def test_a_repeat_has_the_digest_of_its_first_copy() -> None:
    once, other = first("E", {"a_str": "x"}), first("E", {"a_str": "y"})
    one = on_bundle(API, once, once, other, first("E", {"a_str": "x"}, when=6))
    digests = [each.digest for each in one.calls]
    assert len(set(digests)) == 4
    again = on_bundle(other, *OPAQUE, once, first("E", {"a_str": "x"}, when=6), once, route=Route.EVENT)
    assert {each.digest for each in again.calls} == set(digests)
    assert again.calls[1].digest == one.calls[0].digest
    assert again.calls[3].digest == one.calls[1].digest


def test_a_digest_never_changes_from_version_to_version() -> None:
    """Else the calls that were counted before an update would count again after it."""
    call = first("E", {"a_int": 1})
    digests = [each.digest for each in on_bundle(call, call).calls]
    known = bytes.fromhex("3438eaf46a68c84e039301e0898beaec")
    assert digests == [known + bytes(4), known + bytes((0, 0, 0, 1))]


@pytest.mark.parametrize("when", [True, None, "5", [5]])
def test_a_when_that_is_no_number_is_none(when: Any) -> None:
    assert on_bundle(event(8197, ["E", "{}"], when)).calls[0].when is None


def test_direct_calls_have_neither_digest_nor_time() -> None:
    inspection = inspect(SETTINGS, Route.DIRECT_EVENT, b'{"name":"E","properties":{"a_str":"x"}}')
    assert [(each.digest, each.when) for each in inspection.calls] == [(None, None)]
    assert inspection.rate_groups() == (RateGroup(RateKind.EVENT, (0,), None),)


@pytest.mark.parametrize(
    ("route", "body", "expected"),
    [
        (Route.DIRECT_EVENT, {"name": "E", "properties": {"a_str": "x"}}, []),
        (Route.DIRECT_EVENT, {"n": "E", "p": {"a_str": 5}}, [("InvalidValue", "event", "E", "a_str")]),
        (Route.DIRECT_EVENT, {"name": "E"}, []),
        (Route.DIRECT_EVENT, {"properties": {"a": 1}},
         [("InvalidEventName", "event", None, None), ("MissingPropertyType", "event", None, "a")]),
        (Route.DIRECT_EVENT, {"name": None}, [("InvalidEventName", "event", None, None)]),
        (Route.DIRECT_EVENT, {"name": "E", "properties": [1]}, [("InvalidJson", "event", "E", None)]),
        (Route.DIRECT_EVENT, [], [("InvalidJson", "event", None, None)]),
        (Route.DIRECT_IDENTIFY, {"uid": "ada", "a_str": "x", "email": "a@b"}, []),
        (Route.DIRECT_IDENTIFY, {"uid": "NULL"}, [("InvalidId", "identify", None, None)]),
        (Route.DIRECT_IDENTIFY, {"a_str": "x"}, [("InvalidId", "identify", None, None)]),
        (Route.DIRECT_SET_USER_VARS, {"a_str": "x", "uid": "ada"}, []),
        (Route.DIRECT_SET_USER_VARS, {"a": "x"}, [("MissingPropertyType", "set_user_vars", None, "a")]),
        (Route.DIRECT_SET_USER_VARS, None, [("InvalidJson", "set_user_vars", None, None)]),
    ],
)  # fmt: skip
def test_direct_bodies(route: Route, body: Any, expected: list[Any]) -> None:
    assert found(inspect(SETTINGS, route, compact(body).encode())) == expected


LIMIT = 512 * 1024


def _direct(size: int) -> Inspection:
    body = b'{"name":"E","properties":{}}'
    return inspect(SETTINGS, Route.DIRECT_EVENT, body + b" " * (size - len(body)))


def _first_generation(size: int) -> Inspection:
    return on_bundle(event(8197, ["E", "{" + " " * (size - 2) + "}"]))


def _second_generation(size: int) -> Inspection:
    return on_bundle(event(8197, ["E", "{" + " " * (size - 2) + "}", None, 1, "{}"]))


@pytest.mark.parametrize("make", [_direct, _first_generation, _second_generation])
@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_payload_limit(make: Callable[[int], Inspection], size: int) -> None:
    codes = [code for code, *_ in found(make(size))]
    assert codes == (["TooBigToParse"] if size > LIMIT else [])


@pytest.mark.parametrize("length", [511, 512, 513])
def test_nested_path_limit_on_every_wire_form(length: int) -> None:
    bare = "p" * 300 + "." + "q" * (length - 305)
    outer, inner = bare.split(".")
    suffixed = {outer: {inner + "_str": "x"}}
    events = [
        first("E", suffixed),
        second("E", {outer: {inner: "x"}}, {outer: {inner: "str"}}),
        second("E", {outer: {inner: "x"}}, version=2),
        user({"a_str": "x", **suffixed}),
    ]
    expected = [] if length <= 512 else ["PropertyNameTooLong"]
    for number, each in enumerate(events):
        without_suffix = number == 2
        assert [code for code, *_ in found(on_bundle(each))] == ([] if without_suffix else expected)
    direct = compact({"name": "E", "properties": suffixed}).encode()
    assert [code for code, *_ in found(inspect(SETTINGS, Route.DIRECT_EVENT, direct))] == expected


@pytest.mark.parametrize("length", [8191, 8192, 8193])
@pytest.mark.parametrize("filler", ["x", "é", "😀"])
def test_value_size_limit_on_every_wire_form(length: int, filler: str) -> None:
    count, rest = divmod(length, len(filler.encode()))
    value = filler * count + "x" * rest
    expected = [] if length <= 8192 else ["ValueTooBig"]
    for each in (
        first("E", {"a_str": value}),
        second("E", {"a": value}, {"a": "str"}),
        second("E", {"a": value}, version=2),
    ):
        assert [code for code, *_ in found(on_bundle(each))] == expected
    direct = compact({"n": "E", "p": {"a_str": value}}).encode()
    assert [code for code, *_ in found(inspect(SETTINGS, Route.DIRECT_EVENT, direct))] == expected


@pytest.mark.parametrize("depth", [64, 65, 254, 255, 256, 257, 258, 600, 5_000, 80_000])
def test_what_bounds_the_depth_is_the_length_of_a_name(depth: int) -> None:
    """``a.a.a`` and so on: 254 objects around ``a_int`` make 511 characters, 256 around ``a`` do as well."""
    text = '{"a":' * (depth - 1) + '{"a_int":1}' + "}" * (depth - 1)
    for args, deepest in ((["E", text], 254), (["E", text.replace("a_int", "a"), None, 2, "{}"], 256)):
        expected = [] if depth <= deepest else ["PropertyNameTooLong"]
        assert [code for code, *_ in found(on_bundle(event(8197, args)))] == expected
    direct = inspect(SETTINGS, Route.DIRECT_SET_USER_VARS, text[:-1].encode() + b',"b_int":1}')
    assert [code for code, *_ in found(direct)] == ([] if depth <= 254 else ["PropertyNameTooLong"])
    left = rewrite(direct, decide_calls(direct, {}, (), SETTINGS))
    assert left == (None if depth <= 254 else b'{"b_int":1}')


LEARNED = {"name": "Learned", "properties": {"a_str": "x", "o": {"b_int": 1}}}


def learn() -> None:
    """Let an event be admitted until it is learned, in both of its forms."""
    for route, body in (
        (Route.DIRECT_EVENT, compact(LEARNED).encode()),
        (Route.BUNDLE, bundle(first("Learned", LEARNED["properties"]))),
    ):
        (each,) = inspect(SETTINGS, route, body).calls
        for _ in range(SIGHTINGS if each.call.learned is None else 0):
            EVENTS.note(each.call, each.validated, SETTINGS)


def test_only_an_event_that_is_learned_is_recognized() -> None:
    learn()
    body = compact(LEARNED).encode()
    found = recognize(SETTINGS, Route.DIRECT_EVENT, body)
    assert found is not None
    assert found == inspect(SETTINGS, Route.DIRECT_EVENT, body)
    assert found.calls[0].call.learned is not None
    for route, other in (
        (Route.DIRECT_EVENT, body.replace(b'"x"', b"5")),
        (Route.DIRECT_SET_USER_VARS, body),
        (Route.BUNDLE, bundle(first("Learned", LEARNED["properties"]))),
    ):
        assert recognize(SETTINGS, route, other) is None


def test_what_was_only_recognized_is_read_when_its_properties_are_wanted() -> None:
    learn()
    learned, other = first("Learned", LEARNED["properties"]), first("Unknown", {"c_int": 1})
    for inspection in (
        inspect(SETTINGS, Route.DIRECT_EVENT, compact(LEARNED).encode()),
        on_bundle(OPAQUE[0], learned),
        on_bundle(other, API, learned, other, learned),
    ):
        anew = inspect_anew(SETTINGS, inspection)
        assert [each.call.name for each in anew.calls] == [each.call.name for each in inspection.calls]
        for before, after in zip(inspection.calls, anew.calls, strict=True):
            assert (before.call.learned is not None) is (after.call.name == "Learned")
            wanted = LEARNED["properties"] if after.call.name == "Learned" else {"c_int": 1}
            assert (after.call.learned, after.call.properties) == (None, wanted)
            assert (after.part, after.validated.names) == (before.part, before.validated.names)
    nothing = on_bundle(other)
    assert inspect_anew(SETTINGS, nothing) is nothing


def test_variables_go_with_the_refused_uid_before_them_and_those_after_stay() -> None:
    one, refused, variables = user({"a_int": 1}, when=1), user({"uid": ""}), user({"b_int": 1})
    calls = on_bundle(one, refused, variables, first("E", {}), variables).calls
    assert [each.validated.rejected for each in calls] == [False, True, True, False, False]
    assert [each.call.properties for each in calls] == [{"a_int": 1}, {"uid": ""}, {"b_int": 1}, {}, {"b_int": 1}]
    assert [each.validated.rejected for each in on_bundle(refused, variables).calls] == [True, True]
    assert [each.validated.rejected for each in on_bundle(one, first("", {}), variables).calls] == [False, True, False]


def test_a_body_that_is_no_bundle_cannot_be_inspected() -> None:
    assert inspect(SETTINGS, Route.BUNDLE, b"8197").uninspectable is Uninspectable.BROKEN
    lax = b'{"Seq":1,"Evts":["]}'
    assert inspect(SETTINGS, Route.BUNDLE, lax).uninspectable is None
    strict = ClientApiSettings(on_uninspectable=OnUninspectable.BLOCK)
    assert inspect(strict, Route.BUNDLE, lax).uninspectable is Uninspectable.BROKEN


def test_other_routes_hold_no_calls() -> None:
    assert inspect(SETTINGS, Route.PAGE, b"{}").calls == ()
    assert inspect(SETTINGS, Route.OTHER, b"8197").calls == ()
