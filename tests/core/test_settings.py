"""What an org is when nothing is said of it, and what makes two settings the same."""

from __future__ import annotations

import pytest

from fsproxy.core.settings import CoreSettings, OrgSettings


def test_an_org_of_which_nothing_is_said_is_unlisted_enabled_and_may_be_mobile() -> None:
    org = OrgSettings()
    assert (org.listed, org.enabled, org.mobile) == (False, True, True)


@pytest.mark.parametrize("kind", [OrgSettings, CoreSettings])
def test_where_settings_stand_is_no_part_of_what_they_say(kind: type[OrgSettings | CoreSettings]) -> None:
    """Orgs with the same settings share their lookup tables, wherever in the file they stand."""
    moved = kind(places={"enabled": "fsproxy.yaml:9:5"})
    assert moved == kind()
    assert "fsproxy.yaml" not in repr(moved)
    assert kind().places.get("enabled") is None
