"""Where a visitor is: by a trusted proxy's header, or by a database that the user owns (rules.md 1, order 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from support.rig import Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

REGIONS = {
    "filters": {"geo": {"never": ["US-CA", "EU"], "source": {"header": "x-country", "region_header": "x-region"}}}
}
CONFIG = {
    "orgs": {
        "listed": {
            "o-ONLY-na1": {"filters": {"geo": {"only": ["US", "DE"]}}},
            "o-NEVER-na1": {"filters": {"geo": {"never": ["AQ", "US-CA", "EU"]}}},
            "o-REGION-na1": REGIONS,
        }
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        yield running


@pytest.mark.parametrize(
    ("org", "country", "code"),
    [
        ("o-ONLY-na1", "US", 0),
        ("o-ONLY-na1", "de", 0),
        ("o-ONLY-na1", "FR", 7),
        ("o-ONLY-na1", "XX", 7),
        ("o-ONLY-na1", "T1", 7),
        ("o-ONLY-na1", "", 7),
        ("o-NEVER-na1", "AQ", 7),
        ("o-NEVER-na1", "FR", 7),
        ("o-NEVER-na1", "RE", 7),
        ("o-NEVER-na1", "EU", 7),
        ("o-NEVER-na1", "US", 0),
        ("o-NEVER-na1", "US-CA", 7),
        ("o-NEVER-na1", "XX", 0),
        ("o-NEVER-na1", "T1", 0),
        ("o-NEVER-na1", "", 0),
    ],
)
async def test_only_and_never_by_a_trusted_proxys_header(rig: Rig, org: str, country: str, code: int) -> None:
    """What is not known is blocked under ``only`` and captured under ``never``."""
    answer = await rig.page({"CF-IPCountry": country}, OrgId=org)
    assert (0 if answer.status == 200 else answer.json()["reason_code"]) == code
    if country:
        line = await rig.line(answer)
        assert line["client.geo.country_iso_code"] == country.upper().partition("-")[0]


@pytest.mark.parametrize(
    ("country", "region", "status"), [("US", "CA", 202), ("us", "us-ca", 202), ("US", "NY", 200), ("DE", "", 202)]
)
async def test_a_regions_header_stands_beside_the_countrys(rig: Rig, country: str, region: str, status: int) -> None:
    headers = {"X-Country": country, "X-Region": region, "CF-IPCountry": "AQ"}
    assert (await rig.page(headers, OrgId="o-REGION-na1")).status == status


async def test_a_header_of_somebody_who_is_not_trusted_says_nothing() -> None:
    config = {"client_ip": {"trusted_proxies": ["203.0.113.1/32"]}, "filters": {"geo": {"only": ["US"]}}}
    async with running_rig(config) as rig:
        answer = await rig.page({"CF-IPCountry": "US"})
        assert (answer.status, answer.json()["reason_code"]) == (202, 7)
        (line,) = await rig.proxy.audit(1)
        assert "client.geo.country_iso_code" not in line
        # Not the header's address either, nor its id.
        assert line["client.ip"] == "127.0.0.0"
        assert line["http.request.id"] != answer.request_id


@pytest.fixture
def database(tmp_path: Path) -> Path:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-City")
    california = {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "CA"}]}
    writer.insert_network(IPSet(["198.51.100.0/25", "2001:db8:1::/48"]), california)
    writer.insert_network(IPSet(["198.51.100.128/25"]), {"country": {"iso_code": "US"}})
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": {"iso_code": "FR"}, "subdivisions": []})
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"continent": {"code": "AN"}})
    path = tmp_path / "geo.mmdb"
    writer.to_db_file(str(path))
    return path


async def test_a_database_knows_countries_and_regions_by_the_trusted_address(database: Path) -> None:
    source = {"database": str(database)}
    listed = {"o-ONLY-na1": {"filters": {"geo": {"only": ["US", "FR"], "never": []}}}}
    config = {"orgs": {"listed": listed}, "filters": {"geo": {"never": ["US-CA", "EU"], "source": source}}}
    async with running_rig(config) as rig:
        for address, status, region in (
            ("198.51.100.7", 202, "US-CA"),
            ("2001:db8:1::7", 202, "US-CA"),
            ("[2001:db8:1::7]:443", 202, "US-CA"),
            ("::ffff:198.51.100.7", 202, "US-CA"),
            ("198.51.100.200", 200, None),
            ("203.0.113.7", 202, None),
            ("192.0.2.7", 200, None),
            ("8.8.8.8", 200, None),
        ):
            answer = await rig.page({"X-Forwarded-For": address, "CF-IPCountry": "FR"})
            assert (address, answer.status) == (address, status)
            assert (await rig.line(answer)).get("client.geo.region_iso_code") == region
        for address, status in (("198.51.100.7", 200), ("192.0.2.7", 202), ("8.8.8.8", 202), ("10.0.0.1", 202)):
            answer = await rig.page({"X-Forwarded-For": address}, OrgId="o-ONLY-na1")
            assert (address, answer.status) == (address, status)
