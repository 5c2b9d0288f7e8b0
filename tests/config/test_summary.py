"""The one line at start."""

from __future__ import annotations

from pathlib import Path

from fsproxy.config.loader import load_text
from fsproxy.config.summary import summary

UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"


def line(text: str) -> str:
    return summary(load_text(UPSTREAM + text, "f.yaml", {}, Path()))


def test_it_tells_what_is_enforced_whom_it_trusts_and_where_state_lives() -> None:
    assert line("") == (
        "mode enforce; upstream http://127.0.0.1:9000; enforced: url, opt_out, client API, cardinality, rate; "
        "shadowed: nothing; client_api.limits is not set, so calls are held to the documents' numbers, which are stricter "
        "than what the vendor takes today (limits: current); orgs: 0 listed, all others allowed; trusts x-forwarded-for from 127.0.0.0/8, ::1/128; "
        "state in memory of this instance alone, kept in var/fsproxy.sqlite"
    )


def test_shadowed_and_silent_filters_are_told_apart() -> None:
    found = line("filters: {url: {mode: off}, ip: {mode: shadow, block: ['::1']}}\nclient_api: {rate: {mode: shadow}}")

    assert "enforced: opt_out, client API, cardinality; shadowed: ip, rate;" in found


def test_a_top_level_shadow_shadows_all_but_the_privacy_rules() -> None:
    assert "enforced: opt_out; shadowed: url, client API, cardinality, rate;" in line("mode: shadow")


def test_bypass_judges_nothing() -> None:
    assert "; nothing is judged but by the privacy rules: opt_out; " in line("mode: bypass")


def test_orgs_are_counted() -> None:
    found = line("orgs: {unlisted: block, listed: {a: {}, b: {filters: {url: {mode: off}}}}}")

    assert "enforced: org, url," in found
    assert "orgs: 2 listed, 1 with rules of their own, all others blocked" in found


def test_trust_and_state_are_told_as_they_are() -> None:
    found = line("client_ip: {trusted_proxies: []}\nstate: {persist: null}")

    assert found.endswith(
        "trusts no proxy for the client's address; state in memory of this instance alone, forgotten at restart"
    )


def test_headers_of_balancers_on_layer_4_are_named() -> None:
    found = line("listen: {proxy_protocol: true}\nclient_ip: {trusted_proxies: [10.0.0.0/8]}")

    assert "; trusts PROXY headers and x-forwarded-for from 10.0.0.0/8; " in found


def test_it_is_one_line_however_many_proxies_there_are() -> None:
    found = line(f"client_ip: {{trusted_proxies: [{', '.join(f'10.0.0.{n}' for n in range(9))}]}}")

    assert "10.0.0.3/32 and 5 more;" in found
    assert "\n" not in found
