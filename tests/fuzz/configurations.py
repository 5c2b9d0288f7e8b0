"""Configuration files: a configuration, or faults with their places; nothing else, and in bounded time."""

from __future__ import annotations

from pathlib import Path

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary
from fsproxy.core.policy import Snapshot
from fuzz.harness import Target

MOST_PROBLEMS = 2000
"""A file of ``longest`` bytes cannot have more faults worth telling."""
_ROOT = Path(__file__).parents[2]


def check_config(data: bytes) -> None:
    """Any text: what is accepted compiles, and every fault has a line of the file."""
    text = data.decode("utf-8", "replace")
    found = _loaded(text)
    if isinstance(found, Config):
        assert summary(found)
        snapshot = Snapshot.compile(found.core, 1)
        assert snapshot.policy(None) is snapshot.policy("not listed")
        return
    last = len(text.splitlines()) + 1
    assert 0 < len(found.problems) <= MOST_PROBLEMS
    for problem in found.problems:
        assert 1 <= problem.line <= last
        assert problem.column >= 1
        assert problem.fault
        assert "Traceback" not in str(problem)
        assert "hidden-value" not in problem.without_value


def _loaded(text: str) -> Config | ConfigError:
    try:
        return load_text(text, "f.yaml", {"X": "1", "SECRET": "hidden-value"}, Path("/nonexistent"))
    except ConfigError as error:
        return error


def _sections() -> tuple[bytes, ...]:
    """The annotated file cut at its sections, each with an upstream: small inputs load fast."""
    text = (_ROOT / "config" / "fsproxy.yaml").read_text("utf-8")
    lines = [line.partition(" #")[0].rstrip() for line in text.splitlines()]
    sections: list[list[str]] = []
    for line in lines:
        if not line or line.lstrip().startswith("#"):
            continue
        if not line.startswith((" ", "-", "}", "]")):
            sections.append([])
        sections[-1].append(line)
    upstream = "upstream: {url: http://127.0.0.1:9}"
    whole = [each for each in sections if not each[0].startswith("upstream")]
    return tuple("\n".join([upstream, *each]).encode() for each in whole)


CONFIGS = Target(
    "configs",
    check_config,
    seeds=(
        *_sections(),
        b"upstream: {url: http://a.example, prefixes: {/s/: https://b.example}}\norgs: {listed: {o-1: {enabled: false}}}",
        b"a: &x [*x]\nupstream: *x",
        b"x-a: &a {drain: 1s, <<: {max_body: 1MB}}\nupstream: {url: http://a}\nserver: {<<: [*a, *a], drain: 2s}",
        b'{"upstream": {"url": "http:\\/\\/a"}, "orgs": {"listed": {"\\ud83d\\ude00": {}, "\\ud83d": {}}}}',
        b"upstream: {url: http://a, rewrite: [{path: 'regex:^/(a|b)/', to: 'http://b/\\1'}, {path: /c, to: ''}]}",
        b"upstream: {url: '${X}'}\naudit: {key: '${SECRET}'}\nfilters: {ip: {block: ['file:x', 10.0.0.0/8]}}",
        b"filters: {ramping: {schedule: [{from: 2026-01-01, share: 10%}]}, quota: {cycle: yearly, anchor_day: 02-29}}",
    ),
    tokens=(
        *(
            b": ",
            b"- ",
            b"{",
            b"}",
            b"[",
            b"]",
            b"&a ",
            b"*a",
            b"<<: ",
            b"<<: [*a, *a]",
            b"x-a: ",
            b"\\ud83d",
            b"\\ude00",
            b"|\n",
            b">-\n",
            b"!!python/object ",
            b"!!int ",
            b"---\n",
        ),
        *(
            b"...\n",
            b"%YAML 1.1\n",
            b"\t",
            b"# ",
            b"'",
            b'"',
            b"${X}",
            b"${NONE:-",
            b"${",
            b"null",
            b"~",
            b"yes",
            b"0x1f",
            b"1e999",
        ),
        *(
            b"25%",
            b"10/s",
            b"8MB",
            b"-1s",
            b"9" * 400,
            b"file:x",
            b"regex:(",
            b"mode: off",
            b"enforce",
            b"\xef\xbb\xbf",
            b"\x85",
        ),
        *(b"[" * 200, b"{a: " * 60, b"\n  ", "\u2028".encode(), b"? "),
    ),
    inputs=800,
)
