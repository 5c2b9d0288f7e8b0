"""Finds where a visitor is: by a header that a trusted proxy wrote, or in a database that the operator owns."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fsproxy.config.problems import HostError
from fsproxy.core.model import Location
from fsproxy.core.settings import GeoSource
from fsproxy.core.wire.client_address import ClientAddress
from fsproxy.core.wire.header_values import Headers

if TYPE_CHECKING:
    from maxminddb import Reader


class Locator:
    """Finds locations for every ``geo.source`` that a configuration names; databases are opened once."""

    def __init__(self) -> None:
        self._databases: dict[str, Reader] = {}

    def open(self, source: GeoSource, org: str | None = None) -> None:
        """Open the source's database, if it has one. Raises HostError, which names the org, if it is an org's own."""
        if source.database is not None and source.database not in self._databases:
            section = "" if org is None else f"orgs.listed.{org}."
            self._databases[source.database] = _open(source.database, f"{section}filters.geo.source.database")

    def locate(self, source: GeoSource, client: ClientAddress, headers: Headers) -> Location | None:
        """Return the visitor's location; None if unknown. A header counts only from a trusted proxy (rules.md 1)."""
        if source.database is not None:
            return self._from_database(source, client)
        if not client.trusted or source.header is None:
            return None
        country = headers.find(source.header.encode("latin-1", "replace"))
        region = headers.find(source.region_header.encode("latin-1", "replace")) if source.region_header else None
        return _from_headers(country, region) if country else None

    def _from_database(self, source: GeoSource, client: ClientAddress) -> Location | None:
        database = self._databases.get(source.database or "")
        if database is None or client.address is None:
            return None
        try:
            row = database.get(str(client.address))
        except (ValueError, RuntimeError):
            # An IPv6 address in a database of IPv4, or a damaged row: not known, as if there were none.
            return None
        country = _at(row, source.country)
        if not isinstance(country, str) or not country:
            return None
        region = _at(row, source.region) if source.region else None
        return Location(country.upper(), _qualified(country, region) if isinstance(region, str) and region else None)


@lru_cache(maxsize=4096)
def _from_headers(country: bytes, region: bytes | None) -> Location:
    # Where somebody sent the header too, the right-most value is what the nearest proxy wrote.
    text = country.decode("latin-1").rpartition(",")[2].strip().upper()
    name, dash, _ = text.partition("-")
    if dash:
        return Location(name, text)
    return Location(text, _qualified(text, region.decode("latin-1").rpartition(",")[2].strip()) if region else None)


def _qualified(country: str, region: str) -> str:
    """Return a region with its country before it: ``CA`` of ``US`` is ``US-CA``."""
    country, region = country.upper(), region.upper()
    return region if region.startswith(country + "-") else f"{country}-{region}"


def _at(row: Any, path: str) -> Any:
    """Return the value at a dotted path of a row: names for mappings, numbers for lists."""
    for step in path.split("."):
        if isinstance(row, dict):
            row = row.get(step)
        elif isinstance(row, list) and step.isdigit() and int(step) < len(row):
            row = row[int(step)]
        else:
            return None
    return row


def _open(path: str, key_path: str) -> Reader:
    import maxminddb  # noqa: PLC0415 - an extra, which the configuration is checked for

    try:
        return maxminddb.open_database(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except (ValueError, maxminddb.InvalidDatabaseError):
        reason = "it is no such database"
    raise HostError(key_path, f"cannot be opened: {reason}", "a MaxMind DB file")
