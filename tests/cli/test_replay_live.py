"""What the running proxy decided is what replay decides under the same configuration."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.core.model import FilterName
from support.proxy import RunningProxy, running_proxy
from support.upstream import RecordingUpstream

PAGES = 700
SHADOWED = (
    "script", "url", "domain", "ip", "user_agent", "geo", "opt_out", "deleting_user", "blocked_user",
)  # fmt: skip
RULES: dict[str, Any] = {
    "client_ip": {"trusted_proxies": ["127.0.0.0/8"]},
    "orgs": {
        "unlisted": "block",
        "listed": {
            "o-1": {},
            "o-off": {"enabled": False},
            "o-web": {"mobile": False, "filters": {"blocked_user": {"reason_code": 3}, "geo": {"only": ["US", "EU"], "never": []}}},
            "o-ramped": {"filters": {"ramping": {"share": "50%"}, "ip": {"mode": "shadow"}}},
            "o-small": {"filters": {"quota": {"sessions": 3}}},
            "o-shadow": {
                "filters": {
                    "quota": {"sessions": 3, "mode": "shadow"},
                    "ramping": {"share": "20%", "mode": "shadow"},
                }
            },
            # Every filter in shadow: nobody is blocked, and all that would be is told.
            "o-all-shadow": {
                "mobile": False,
                "filters": {
                    **{name: {"mode": "shadow"} for name in SHADOWED},
                    "quota": {"sessions": 3, "mode": "shadow"},
                    "ramping": {"share": "20%", "mode": "shadow"},
                },
            },
            "o-dated": {
                "filters": {
                    "ramping": {
                        "schedule": [{"from": "2020-01-01", "share": "10%"}, {"from": "2099-01-01", "share": "90%"}]
                    }
                }
            },
        },
    },
    "filters": {
        "script": {"min_compiled": "2023-08-03", "blocked_versions": ["1.2.3", "snippet-9"]},
        "url": {"max_length": 200, "schemes": ["http", "https", "app"]},
        "domain": {
            "rules": [
                {"capture": "*.example.com"},
                {"block": "staging.example.net"},
                {"block": "shop.example.org:8443"},
            ],
            "otherwise": "capture",
        },
        "ip": {"block": ["203.0.113.*", "198.51.100.7", "2001:db8:bad::/48"], "allow": ["203.0.113.9"]},
        "user_agent": {"block": ["YandexBot", "regex:Headless.*"], "allow": ["HeadlessFriend"], "block_missing": True},
        "geo": {"never": ["FR", "US-CA"]},
        "opt_out": {"cookies": ["fs_optout=1", "leave_me"], "gpc": True, "dnt": True},
        "deleting_user": {"block": ["u-gone", "client-gone"]},
        "blocked_user": {"block": ["u-staff", "u-other"]},
    },
    "audit": {"client_ip": "full"},
}  # fmt: skip
# What most pages hold, and what only some do.
ORGS = (
    ["o-1", "o-1", "o-web", "o-ramped", "o-all-shadow"],
    ["o-off", "o-small", "o-small", "o-shadow", "o-all-shadow", "o-all-shadow", "o-dated", "nobody", None, 7],
)
URLS = ["https://www.example.com/", "https://shop.example.org/x?y#z"], [
    "https://staging.example.net/a?b#c", "https://staging.example.net/", "https://staging.example.net:8443/", "https://Shop.Example.ORG.:8443/x", "app://./index", "app:x",
    "https://b\u00fccher.example/", "http://127.1/", "http://[2001:db8::1]:80/",
    "http://user:secret@www.example.com:8080", "ftp://files.example.com/", "https://", "https:///x", "https://a b/",
    "http://x:0/", "http://x:99999/", "http://[::1", "nothing", "https://www.example.com/\x00", "https://\x01/", "",
    None, 5, {"a": 1}, "https://www.example.com/" + "y" * 300, "file:///etc/x", "https://localhost:3000/",
    "https://" + "b\u00fc" * 30 + ".example/",
]  # fmt: skip
AGENTS = ["Mozilla/5.0 Firefox/143"], ["YandexBot/3.0", "HeadlessChrome", "HeadlessFriend Headless", "okhttp/4", ""]
ADDRESSES = (
    ["192.0.2.1", "2001:db8:1::1", "198.51.100.8"],
    ["203.0.113.1", "203.0.113.9", "198.51.100.7", "2001:db8:bad::1"],
)
COUNTRIES = ["US", "DE"], ["FR", "us-ca", "XX", None]
COOKIES = [None, "a=1"], ["fs_optout=1; b=2", "fs_optout=0", "leave_me=really", "x=y; leave_me="]
UIDS = [None, None, "u-1"], ["u-2", "u-gone", "u-staff", "x" * 300]
BUILDS = [1754000000], [1600000000, "1754000000", None, True, 1e300, 1690000000.5, 10**25]
VERSIONS = ["a1b2"], ["1.2.3", None, 4, "v" * 150]
SNIPPETS = ["s"], ["snippet-9", None]
SIGNALS = [None], ["1", "0"]


def page(chosen: random.Random, number: int) -> tuple[dict[str, Any], dict[str, str]]:
    def pick(common: list[Any], odd: list[Any], share: float = 0.1) -> Any:
        return chosen.choice(odd if chosen.random() < share else common)

    org = pick(*ORGS, share=0.3)
    # Few pages are of the org that shows what shadow rules meet.
    more = 0.5 if org == "o-all-shadow" else 0.2
    body = {
        "OrgId": org,
        "UserId": pick(["", f"client-{number % 200}"], ["client-gone", "z" * 120]),
        "SessionId": pick([None, f"session-{number % 150}"], ["s" * 300]),
        "PageId": f"page-{number}",
        "Url": pick(*URLS, share=more),
        "CompiledTimestamp": pick(*BUILDS),
        "CompiledVersion": pick(*VERSIONS),
        "SnippetVersion": pick(*SNIPPETS),
        "AppId": pick(*UIDS, share=more),
    }
    optional = {
        "CF-IPCountry": pick(*COUNTRIES),
        "Cookie": pick(*COOKIES, share=0.2),
        "Sec-GPC": pick(*SIGNALS),
        "DNT": pick(*SIGNALS),
    }
    headers = {"X-Forwarded-For": pick(*ADDRESSES), "User-Agent": pick(*AGENTS), "Origin": "https://www.example.com"}
    body = {name: value for name, value in body.items() if value is not None}
    return body, headers | {name: value for name, value in optional.items() if value is not None}


async def recorded(proxy: RunningProxy, tmp_path: Path) -> Path:
    chosen, numbers = random.Random(5), count()
    async with aiohttp.ClientSession(skip_auto_headers=["User-Agent"]) as client:

        async def some() -> None:
            while (number := next(numbers)) < PAGES:
                body, headers = page(chosen, number)
                async with client.post(f"{proxy.url}/rec/page", data=json.dumps(body), headers=headers) as answer:
                    await answer.read()

        await asyncio.gather(*(some() for _ in range(4)))
        async with client.post(f"{proxy.url}/rec/page", data="not json") as answer:
            assert answer.status == 400
    await proxy.audit(PAGES + 1)
    kept = tmp_path / "audit.log"
    kept.write_bytes((proxy.folder / "stdout").read_bytes())
    return kept


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments), "--json"])


@pytest.mark.slow
async def test_under_the_same_configuration_nothing_changes_and_all_is_decided(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    rules = {**RULES, "upstream": {"url": upstream.url}}
    async with running_proxy(rules) as proxy:
        audit = await recorded(proxy, tmp_path)
        same = replay(audit, "--config", proxy.config_path, "--same-users")
        assert same.exit_code == 0, same.output
        found = json.loads(same.stdout)
        assert found["changed"] == 0
        assert found["rules"] == []
        assert found["not_judged"] == 1
        # Ids and versions that are cut in the line, and users who may not be named, are all that is not known.
        assert set(found["undecidable"]) <= {
            "ip: the line does not hold the whole address",
            "ramping: the line does not hold the user's id",
            "script: its version is cut in the line",
            "deleting_user: the line does not hold the user's id",
        }
        assert found["pages"] + sum(found["undecidable"].values()) == PAGES
        assert found["pages"] > PAGES * 0.7
        assert {each["new"] for each in found["codes"]} == {-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
        every_filter_hit(proxy.audit_lines())
        assert all(each["old"] == each["new"] for each in found["shadow"])
        assert {each["rule"].partition(":")[0] for each in found["shadow"]} >= {*SHADOWED, "quota", "ramping"}
        twice = replay(audit, "--config", proxy.config_path, "--against", proxy.config_path)
        assert json.loads(twice.stdout)["changed"] == 0
        packed_and_split(audit, proxy.config_path, found)
        await changes_are_found(proxy, audit, rules)


def every_filter_hit(lines: list[dict[str, Any]]) -> None:
    """Enforced, and in shadow, but for the org's, whose mode is that of all orgs."""
    enforced = {line.get("fsproxy.filter") for line in lines} - {None}
    shadow = {hit["filter"] for line in lines for hit in line.get("fsproxy.shadow", ())}
    assert enforced == {each.value for each in FilterName}
    assert shadow == enforced - {"org"}


def packed_and_split(audit: Path, rules: Path, found: dict[str, Any]) -> None:
    """The same lines from a plain file and one of several gzip members say the same."""
    lines = audit.read_bytes().splitlines(keepends=True)
    third = len(lines) // 3
    plain, packed = audit.with_name("audit.log.1"), audit.with_name("audit.log.2.gz")
    plain.write_bytes(b"".join(lines[:third]))
    packed.write_bytes(
        b"".join(gzip.compress(b"".join(part)) for part in (lines[third : 2 * third], lines[2 * third :]))
    )
    assert json.loads(replay(plain, packed, "--config", rules, "--same-users").stdout) == found


async def changes_are_found(proxy: RunningProxy, audit: Path, rules: dict[str, Any]) -> None:
    """Without the address rules, those whom they blocked are captured, or meet a later rule."""
    lines = proxy.audit_lines()
    blocked = sum(line.get("fsproxy.reason_code") == 5 for line in lines)
    assert blocked
    proxy.write_config({**rules, "filters": {**rules["filters"], "ip": {}}})
    found = replay(audit, "--config", proxy.config_path, "--same-users")
    assert found.exit_code == 3
    document = json.loads(found.stdout)
    unknown = sum(document["undecidable"].values())
    assert 0 < document["changed"] <= blocked
    assert all(each["old"] in {5, each["new"]} for each in document["codes"])
    assert document["changed"] >= blocked - unknown
