"""How many audit lines ``fsproxy replay`` decides again in a second of one core, and in how much memory.

python tests/benchmarks/replay.py [LINES]
"""

from __future__ import annotations

import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LINES = 1_000_000
RULES = """
upstream: {url: http://127.0.0.1:9000}
filters:
  ip: {block: [10.0.0.0/8]}
  user_agent: {block: [YandexBot]}
  domain: {rules: [{block: www3.example.com}]}
  geo: {never: [FR]}
"""


def line(number: int, chosen: random.Random, agents: list[str]) -> dict[str, Any]:
    """A page of 20 orgs, with an address of its own; one in five was blocked."""
    parts = ".".join(str(chosen.randrange(256)) for _ in range(3))
    facts: dict[str, Any] = {"scheme": "https", "origin": "www.example.com", "compiled": 1754000000, "version": "a1b2"}
    facts |= {"snippet": "s", "cookies": True, "no_opt_out": ["fs_optout=1"], "located": True}
    made: dict[str, Any] = {
        "@timestamp": f"2026-11-21T{chosen.randrange(24):02d}:{chosen.randrange(60):02d}:59.000Z",
        "fsproxy.audit.version": 1,
        "event.action": "page",
        "event.outcome": "success",
        "http.request.id": f"e85e975ff42b-{number}",
        "organization.id": f"o-{chosen.randrange(20)}",
        "fsproxy.session_id": f"{chosen.getrandbits(128):032x}",
        "fsproxy.user_id": f"{chosen.getrandbits(128):032x}",
        "client.geo.country_iso_code": chosen.choice(["US", "DE", "GB", "NL"]),
        "user_agent.original": chosen.choice(agents),
        "url.domain": f"www{chosen.randrange(10)}.example.com",
        "fsproxy.url.length": chosen.randrange(24, 200),
        "fsproxy.facts": facts,
    }
    if chosen.random() < 0.2:
        hit = {"fsproxy.reason_code": 5, "rule.id": "ip:block:10.0.0.0/8", "fsproxy.filter": "ip"}
        return made | hit | {"client.ip": f"10.{parts}"}
    return made | {"client.ip": f"192.{parts}", "fsproxy.facts": {"session": "new", **facts}}


def measure(folder: Path, file: Path, count: int) -> str:
    """One run in a process of its own; the time of a run over nothing is taken off."""
    used = []
    empty = folder / "empty.log"
    empty.write_text("{}\n")
    for audit in (empty, file):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "fsproxy", "replay", str(audit), "--config", str(folder / "rules.yaml")]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return f"replay  {file.suffix:4}  {count / (used[1] - used[0]):9,.0f} lines/s of one core  {memory} MB"


def main() -> None:
    """Plain first, then gzip."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    chosen = random.Random(1)
    agents = [f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{n}.0.{n * 7}.{n % 200}" for n in range(2000)]
    with tempfile.TemporaryDirectory(prefix="fsproxy-replay-") as name:
        folder = Path(name)
        (folder / "rules.yaml").write_text(RULES)
        plain, packed = folder / "audit.log", folder / "audit.gz"
        with plain.open("w") as one, gzip.open(packed, "wt", compresslevel=6) as two:
            for number in range(count):
                text = json.dumps(line(number, chosen, agents), separators=(",", ":")) + "\n"
                one.write(text)
                two.write(text)
        for file in (plain, packed):
            print(measure(folder, file, count))


if __name__ == "__main__":
    main()
