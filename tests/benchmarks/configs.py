"""How each peer is configured, and what is measured on which of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import payloads
from payloads import Requests

STATIC = ("bare", "nginx")
PROXIES = ("naive", "nginx")
VALIDATORS = ("validating", "nginx")


@dataclass(frozen=True, slots=True)
class Target:
    """What fsproxy is to reach: CPU time a request of another peer, divided by fsproxy's."""

    against: str
    floor: float
    goal: float


@dataclass(frozen=True, slots=True)
class PathSpec:
    """One thing that is measured: the requests, the answer they must get, and who is compared."""

    name: str
    meaning: str
    requests: Callable[[], Requests]
    peers: tuple[str, ...]
    target: Target | None = None
    expected: int = 200
    ours: str = "fsproxy"
    """Who is measured against the peers: ``fsproxy``; or fsproxy with its state in Redis, ``redis``, or with rules of
    redaction that look at all strings, ``redact``."""
    connections: int = 16
    rate: float | None = None
    """Requests a second, in an open loop; None: each connection sends its next one when it has an answer."""
    upgrade: Callable[[], bytes] | None = None
    """Opens a WebSocket; requests and answers are then frames."""

    @property
    def is_static(self) -> bool:
        """The peers answer themselves."""
        return self.peers is STATIC


@dataclass(frozen=True, slots=True)
class Setup:
    """How an fsproxy is configured that is measured."""

    rules: int = 100_000
    """Networks; at most 1,000 patterns of User-Agents and 10,000 domains."""
    state: Callable[[Path], dict[str, Any]] | None = None
    """Makes the section ``state``, for a folder of its own; None: nothing is kept."""
    workers: int = 1
    redacts: tuple[str, ...] = ()
    """What is masked wherever it stands."""


REDACTED = ("email", "card", "ip", "query:token", "regex:[0-9]{3}-[0-9]{2}-[0-9]{4}")
"""Five kinds of patterns. None is in the payloads."""
_BLOCK = PathSpec(
    "block",
    "page blocked by the last of all filters, audited",
    payloads.opted_out_pages,
    STATIC,
    Target("bare", 0.65, 0.85),
    expected=202,
)
_BUNDLE = PathSpec("bundle", "bundle of 20 KB, no calls", payloads.bundles, PROXIES, Target("naive", 1.4, 1.7))
_FORWARD = PathSpec(
    "forward", "page of 1 KB of a session under way", payloads.pages_under_way, PROXIES, Target("naive", 1.5, 1.8)
)

PATHS: Mapping[str, PathSpec] = {
    path.name: path
    for path in (
        _BLOCK,
        replace(_BLOCK, name="block-redis", ours="redis", peers=("fsproxy",), target=Target("fsproxy", 0.75, 0.9)),
        _FORWARD,
        replace(_FORWARD, name="forward-redis", ours="redis", peers=("fsproxy",), target=None),
        replace(_FORWARD, name="forward-500", rate=500.0, peers=("direct", *PROXIES), target=Target("naive", 1.3, 1.6)),
        PathSpec("page", "page of a new session, counted", payloads.new_pages, PROXIES, Target("naive", 1.3, 1.6)),
        _BUNDLE,
        replace(_BUNDLE, name="bundle-redact", ours="redact", peers=("fsproxy",), target=Target("fsproxy", 0.5, 0.7)),
        PathSpec(
            "bundle-gzip",
            "the same, compressed",
            partial(payloads.bundles, compressed=True),
            PROXIES,
            Target("naive", 1.0, 1.3),
        ),
        PathSpec(
            "bundle-calls",
            "bundle of 20 KB, 5 calls",
            partial(payloads.bundles, calls=5),
            PROXIES,
            Target("naive", 0.65, 0.9),
        ),
        *(
            PathSpec(
                f"event-{size}k",
                f"direct event of {size} KB",
                partial(payloads.events, size * 1024),
                VALIDATORS,
                Target("validating", floor, goal),
                connections=4 if size > 100 else 16,
            )
            for size, floor, goal in ((1, 2.2, 3.0), (20, 6.0, 8.0), (512, 3.0, 4.0))
        ),
        PathSpec(
            "event-over",
            "direct event of 20 KB of an org at its limit of names",
            partial(payloads.events_over, 20 * 1024),
            ("validating",),
            Target("validating", 1.0, 2.0),
        ),
        PathSpec(
            "socket",
            "WebSocket frame of 1 KB, no calls",
            payloads.socket_frames,
            PROXIES,
            Target("naive", 0.35, 0.5),
            upgrade=payloads.socket_upgrade,
        ),
    )
}


def chosen(names: str | None) -> list[PathSpec]:
    """The paths of a list such as ``block,forward``; a name stands also for all that begin with it and a hyphen."""
    if names is None:
        return list(PATHS.values())
    found: list[PathSpec] = []
    for name in names.split(","):
        matching = [path for key, path in PATHS.items() if key == name or key.startswith(f"{name}-")]
        if not matching:
            raise SystemExit(f"unknown path {name}; there are: {', '.join(PATHS)}")
        found += [path for path in matching if path not in found]
    return found


def in_redis(url: str, prefix: str) -> Callable[[Path], dict[str, Any]]:
    """A section ``state`` with the state in Redis, under names of its own."""
    return lambda _: {"backend": "redis", "redis": {"url": url, "prefix": prefix}}


def networks(count: int) -> list[str]:
    """Networks of many lengths, none of which holds an address that the load comes from (198.18.0.0/15)."""
    random_ = random.Random(count)
    found: dict[str, None] = {}
    while len(found) < count:
        length = random_.choice((16, 20, 22, 24, 24, 24, 27, 28, 30, 32, 32, 32))
        address = random_.randrange(11 << 24, 127 << 24) >> (32 - length) << (32 - length)
        found[str(IPv4Network((address, length)))] = None
    return list(found)


def write_fsproxy(folder: Path, setup: Setup, port: int, admin_port: int, upstream_port: int) -> Path:
    """A configuration with rules of each kind, all of which are asked and none of which blocks but the opt-out."""
    (folder / "networks.txt").write_text("\n".join(networks(setup.rules)))
    agents = "\n".join(f"Bot-{number:04}/" for number in range(min(setup.rules, 1000)))
    (folder / "agents.txt").write_text(agents)
    domains = [{"block": f"shop-{number}.example.net"} for number in range(min(setup.rules, 10_000))]
    config = {
        "version": 1,
        "listen": {"host": "127.0.0.1", "port": port},
        "admin": {"host": "127.0.0.1", "port": admin_port},
        "server": {"keepalive": "1h", "max_connections": 20_000},  # growth.py keeps 10,000 that are idle
        "upstream": {"url": f"http://127.0.0.1:{upstream_port}"},
        "client_ip": {"trusted_proxies": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "filters": {
            "domain": {"otherwise": "capture", "rules": domains},
            "ip": {"block": ["file:networks.txt"]},
            "user_agent": {"block": ["file:agents.txt"]},
            "geo": {"never": ["AQ"], "source": {"header": "cf-ipcountry"}},
            "opt_out": {"cookies": ["fs_optout=1"]},
            "quota": {"sessions": 10**9},
        },
        "workers": setup.workers,
        "state": setup.state(folder) if setup.state is not None else {"persist": None},
        "audit": {"to": str(folder / "audit.jsonl")},
        "log": {"level": "warning"},
    }
    if setup.redacts:  # a key that older checkouts do not know
        config["redact"] = {"rules": [{"mask": pattern, "in": ["strings"]} for pattern in setup.redacts]}
    file = folder / "fsproxy.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    return file


def write_nginx(folder: Path, port: int, upstream_port: int) -> Path:
    """One worker, no access log, connections kept on both sides; /static answers a fixed 202."""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"""
        daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
        events {{ worker_connections 4096; }}
        http {{
          access_log off; client_max_body_size 0; client_body_buffer_size 1m; keepalive_requests 1000000000; {temporary}
          upstream up {{ server 127.0.0.1:{upstream_port}; keepalive 512; keepalive_requests 1000000000; }}
          server {{
            listen 127.0.0.1:{port};
            location /rec/sock {{
              proxy_pass http://up; proxy_http_version 1.1;
              proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
            }}
            location / {{
              proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
              proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            }}
          }}
          server {{
            listen 127.0.0.1:{port + 1};
            location / {{ default_type application/json; return 202 '{{"reason_code":10,"reason":"Opt Out Cookie"}}'; }}
          }}
        }}
        """
    )
    return file
