"""Locations: from headers of trusted proxies, and from rows of databases."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from fsproxy.config.problems import HostError
from fsproxy.core.model import Location
from fsproxy.core.settings import GeoSource
from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.proxy.geo import Locator
from tests.support.header_lines import lines


def client(address: str | None = "198.51.100.7", *, trusted: bool = True) -> ClientAddress:
    return ClientAddress(
        address=ip_address(address) if address is not None else None,
        chain="",
        trusted=trusted,
        dropped=False,
        proto="http",
        host="",
        request_id=None,
    )


HEADERS = GeoSource(header="cf-ipcountry", region_header="cf-region-code")


@pytest.mark.parametrize(
    ("country", "region", "location"),
    [
        (b"US", None, Location("US")),
        (b" us ", b" ca ", Location("US", "US-CA")),
        (b"US", b"US-CA", Location("US", "US-CA")),
        (b"US-CA", None, Location("US", "US-CA")),
        (b"XX", None, Location("XX")),
        (b"FR, US", b"IDF, CA", Location("US", "US-CA")),
        (b"", b"CA", None),
        (b"\xff\xfe", None, Location("ÿþ".upper())),
    ],
)
def test_headers_name_country_and_region_in_any_case(
    country: bytes, region: bytes | None, location: Location | None
) -> None:
    headers = {b"cf-ipcountry": country} | ({b"cf-region-code": region} if region is not None else {})
    assert Locator().locate(HEADERS, client(), lines(headers)) == location


def test_without_the_header_or_from_somebody_untrusted_nothing_is_known() -> None:
    assert Locator().locate(HEADERS, client(), lines({})) is None
    assert Locator().locate(HEADERS, client(trusted=False), lines({b"cf-ipcountry": b"US"})) is None
    assert Locator().locate(GeoSource(), client(), lines({b"cf-ipcountry": b"US"})) is None


def _database(folder: Path, row: dict[str, Any]) -> GeoSource:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True)
    writer.insert_network(IPSet(["198.51.100.0/24"]), row)
    writer.to_db_file(str(folder / "geo.mmdb"))
    return GeoSource(database=str(folder / "geo.mmdb"))


@pytest.mark.parametrize(
    ("row", "location"),
    [
        ({"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "CA"}]}, Location("US", "US-CA")),
        ({"country": {"iso_code": "us"}, "subdivisions": [{"iso_code": "us-ca"}]}, Location("US", "US-CA")),
        ({"country": {"iso_code": "US"}, "subdivisions": []}, Location("US")),
        ({"country": {"iso_code": "US"}, "subdivisions": "CA"}, Location("US")),
        ({"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": 7}]}, Location("US")),
        ({"country": {"iso_code": ""}}, None),
        ({"country": {"iso_code": 7}}, None),
        ({"country": "US"}, None),
        ({"continent": "EU"}, None),
    ],
)
def test_a_database_row_is_read_at_the_usual_paths(
    tmp_path: Path, row: dict[str, Any], location: Location | None
) -> None:
    source, locator = _database(tmp_path, row), Locator()
    locator.open(source)
    assert locator.locate(source, client(trusted=False), lines({b"cf-ipcountry": b"FR"})) == location
    assert locator.locate(source, client("192.0.2.1"), lines({})) is None
    assert locator.locate(source, client(None), lines({})) is None


def test_a_database_row_is_read_at_paths_of_ones_own(tmp_path: Path) -> None:
    made = _database(tmp_path, {"cc": "DE", "zones": [{"code": "BE"}, {"code": "HH"}]})
    source = GeoSource(database=made.database, country="cc", region="zones.1.code")
    locator = Locator()
    locator.open(source)
    assert locator.locate(source, client(), lines({})) == Location("DE", "DE-HH")
    no_region = GeoSource(database=made.database, country="cc", region=None)
    assert locator.locate(no_region, client(), lines({})) == Location("DE")


def test_a_database_that_was_not_opened_knows_nothing() -> None:
    assert Locator().locate(GeoSource(database="/nowhere.mmdb"), client(), lines({})) is None


def test_an_ipv6_address_in_a_database_of_ipv4_is_not_known(tmp_path: Path) -> None:
    writer = MMDBWriter(ip_version=4)
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "US"}})
    writer.to_db_file(str(tmp_path / "v4.mmdb"))
    source, locator = GeoSource(database=str(tmp_path / "v4.mmdb")), Locator()
    locator.open(source)
    assert locator.locate(source, client(), lines({})) == Location("US")
    assert locator.locate(source, client("2001:db8::1"), lines({})) is None


def test_a_damaged_row_is_not_known(tmp_path: Path) -> None:
    source, locator = _database(tmp_path, {"country": {"iso_code": "US"}}), Locator()
    path = Path(source.database or "")
    content = path.read_bytes()
    assert content.count(b"country") == 1
    # The type of the row's key becomes one that no key has.
    at = content.index(b"country") - 1
    path.write_bytes(content[:at] + b"\xe3" + content[at + 1 :])
    locator.open(source)
    assert locator.locate(source, client(), lines({})) is None


@pytest.mark.parametrize("content", [None, b"", b"not a database" * 100])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "geo.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HostError, match="cannot be opened"):
        Locator().open(GeoSource(database=str(path)))


def test_a_database_is_opened_once(tmp_path: Path) -> None:
    source, locator = _database(tmp_path, {"country": {"iso_code": "US"}}), Locator()
    locator.open(source)
    Path(source.database or "").unlink()
    locator.open(source)
    assert locator.locate(source, client(), lines({})) == Location("US")
