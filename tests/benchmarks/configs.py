"""How each peer is configured, and what is measured on which of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import payloads
from payloads import Requests

STATIC = ("bare", "nginx", "haproxy", "fsproxy")
PROXIES = ("naive", "nginx", "haproxy", "fsproxy")
VALIDATORS = ("validating", "nginx", "haproxy", "fsproxy")


@dataclass(frozen=True, slots=True)
class Target:
    """What fsproxy is to reach, as a multiple of another peer's requests for the same CPU time."""

    against: str
    floor: float | None
    goal: float | None


@dataclass(frozen=True, slots=True)
class PathSpec:
    """One thing that is measured: the requests, the answer they must get, and who is compared."""

    name: str
    meaning: str
    requests: Callable[[], Requests]
    expected: int
    peers: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    rules: int = 10
    quota: int | None = None
    upgrade: Callable[[], bytes] | None = None
    """Opens a WebSocket; requests and answers are then frames."""
    state: Callable[[Path], dict[str, Any]] | None = None
    """Makes the section ``state`` of fsproxy's configuration, for a folder of its own; None: nothing is kept."""

    @property
    def is_static(self) -> bool:
        """The proxies answer themselves."""
        return self.peers is STATIC


def _block(count: int, label: str) -> PathSpec:
    targets = (Target("bare", 0.6, 2.0), Target("nginx", 0.08, 0.30))
    meaning = f"page blocked by the last of all filters, {count} rules, audited"
    return PathSpec(f"block-{label}", meaning, payloads.opted_out_pages, 202, STATIC, targets, rules=count)


_FORWARD = (Target("naive", 1.5, 5.0), Target("nginx", 0.12, 0.45))
_BUNDLE = (Target("naive", 1.3, 5.0), Target("nginx", 0.12, 0.50))

PATHS: Mapping[str, PathSpec] = {
    path.name: path
    for path in (
        _block(10, "10"),
        _block(1000, "1k"),
        _block(100_000, "100k"),
        PathSpec("forward", "page of 1 KB of a session under way", payloads.pages_under_way, 200, PROXIES, _FORWARD),
        PathSpec("page", "page of a new session, counted", payloads.new_pages, 200, PROXIES, _FORWARD, quota=10**9),
        PathSpec("bundle", "bundle of 20 KB, no calls", payloads.bundles, 200, PROXIES, _BUNDLE),
        PathSpec(
            "bundle-gzip",
            "the same, compressed",
            lambda: payloads.bundles(compressed=True),
            200,
            PROXIES,
            _BUNDLE,
        ),
        PathSpec("bundle-calls", "bundle of 20 KB, 5 calls", lambda: payloads.bundles(calls=5), 200, PROXIES),
        PathSpec(
            "event-1k",
            "direct event of 1 KB",
            lambda: payloads.events(1024),
            200,
            VALIDATORS,
            (Target("validating", 3.0, 8.0),),
        ),
        PathSpec(
            "event-64k",
            "direct event of 64 KB",
            lambda: payloads.events(64 * 1024),
            200,
            VALIDATORS,
            (Target("validating", 3.0, 12.0),),
        ),
        PathSpec(
            "event-512k",
            "direct event of 512 KB",
            lambda: payloads.events(512 * 1024),
            200,
            VALIDATORS,
            (Target("validating", 3.0, 12.0),),
        ),
        PathSpec(
            "socket",
            "WebSocket frame of 1 KB, no calls",
            payloads.socket_frames,
            200,
            PROXIES,
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


def networks(count: int) -> list[str]:
    """Networks of many lengths, none of which holds an address that the load comes from (198.18.0.0/15)."""
    random_ = random.Random(count)
    found: dict[str, None] = {}
    while len(found) < count:
        length = random_.choice((16, 20, 22, 24, 24, 24, 27, 28, 30, 32, 32, 32))
        address = random_.randrange(11 << 24, 127 << 24) >> (32 - length) << (32 - length)
        found[str(IPv4Network((address, length)))] = None
    return list(found)


def write_fsproxy(folder: Path, path: PathSpec, port: int, admin_port: int, upstream_port: int) -> Path:
    """A configuration with ``path.rules`` rules of each kind, at most 1,000 patterns and 10,000 domains."""
    (folder / "networks.txt").write_text("\n".join(networks(path.rules)))
    agents = "\n".join(f"Bot-{number:04}/" for number in range(min(path.rules, 1000)))
    (folder / "agents.txt").write_text(agents)
    domains = [{"block": f"shop-{number}.example.net"} for number in range(min(path.rules, 10_000))]
    filters: dict[str, Any] = {
        "domain": {"otherwise": "capture", "rules": domains},
        "ip": {"block": ["file:networks.txt"]},
        "user_agent": {"block": ["file:agents.txt"]},
        "geo": {"never": ["AQ"], "source": {"header": "cf-ipcountry"}},
        "opt_out": {"cookies": ["fs_optout=1"]},
    }
    if path.quota is not None:
        filters["quota"] = {"sessions": path.quota}
    config = {
        "version": 1,
        "listen": {"host": "127.0.0.1", "port": port},
        "admin": {"host": "127.0.0.1", "port": admin_port},
        "server": {"keepalive": "1h", "max_connections": 20_000},  # growth.py keeps 10,000 that are idle
        "upstream": {"url": f"http://127.0.0.1:{upstream_port}"},
        "client_ip": {"trusted_proxies": ["127.0.0.0/8"], "header": "x-forwarded-for"},
        "filters": filters,
        "state": path.state(folder) if path.state is not None else {"persist": None},
        "audit": {"to": str(folder / "audit.jsonl")},
        "log": {"level": "warning"},
    }
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


def write_haproxy(folder: Path, port: int, upstream_port: int) -> Path:
    """One thread, no log, connections kept on both sides; the next port answers a fixed 202."""
    file = folder / "haproxy.cfg"
    file.write_text(
        f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend proxy
  bind 127.0.0.1:{port}
  default_backend up
backend up
  server one 127.0.0.1:{upstream_port}
frontend static
  bind 127.0.0.1:{port + 1}
  http-request return status 202 content-type application/json string '{{"reason_code":10}}'
"""
    )
    return file
