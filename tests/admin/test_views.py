"""What is hidden, and how an address is found that lines hold in another form."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fsproxy.admin import views
from fsproxy.config.schema import AddressPrivacy, AuditConfig, Config, UpstreamConfig
from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.audit.record import AuditRecord
from fsproxy.core.wire.client_address import parse_address

ADDRESS = "203.0.113.77"


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


@pytest.mark.parametrize("privacy", AddressPrivacy)
def test_an_address_is_found_in_the_form_that_lines_hold(privacy: AddressPrivacy) -> None:
    audit = AuditConfig(client_ip=privacy, client_ip_key="key")
    config = Config(upstream=UpstreamConfig(url="http://127.0.0.1:9"), audit=audit)
    address = parse_address(ADDRESS)
    assert address is not None
    held = address_mask(privacy.value, "key")(address)
    named = "client_address" if privacy is AddressPrivacy.HASHED else "client_ip"
    said = {"timestamp": "", "version": 1, "action": "page", "outcome": "success", "decision": "captured"}
    said |= {"method": "POST", "path": "/", "request_id": "r", "generation": 1, "mode": "enforce", named: held}
    record = AuditRecord(**said)  # type: ignore[arg-type]
    assert views.wanted(config, {"address": ADDRESS})(record) is (privacy is not AddressPrivacy.NONE)
    assert views.wanted(config, {"address": "198.51.100.1"})(record) is False
