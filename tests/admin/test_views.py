"""What is hidden of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fsproxy.admin import views
from fsproxy.config.schema import Config, UpstreamConfig
from fsproxy.core.plan import Plan, PlanFile, PlannedEvent
from fsproxy.core.settings import CoreSettings, OrgSettings, PlanSettings


def test_what_is_added_to_the_configuration_and_kept_out_of_logs_is_hidden_here_too() -> None:
    @dataclass(frozen=True)
    class Section:
        seen: str = "seen"
        secret: str = field(default="s3cret", repr=False)
        unset: str | None = field(default=None, repr=False)

    assert views._plain(Section()) == {"seen": "seen", "secret": "(hidden)", "unset": None}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("https://me:s3cret@a.example:1/prefix", "https://(hidden)@a.example:1/prefix"),
        ("redis://:s3cret@a.example/0?password=s3cret", "redis://(hidden)@a.example/0?(hidden)"),
        ("redis://:s3cret@[", "(hidden)"),
        ("unix:///run/redis.sock?password=s3cret", "unix:///run/redis.sock?(hidden)"),
    ],
)
def test_an_address_is_told_without_user_password_and_query(url: str, told: str) -> None:
    config = Config(upstream=UpstreamConfig(url=url, prefixes=(("/a", url),)))
    upstream = views.effective(config)["upstream"]
    assert upstream["url"] == told
    assert upstream["prefixes"] == [["/a", told]]


def test_a_plan_is_told_by_its_file_and_its_size() -> None:
    core = CoreSettings(
        default=OrgSettings(plan=PlanSettings(file=Plan.compile("p.yaml", PlanFile(events={"A": PlannedEvent()}))))
    )
    config = Config(upstream=UpstreamConfig(url="http://a"), core=core)
    assert views.effective(config)["plan"] == {
        "file": "p.yaml (1 event, 0 event properties)",
        "mode": "enforce",
        "cuts_unplanned": True,
        "cuts_missing": False,
    }
