"""Calls are compared with the plan of names: after types and sizes, before the limits on names (rules.md 9)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.config.files import SentFiles
from fsproxy.config.loader import load_text
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.client_api.validation.learned import SIGHTINGS, LearnedEvents
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant, Mode, PropertyType, Route
from fsproxy.core.name_digest import LONGEST_NAME, name_digest
from fsproxy.core.plan_writing import learned_plan
from fsproxy.core.settings import ClientApiSettings, CoreSettings
from support.call_samples import bundle, first, second, user

PLAN = """
events:
  Bought: {properties: {total: real, items: strs, cart.size: int, code: [str, int]}, required: [total]}
  Left:
user_properties: {tier: str}
"""


def under(plan: str = PLAN, rules: str = "", client_api: str = "") -> ClientApiSettings:
    text = f"upstream: {{url: http://a}}\nplan: {{file: plan.yaml{rules}}}\nclient_api: {{{client_api}}}\n"
    org = load_text(text, "f.yaml", {}, SentFiles({"plan.yaml": plan})).core.default
    return org.client_api.capped(Mode.ENFORCE, org.plan)


def decided(
    api: ClientApiSettings, *events: str, refused: Mapping[NameKind, set[str]] | None = None
) -> tuple[CallsOutcome, dict[str, Any] | None, Mapping[NameKind, tuple[str, ...]]]:
    """Return what becomes of a bundle, the bundle that goes on if it is changed, and the names that it claims."""
    inspection = inspect(api, Route.BUNDLE, bundle(*events))
    outcome = decide_calls(inspection, refused or {}, (), api)
    changed = rewrite(inspection, outcome)
    return outcome, json.loads(changed) if changed else None, inspection.names(range(len(events)))


def told(rejections: Any) -> list[tuple[str, str | None, str | None]]:
    return [(each.code.value, each.call, each.property) for each in rejections]


@pytest.mark.parametrize("generation", [1, 2])
def test_what_is_not_planned_is_cut_and_claims_no_name(generation: int) -> None:
    if generation == 1:
        bought = first("Bought", {"total_real": 1, "secret_str": "x", "cart": {"size_int": 1, "seen_bool": True}})
        other, ann = first("Opened", {"a_str": "x"}), user({"tier_str": "x", "role_str": "x", "displayName": "Ann"})
        paths = ["secret_str", "cart.seen_bool", "role_str"]
    else:
        schema = {"total": "real", "secret": "str", "cart": {"size": "int", "seen": "bool"}}
        values = {"total": 1, "secret": "x", "cart": {"size": 1, "seen": True}}
        bought, other = second("Bought", values, schema), second("Opened", {"a": "x"}, {"a": "str"})
        ann = second("user", {"tier": "x", "role": "x"}, {"tier": "str", "role": "str"}, 8193)
        paths = ["secret", "cart.seen", "role"]
    outcome, changed, names = decided(under(), bought, other, ann)
    assert told(outcome.rejections) == [
        ("UnplannedProperty", "Bought", paths[0]),
        ("UnplannedProperty", "Bought", paths[1]),
        ("UnplannedEvent", "Opened", None),
        ("UnplannedProperty", None, paths[2]),
    ]
    assert names == {
        NameKind.EVENT_NAME: ("Bought",),
        NameKind.EVENT_PROPERTY: ("Bought/total_real", "Bought/cart.size_int"),
        NameKind.USER_PROPERTY: ("tier_str",),
    }
    assert changed is not None
    assert [each["Args"][0] for each in changed["Evts"]] == ["Bought", "user"]
    kept = json.loads(changed["Evts"][0]["Args"][1])
    assert kept == (
        {"total_real": 1, "cart": {"size_int": 1}} if generation == 1 else {"total": 1, "cart": {"size": 1}}
    )
    assert not outcome.shadow


def test_a_property_under_another_type_is_not_planned_and_the_plan_s_types_are_said() -> None:
    outcome, _, _ = decided(
        under(), first("Bought", {"total_real": 1, "items_str": "x", "code_str": "a", "code_bool": True})
    )
    assert [(each.property, each.detail) for each in outcome.rejections] == [
        ("items_str", "the plan has it as strs"),
        ("code_bool", "the plan has it as str or int"),
    ]


def test_a_plan_with_suffixes_is_noticed_by_who_reads_why_a_property_is_cut() -> None:
    plan = "events: {Bought: {properties: {total_real: real}}}\nuser_properties: {tier_str: str}"
    outcome, _, _ = decided(under(plan), first("Bought", {"total_real": 1}), user({"tier_str": ""}))
    assert {each.detail for each in outcome.rejections} == {
        "the plan has it with its suffix, but names there have none"
    }
    assert len(outcome.rejections) == 2


def test_a_property_gets_one_rejection_and_the_plan_comes_after_type_and_size() -> None:
    outcome, _, _ = decided(
        under(), first("Bought", {"total_real": 1, "no_str": 1, "big_str": "x" * 9000, "odd_str": ""})
    )
    assert [each.code.value for each in outcome.rejections] == ["InvalidValue", "ValueTooBig", "UnplannedProperty"]


def test_a_required_property_that_is_missing_is_reported_and_the_event_goes_on() -> None:
    outcome, changed, names = decided(under(), first("Bought", {"items_strs": []}), first("Left", {}))
    assert (told(outcome.shadow), told(outcome.rejections)) == ([("MissingProperty", "Bought", "total")], [])
    assert (changed, outcome.is_clean) == (None, False)
    assert names[NameKind.EVENT_NAME] == ("Bought", "Left")


@pytest.mark.parametrize("properties", [{}, {"total_real": "x"}, {"total_int": 1}])
def test_a_required_property_that_is_missing_cuts_the_event_if_it_should(properties: dict[str, Any]) -> None:
    outcome, changed, names = decided(under(rules=", missing: cut"), first("Bought", properties))
    assert told(outcome.rejections)[0] == ("MissingProperty", "Bought", "total")
    assert (changed, names) == ({"Seq": 1, "When": 1, "Evts": []}, {})


def test_an_event_that_is_cut_for_what_it_lacks_still_reports_what_is_allowed() -> None:
    outcome, _, _ = decided(
        under(rules=", missing: cut, unplanned: allow"), first("Bought", {"a_str": "x", "b_int": ""})
    )
    assert told(outcome.rejections) == [("MissingProperty", "Bought", "total"), ("InvalidValue", "Bought", "b_int")]
    assert told(outcome.shadow) == [("UnplannedProperty", "Bought", "a_str")]


@pytest.mark.parametrize("rules", [", mode: shadow", ", unplanned: allow"])
@pytest.mark.parametrize("client_api", ["", "mode: shadow"])
def test_in_shadow_and_where_it_is_allowed_it_is_only_reported(rules: str, client_api: str) -> None:
    calls = (first("Opened", {"a_str": ""}), first("Bought", {"total_real": 1, "b_str": ""}), user({"c_str": ""}))
    outcome, changed, names = decided(under(rules=rules, client_api=client_api), *calls)
    assert told(outcome.shadow) == [
        ("UnplannedEvent", "Opened", None),
        ("UnplannedProperty", "Bought", "b_str"),
        ("UnplannedProperty", None, "c_str"),
    ]
    assert (changed, outcome.rejections, outcome.changed) == (None, (), False)
    assert names[NameKind.EVENT_NAME] == ("Opened", "Bought")


def test_a_plan_in_shadow_mode_does_not_hide_what_the_limit_on_names_cuts() -> None:
    api = under(rules=", mode: shadow")
    refused = {NameKind.EVENT_PROPERTY: {"Bought/b_str"}}
    outcome, changed, _ = decided(api, first("Bought", {"total_real": 1, "b_str": ""}), refused=refused)
    assert told(outcome.rejections) == [("CardinalityExceeded", "Bought", "b_str")]
    assert told(outcome.shadow) == [("UnplannedProperty", "Bought", "b_str")]
    assert changed is not None


def test_names_that_the_ledger_refuses_are_cut_beside_those_that_are_not_planned() -> None:
    refused = {NameKind.EVENT_PROPERTY: {"Bought/total_real"}}
    outcome, changed, _ = decided(under(), first("Bought", {"total_real": 1, "b_str": ""}), refused=refused)
    assert told(outcome.rejections) == [
        ("CardinalityExceeded", "Bought", "total_real"),
        ("UnplannedProperty", "Bought", "b_str"),
    ]
    assert changed is not None


@pytest.mark.parametrize(("rules", "client_api"), [(", mode: off", ""), ("", "mode: off")])
def test_a_plan_that_is_off_says_nothing(rules: str, client_api: str) -> None:
    assert under(rules=rules, client_api=client_api).plan is None


@pytest.mark.parametrize(
    "plan", ["events: {}", "events: {}\nuser_properties:", "user_properties: {}", "user_properties: {}\nevents:"]
)
def test_a_section_that_the_plan_lacks_is_not_compared(plan: str) -> None:
    outcome, _, _ = decided(under(plan), first("E", {"a_str": ""}), user({"a_str": ""}))
    has_events = plan.startswith("events: {}")
    assert [each.code.value for each in outcome.rejections] == (
        ["UnplannedEvent"] if has_events else ["UnplannedProperty"]
    )


def test_variables_of_pages_are_not_compared() -> None:
    page = first("page", {"pageName": "x", "a_str": "x"}, 8193)
    assert decided(under(), page)[0].is_clean


def test_a_user_call_of_which_nothing_is_planned_is_rejected() -> None:
    outcome, changed, _ = decided(under(), user({"a_str": ""}))
    assert (outcome.rejected_calls, changed) == (1, {"Seq": 1, "When": 1, "Evts": []})


def test_a_list_of_objects_is_planned_by_the_paths_in_it() -> None:
    plan = "events: {Order Completed: {properties: {products.price: real}, required: [products.price]}}"
    ordered = first("Order Completed", {"products": [{"price_real": 1, "id_str": "x"}, {"price_real": 2}]})
    outcome, changed, names = decided(under(plan, ", missing: cut"), ordered)
    assert told(outcome.rejections) == [("UnplannedProperty", "Order Completed", "products.id_str")]
    assert changed is not None
    assert json.loads(changed["Evts"][0]["Args"][1]) == {"products": [{"price_real": 1}, {"price_real": 2}]}
    assert names[NameKind.EVENT_PROPERTY] == ("Order Completed/products.price_real",)


IDENTIFY = {"uid": "u1", "tier_str": "x", "a_str": "x"}
ROUTES: list[tuple[Route, ServerCall | None, Any, list[str]]] = [
    (Route.DIRECT_EVENT, None, {"name": "Bought", "properties": {"total_real": 1, "a_str": ""}}, ["a_str"]),
    (Route.DIRECT_IDENTIFY, None, IDENTIFY, ["a_str"]),
    (Route.DIRECT_SET_USER_VARS, None, {"tier_str": "x", "a_str": "x"}, ["a_str"]),
    (Route.SERVER_API, ServerCall.CUSTOM_VARS, {"tier_str": "x", "a_str": "x"}, ["a_str"]),
    (
        Route.SERVER_API,
        ServerCall.CUSTOM_EVENT,
        {"event": {"event_name": "Bought", "event_data": {"total_real": 1, "a_str": ""}}},
        ["a_str"],
    ),
    (Route.SERVER_API, ServerCall.EVENT, {"name": "Bought", "properties": {"total": 1, "a": ""}}, ["a"]),
    (Route.SERVER_API, ServerCall.USER, {"uid": "u1", "email": "e", "properties": {"tier": "x", "a": ""}}, ["a"]),
    (
        Route.SERVER_API,
        ServerCall.EVENT_BATCH,
        {"requests": [{"name": "Opened"}, {"name": "Bought", "properties": {"total": 1, "a": ""}}]},
        ["Opened", "a"],
    ),
]


@pytest.mark.parametrize(("route", "endpoint", "body", "cut"), ROUTES)
def test_every_route_is_compared(route: Route, endpoint: ServerCall | None, body: Any, cut: list[str]) -> None:
    api = under()
    inspection = inspect(api, route, json.dumps(body).encode(), endpoint)
    outcome = decide_calls(inspection, {}, (), api)
    assert [each.property or each.call for each in outcome.rejections] == cut
    changed = rewrite(inspection, outcome)
    assert changed is not None
    assert b'"a' not in changed
    assert b"Opened" not in changed


def test_only_what_is_wholly_as_planned_is_learned() -> None:
    """An event that is learned is not compared again."""
    api = under(rules=", mode: shadow")
    events = LearnedEvents()
    for values, kept in (({"total_real": 1, "a_str": ""}, 0), ({"items_strs": []}, 0), ({"total_real": 1}, 1)):
        (call,) = inspect(api, Route.BUNDLE, bundle(first("Bought", values))).calls
        for _ in range(SIGHTINGS):
            events.note(call.call, call.validated, api)
        assert len(events._known) == kept


# -- learned plans

ANY_NAME = st.text(st.characters(exclude_categories=()), min_size=1, max_size=80)
PATHS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,30}(\.[a-z]{1,3}){0,2}", fullmatch=True)
TYPED = st.tuples(PATHS, st.sampled_from(PropertyType))
VALUES: dict[PropertyType, Any] = {each: [] for each in PropertyType} | {
    PropertyType.STR: "x", PropertyType.INT: 1, PropertyType.REAL: 1.5, PropertyType.BOOL: True, PropertyType.DATE: "2026-01-01",
}  # fmt: skip


def nested(properties: list[tuple[str, PropertyType]], *, suffixed: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return properties with values as pages send them, and their schema."""
    values: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    for path, declared in properties:
        *outer, last = path.split(".")
        inside, described = values, schema
        for each in outer:
            inside, described = inside.setdefault(f"{each}_", {}), described.setdefault(f"{each}_", {})
        inside[f"{last}_{declared}" if suffixed else last] = VALUES[declared]
        described[last] = str(declared)
    return values, schema


Body = tuple[Route, ServerCall | None, bytes]
EVENTS = st.lists(st.tuples(ANY_NAME, st.lists(TYPED, max_size=4)), max_size=3)


def bodies(
    events: list[tuple[str, list[tuple[str, PropertyType]]]], of_user: list[tuple[str, PropertyType]]
) -> list[Body]:
    """Send the same names on every route, in both generations."""
    calls: list[str] = []
    found: list[tuple[Route, ServerCall | None, Any]] = []
    items = []
    for name, properties in events:
        suffixed, (plain, schema) = nested(properties, suffixed=True)[0], nested(properties, suffixed=False)
        described = {"name": name, "properties": plain, "schema": {"properties": schema}}
        calls += [first(name, suffixed), second(name, plain, schema), second(name, plain, schema, version=2)]
        found.append((Route.DIRECT_EVENT, None, {"name": name, "properties": suffixed}))
        found.append((Route.SERVER_API, ServerCall.EVENT, described))
        custom = {"event": {"event_name": name, "event_data": suffixed}}
        found.append((Route.SERVER_API, ServerCall.CUSTOM_EVENT, custom))
        items.append(described)
    suffixed, (plain, schema) = nested(of_user, suffixed=True)[0], nested(of_user, suffixed=False)
    calls += [user(suffixed), second("user", plain, schema, 8193)]
    found.append((Route.SERVER_API, ServerCall.EVENT_BATCH, {"requests": items}))
    found.append((Route.DIRECT_IDENTIFY, None, {"uid": "u1", **suffixed}))
    found.append((Route.DIRECT_SET_USER_VARS, None, suffixed))
    found.append((Route.SERVER_API, ServerCall.CUSTOM_VARS, suffixed))
    found.append(
        (Route.SERVER_API, ServerCall.USER, {"uid": "u1", "properties": plain, "schema": {"properties": schema}})
    )
    # As recorders write it: unpaired surrogates are escaped.
    found.append((Route.BUNDLE, None, {"Seq": 1, "When": 1, "Evts": [json.loads(each) for each in calls]}))
    return [(route, endpoint, json.dumps(body).encode()) for route, endpoint, body in found]


def learned_from(names: Mapping[NameKind, Any], rules: str = "") -> ClientApiSettings:
    kept = [
        (f"{kind}{chr(91) * 90}", kind, each if len(each) <= LONGEST_NAME else name_digest(each), Instant(1.8e9))
        for kind, several in names.items()
        for each in several
    ]
    return under(learned_plan(kept, CoreSettings(), Instant(1.8e9)) or "events: {}\nuser_properties: {}", rules)


@settings(max_examples=40)
@given(EVENTS, st.lists(TYPED, max_size=4))
def test_a_plan_never_rejects_what_it_was_learned_from(
    events: list[tuple[str, list[tuple[str, PropertyType]]]], of_user: list[tuple[str, PropertyType]]
) -> None:
    """On any route and of any generation: all have the same canonical names."""
    sent = bodies(events, of_user)
    before = [inspect(ClientApiSettings(), route, body, endpoint) for route, endpoint, body in sent]
    bundle_alone = before[-1]
    learned = learned_from(bundle_alone.names(range(len(bundle_alone.calls))), ", missing: cut")
    assert learned.plan is not None
    for (route, endpoint, body), inspection in zip(sent, before, strict=True):
        again = inspect(learned, route, body, endpoint)
        assert [each.validated for each in again.calls] == [each.validated for each in inspection.calls]


@settings(max_examples=30)
@given(EVENTS, st.lists(TYPED, max_size=4), st.randoms(use_true_random=False))
def test_what_is_not_planned_goes_as_what_the_ledger_refuses_does(
    events: list[tuple[str, list[tuple[str, PropertyType]]]], of_user: list[tuple[str, PropertyType]], random: Any
) -> None:
    plain = ClientApiSettings()
    for route, endpoint, body in bodies(events, of_user):
        inspection = inspect(plain, route, body, endpoint)
        names = {kind: set(found) for kind, found in inspection.names(range(len(inspection.calls))).items()}
        gone: dict[NameKind, set[str]] = {
            kind: {each for each in sorted(names.get(kind, ())) if random.random() < 0.5}
            for kind in (NameKind.EVENT_PROPERTY, NameKind.USER_PROPERTY)
        }
        kept = {kind: found - gone.get(kind, set()) for kind, found in names.items()}
        api = learned_from({**dict.fromkeys(NameKind, ()), **kept})
        planned = inspect(api, route, body, endpoint)
        wanted, found = decide_calls(inspection, gone, (), plain), decide_calls(planned, {}, (), api)
        assert rewrite(planned, found) == rewrite(inspection, wanted)
        assert [each.rejected for each in found.calls] == [each.rejected for each in wanted.calls]
        told = [[(each.property, each.code.value) for each in outcome.rejections] for outcome in (found, wanted)]
        assert told[0] == [(path, code.replace("CardinalityExceeded", "UnplannedProperty")) for path, code in told[1]]


def test_a_plan_that_is_learned_has_nothing_of_pages() -> None:
    at = Instant(1.8e9)
    names = [
        ("o", NameKind.USER_PROPERTY, "tier_str", at),
        ("o", NameKind.PAGE_PROPERTY, "step_int", at),
        ("o", NameKind.PAGE_NAME, name_digest("Checkout"), at),
    ]
    assert learned_plan(names, CoreSettings(), at) == learned_plan(names[:1], CoreSettings(), at) != ""
