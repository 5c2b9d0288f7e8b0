"""The profiles of limits on client API calls: what each stands for, and which level wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.summary import summary
from fsproxy.core.settings import ClientApiSettings, CoreSettings, Profile, Window

DOCUMENTS = (Window(10, 1.0), Window(30, 60.0))
CURRENT = (Window(40, 1.0, per_page=True), Window(60, 60.0, per_page=True))


def core(text: str) -> CoreSettings:
    return load_text(f"upstream: {{url: http://u.test}}\n{text}", "f.yaml", {}, Path()).core


def base(text: str) -> ClientApiSettings:
    return core(f"client_api: {text}").default.client_api


def test_the_documents_are_the_defaults_and_their_profile() -> None:
    assert base("{}") == ClientApiSettings() == base("{limits: documents}")
    assert (base("{}").limits, base("{}").rate.event, base("{}").rate.page) == (Profile.DOCUMENTS, DOCUMENTS, ())


def test_the_current_profile_stands_for_what_the_vendors_pages_say() -> None:
    found = base("{limits: current}")
    properties = (Window(10, 1.0, per_page=True), Window(30, 60.0, per_page=True))
    assert (found.limits, found.allow_hyphen) == (Profile.CURRENT, True)
    assert (found.rate.event, found.rate.user, found.rate.page) == (CURRENT, properties, properties)
    names = found.cardinality
    assert (names.page_properties, names.page_properties_per_page, names.page_names) == (500, 50, 1_000)
    assert (names.user_properties, names.event_names, names.event_properties) == (500, 1_000, 5_000)


@pytest.mark.parametrize(
    ("written", "org", "wanted"),
    [
        ("{limits: current}", "{}", CURRENT),
        ("{limits: current, rate: {event: [1/s]}}", "{}", (Window(1, 1.0),)),
        ("{rate: {event: [1/s]}}", "{limits: current}", CURRENT),
        ("{limits: current, rate: {event: [1/s]}}", "{limits: documents}", DOCUMENTS),
        ("{limits: current, rate: {event: [1/s]}}", "{limits: documents, rate: {event: [2/h per page]}}",
         (Window(2, 3600.0, per_page=True),)),
        ("{limits: current}", "{rate: {event: [2/s]}}", (Window(2, 1.0),)),
        ("{limits: current}", "{rate: {user: [2/s]}}", CURRENT),
        ("{limits: current}", "{rate: null}", CURRENT),
    ],
)  # fmt: skip
def test_the_nearest_level_wins(written: str, org: str, wanted: tuple[Window, ...]) -> None:
    found = core(f"client_api: {written}\norgs: {{listed: {{o-1: {{client_api: {org}}}}}}}")
    assert found.orgs["o-1"].client_api.rate.event == wanted


def test_an_orgs_profile_leaves_the_bases_other_keys() -> None:
    found = core(
        "client_api: {max_payload: 9KB, reserved: {email: 5}}\norgs: {listed: {o-1: {client_api: {limits: current}}}}"
    )
    org = found.orgs["o-1"].client_api
    assert (org.max_payload, org.reserved["email"], org.cardinality.page_names) == (9 * 1024, 5, 1_000)
    assert found.default.client_api.limits is Profile.DOCUMENTS


def test_an_unknown_profile_is_a_fault_of_its_own() -> None:
    with pytest.raises(ConfigError) as found:
        base("{limits: currant}")
    (problem,) = found.value.problems
    assert (
        str(problem)
        .splitlines()[0]
        .endswith('client_api.limits: "currant" is not known here (did you mean current?); allowed: documents, current')
    )


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", True),
        ("client_api: {rate: {event: [40/s]}}", True),
        ("client_api: {limits: documents}", False),
        ("client_api: {limits: current}", False),
        ("client_api: {mode: 'off'}", False),
        ("mode: bypass", False),
    ],
)
def test_the_start_up_line_tells_once_that_no_profile_is_chosen(written: str, told: bool) -> None:  # noqa: FBT001
    line = summary(load_text(f"upstream: {{url: http://u.test}}\n{written}", "f.yaml", {}, Path()))
    assert line.count("client_api.limits is not set") == told
