"""For which addresses replay may remember one answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsproxy.core.policy import Snapshot
from fsproxy.core.replay.addresses import SharedNetworks
from fsproxy.core.settings import CoreSettings, Entry, IpSettings


@pytest.mark.parametrize(
    ("block", "allow", "shared", "apart"),
    [
        ([], [], ["192.0.2.7", "10.1.2.3"], []),
        (["10.0.0.0/8"], ["10.1.2.0/24"], ["192.0.2.7", "10.1.2.3"], []),
        (["10.1.2.3"], [], ["192.0.2.3", "10.1.3.3"], ["10.1.2.3", "10.1.2.4"]),
        (["10.0.0.0/8"], ["10.1.2.128/25"], ["10.1.3.200"], ["10.1.2.3", "10.1.2.200"]),
        (["10.*.*.7"], [], [], ["10.1.2.3", "192.0.2.7"]),
        (["2001:db8::1"], [], ["192.0.2.7"], []),
    ],
)
def test_addresses_of_one_network_share_an_answer_unless_a_rule_tells_them_apart(
    block: list[str], allow: list[str], shared: list[str], apart: list[str]
) -> None:
    core = CoreSettings()
    ip = IpSettings(block=tuple(map(Entry, block)), allow=tuple(map(Entry, allow)))
    org = replace(core.default, filters=replace(core.default.filters, ip=ip))
    found = SharedNetworks(Snapshot.compile(replace(core, default=org), 1).default.on_page)
    assert [found.of(each) for each in shared] == [each.rpartition(".")[0] for each in shared]
    assert [found.of(each) for each in apart] == apart
    assert (found.of("2001:db8::1"), found.of(None)) == ("2001:db8::1", None)
