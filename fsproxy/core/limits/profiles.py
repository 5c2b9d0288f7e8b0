"""The limits that ``client_api.limits`` chooses between, as users write them (rules.md 2).

The defaults in the table of keys are the documents of record. Here is what differs on the vendor's public pages of
today; ``docs/reference/client-api.md`` names the page and the date of each number.
"""

from __future__ import annotations

from collections.abc import Mapping

_PROPERTIES = ["10/s per page", "30/min per page"]

CURRENT: Mapping[str, Mapping[str, object]] = {
    "property_name": {"allow_hyphen": True},
    "cardinality": {"page_properties": 500, "page_properties_per_page": 50, "page_names": 1_000},
    "rate": {"event": ["40/s per page", "60/min per page"], "user": _PROPERTIES, "page": _PROPERTIES},
}
"""By section below ``client_api``, and key."""
