"""Addresses of visitors and of pages in every form that proxies and browsers write: over the wire (rules.md 1, 4)."""

from __future__ import annotations

import pytest

from support.rig import running_rig

IP_BLOCK = {"filters": {"ip": {"block": ["203.0.113.9", "2001:db8::9"]}}}


@pytest.mark.parametrize(
    "chain", ["203.0.113.9", "[203.0.113.9]:80", "203.0.113.9:443", "[203.0.113.9]", "[::ffff:203.0.113.9]:80"]
)
async def test_a_blocked_address_is_known_in_a_chain_in_any_form(chain: str) -> None:
    async with running_rig(IP_BLOCK) as rig:
        for value in (chain, f"6.6.6.6, {chain}"):
            assert (await rig.page({"X-Forwarded-For": value})).status == 202
        assert (await rig.page({"X-Forwarded-For": f"{chain}, 203.0.113.10"})).status == 200
        assert len(rig.upstream.received) == 1


async def test_a_viewers_address_may_be_of_ipv6_with_a_port() -> None:
    config = {**IP_BLOCK, "client_ip": {"header": "cloudfront-viewer-address"}}
    async with running_rig(config) as rig:
        for value in ("2001:db8::9:443", "2001:db8:0:0:0:0:0:9:443", "203.0.113.9:46532"):
            assert (await rig.page({"CloudFront-Viewer-Address": value})).status == 202
        assert (await rig.page({"CloudFront-Viewer-Address": "2001:db8::8:443"})).status == 200


@pytest.mark.parametrize("host", ["10.1.2.3", "[::ffff:10.1.2.3]", "[::ffff:a01:203]", "0xa.0x1.0x2.0x3", "167838211"])
async def test_a_domain_rule_for_an_address_holds_in_any_form(host: str) -> None:
    async with running_rig({"filters": {"domain": {"rules": [{"block": "10.1.2.3"}]}}}) as rig:
        answer = await rig.page(Url=f"https://{host}/")
        assert (answer.status, answer.json()["reason_code"]) == (202, 4)
        assert (await rig.page(Url="https://10.1.2.4/")).status == 200
