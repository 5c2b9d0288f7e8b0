"""One bad file per mistake: each is refused at its place, under its key path, with what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError, Problem

UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"


def faults(text: str, environ: dict[str, str] | None = None, base: Path = Path()) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f.yaml", environ or {}, base)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return caught.value.problems


MISTAKES = {
    # what stands under the upstream's line -> place, and the whole message
    "mode: strict": '2:7: mode: "strict" is not known here; allowed: enforce, shadow, bypass',
    "version: 2": "2:10: version: 2 is not a whole number in range; allowed: 1",
    "nope: 1": "2:1: nope: is not a known key; allowed: admin, audit, ",
    "mod: enforce": "2:1: mod: is not a known key (did you mean mode?); allowed: ",
    "mode: shadow\nmode: shadow": "3:1: mode: is there twice, first in line 2; allowed: once",
    "filters: {ip: {block: [], block: []}}": "2:27: filters.ip.block: is there twice, first in line 2; allowed: once",
    "listen: 8080": "2:9: listen: 8080 is not a section; allowed: a mapping of keys",
    "listen: [a]": "2:9: listen: a list is not a section; allowed: a mapping of keys",
    "listen: {port: 70000}": "2:16: listen.port: 70000 is not a whole number in range; allowed: 0 to 65535",
    "listen: {port: http}": '2:16: listen.port: "http" is not a whole number in range; allowed: 0 to 65535',
    "listen: {port: 80.5}": "2:16: listen.port: 80.5 is not a whole number in range; allowed: 0 to 65535",
    "listen: {port: true}": "2:16: listen.port: true is not a whole number in range; allowed: 0 to 65535",
    "listen: {port: null}": "2:16: listen.port: null is not a whole number in range; allowed: 0 to 65535",
    "admin: {token: same, read_token: same}": "2:22: admin.read_token: is the same as token, so who may read",
    "listen: {unix: /a, port: 1}": "2:26: listen.port: 1 is set beside unix; allowed: host and port, or unix alone",
    "listen: {proxy_protocol: true}\nclient_ip: {trusted_proxies: []}": "2:26: listen.proxy_protocol: true lets no client "
    "connect, as client_ip.trusted_proxies is empty; allowed: the balancers there",
    "listen: {tls: {cert: a}}": "2:15: listen.tls.key: is missing",
    "workers: 0": "2:10: workers: 0 is not a whole number in range; allowed: 1 or more",
    "server: {max_body: 8 parsecs}": '2:20: server.max_body: "8 parsecs" is not a size above zero; allowed: bytes, or ',
    "server: {max_body: -1}": "2:20: server.max_body: -1 is not a size above zero; allowed: bytes, or ",
    "server: {max_body: 0.3KB}": '2:20: server.max_body: "0.3KB" is not a size above zero; allowed: bytes, or ',
    "server: {drain: 15}": "2:17: server.drain: 15 is not a duration (did you mean 15s?); allowed: a number with ms, ",
    "server: {keepalive: 0s}": '2:21: server.keepalive: "0s" is not a duration above zero; allowed: ',
    "client_ip: {trusted_proxies: [10.0.0.1/8]}": '2:31: client_ip.trusted_proxies[0]: "10.0.0.1/8" is not a network (',
    "client_ip: {trusted_proxies: 10.0.0.1}": '2:30: client_ip.trusted_proxies: "10.0.0.1" is not a list; allowed: a ',
    "client_ip: {header: 'a b'}": '2:21: client_ip.header: "a b" is not a header\'s name; allowed: a name such as ',
    "routes: {page: [rec/page]}": '2:17: routes.page[0]: "rec/page" is not a path (did you mean /rec/page?); allowed: a',
    "routes: {page: [/a], bundle: [/a]}": '2:31: routes.bundle[0]: "/a" is routes.page[0] already; allowed: each ',
    "routes: {direct: {event: x}}": '2:26: routes.direct.event: "x" is not a path (did you mean /x?); allowed: a path',
    "socket: yes": '2:9: socket: "yes" is not known here; allowed: judge, tunnel, refuse',
    "orgs: {unlisted: maybe}": '2:18: orgs.unlisted: "maybe" is not known here; allowed: allow, block',
    "orgs: {listed: [o-1]}": "2:16: orgs.listed: a list is not a section; allowed: a mapping of keys",
    "orgs: {listed: {o-1: 5}}": "2:22: orgs.listed.o-1: 5 is not a section; allowed: a mapping of keys",
    "orgs: {listed: {o-1: {server: {}}}}": "2:23: orgs.listed.o-1.server: is not a known key; allowed: client_api, ",
    "orgs: {listed: {o-1: {filters: 5}}}": "2:32: orgs.listed.o-1.filters: 5 is not a section; allowed: a mapping",
    "orgs: {listed: {o-1: {filters: {ip: {block: x}}}}}": '2:45: orgs.listed.o-1.filters.ip.block: "x" is not a list',
    "filters: {on_bundles: [quota]}": '2:24: filters.on_bundles[0]: "quota" is not known here; allowed: org, domain',
    "filters: {on_bundle: []}": "2:11: filters.on_bundle: is not a known key (did you mean on_bundles?); allowed: ",
    "filters: {url: {mode: off, schemes: ['1']}}": '2:38: filters.url.schemes[0]: "1" is not a scheme; allowed: ',
    "filters: {script: {min_compiled: 2023-02-30}}": (
        '2:34: filters.script.min_compiled: "2023-02-30" is not a date; allowed: a date such as 2026-01-31, or null'
    ),
    "filters: {domain: {rules: [a.com]}}": '2:28: filters.domain.rules[0]: "a.com" is not a rule; allowed: {capture: ',
    "filters: {domain: {rules: [{capture: a, block: b}]}}": "2:28: filters.domain.rules[0]: a mapping is not a rule; ",
    "filters: {domain: {rules: [{block: ''}]}}": '2:36: filters.domain.rules[0].block: "" is not a domain pattern; ',
    "filters: {domain: {otherwise: allow}}": '2:31: filters.domain.otherwise: "allow" is not known here; allowed: ca',
    "filters: {domain: {rules: [{block: a.com, id: x}, {block: b.com, id: x}]}}": (
        '2:70: filters.domain.rules[1].id: "x" is not unique: filters.domain.rules[0].id in line 2 has it too; '
    ),
    "filters: {domain: {rules: [{block: a.com, id: ''}]}}": '2:47: filters.domain.rules[0].id: "" is not an id; ',
    "filters: {ip: {block: [10.0.0.0/99]}}": '2:24: filters.ip.block[0]: "10.0.0.0/99" is not an address pattern; ',
    "filters: {ip: {allow: [[1.2.3.4]]}}": "2:24: filters.ip.allow[0]: a list is not an address pattern; allowed: a t",
    "filters: {ip: {block: [{rule: 1.2.3.4}]}}": "2:24: filters.ip.block[0]: a mapping is not an address pattern; ",
    "filters: {user_agent: {block: ['']}}": '2:32: filters.user_agent.block[0]: "" is not a user-agent pattern; ',
    "filters: {user_agent: {crawlers: 'true'}}": '2:34: filters.user_agent.crawlers: "true" is not true or false (did y',
    "filters: {geo: {never: ['']}}": '2:25: filters.geo.never[0]: "" is not a zone; allowed: ',
    "filters: {geo: {never: [US, XX1]}}": '2:29: filters.geo.never[1]: "XX1" is not a zone; allowed: an ISO 3166 code',
    "filters: {user_agent: {block: ['regex:(']}}": '2:32: filters.user_agent.block[0]: "regex:(" is not a user-agent ',
    "filters: {domain: {rules: [{block: 'http://a'}]}}": '2:36: filters.domain.rules[0].block: "http://a" is not a do',
    "cors: {origins: ['https://a:0']}": '2:18: cors.origins[0]: "https://a:0" is not an origin pattern; allowed: a host',
    "cors: {origins: ['http://a/']}": '2:18: cors.origins[0]: "http://a/" is not an origin pattern (did you mean',
    "filters: {geo: {only: [US], never: [FR]}}": "2:29: filters.geo.never: is set beside only; allowed: only or never",
    "filters: {geo: {source: {header: a, database: b}}}": '2:34: filters.geo.source.header: "a" is set beside database',
    "filters: {opt_out: {cookies: ['a b=1']}}": '2:31: filters.opt_out.cookies[0]: "a b=1" is not a cookie; allowed: ',
    "filters: {deleting_user: {block: [null, '', x]}}": '2:41: filters.deleting_user.block[1]: "" is not a text; all',
    "filters: {blocked_user: {reason_code: 13}}": "2:39: filters.blocked_user.reason_code: 13 is not a reason code; ",
    "filters: {ramping: {share: 0.5}}": "2:28: filters.ramping.share: 0.5 is not a share (did you mean 50%?); allowed: 0% to 100%",
    "filters: {ramping: {share: 101%}}": '2:28: filters.ramping.share: "101%" is not a share; allowed: 0% to 100%',
    "filters: {ramping: {share: 1%, schedule: [{from: 2026-01-01, share: 1%}]}}": (
        "2:21: filters.ramping.share: is set beside schedule; allowed: share or schedule, not both"
    ),
    "filters: {ramping: {schedule: [{from: 2026-01-01, share: 1%}, {from: 2026-01-01, share: 2%}]}}": (
        '2:70: filters.ramping.schedule[1].from: "2026-01-01" is not after the step before; allowed: dates that rise'
    ),
    "filters: {ramping: {schedule: [{share: 1%}]}}": "2:32: filters.ramping.schedule[0].from: is missing",
    "filters: {ramping: {schedule: [{from: soon, share: 1%}]}}": (
        '2:39: filters.ramping.schedule[0].from: "soon" is not a date; allowed: a date such as 2026-01-31'
    ),
    "filters: {ramping: {schedule: {}}}": "2:31: filters.ramping.schedule: a mapping is not a list; allowed: a list",
    "filters: {quota: {sessions: -1}}": "2:29: filters.quota.sessions: -1 is not a whole number in range; allowed: 0 ",
    "filters: {quota: {anchor_day: 32}}": "2:31: filters.quota.anchor_day: 32 is not a day of a cycle; allowed: 1 to",
    "filters: {quota: {anchor_day: 07-01}}": '2:31: filters.quota.anchor_day: "07-01" does not fit the cycle; allowed',
    "filters: {quota: {cycle: yearly, anchor_day: 7}}": "2:46: filters.quota.anchor_day: 7 does not fit the cycle; al",
    "filters: {quota: {cycle: yearly, anchor_day: 02-30}}": '2:46: filters.quota.anchor_day: "02-30" is not a day of ',
    "filters: {quota: {timezone: Mars/Olympus}}": '2:29: filters.quota.timezone: "Mars/Olympus" is not a time zone; ',
    "filters: {quota: {timezone: ../../etc/passwd}}": '2:29: filters.quota.timezone: "../../etc/passwd" is not a time ',
    "filters: {quota: {timezone: Europe}}": '2:29: filters.quota.timezone: "Europe" is not a time zone (did you mean ',
    "client_api: {reserved: {phone: 9}}": "2:25: client_api.reserved.phone: is not a known key; allowed: acctId, ",
    "client_api: {rate: {event: [10/d]}}": '2:29: client_api.rate.event[0]: "10/d" is not a rate; allowed: calls per ',
    "client_api: {blocked_uids: nope}": '2:28: client_api.blocked_uids: "nope" is not a list; allowed: a list, such ',
    "state: {redis: {url: redis://a}}": "2:9: state.redis: has an address, and no backend is named, so this process would "
    "count alone, in memory; allowed: backend: redis (or memory) beside it",
    "state: {redis: {cluster: true, nodes: [a:1]}}": "2:9: state.redis: has an address, and no backend is named",
    "state: {redis: {sentinel: {master: m, nodes: a:1}}}": "2:9: state.redis: has an address, and no backend is named",
    "state: {redis: {timeout: 250}}": "2:26: state.redis.timeout: 250 is not a duration above zero (did you mean 250ms?)",
    "server: {drain: 0}": "2:17: server.drain: 0 is not a duration (did you mean 0s?)",
    "state: {redis: {timeout: 1}}": "2:26: state.redis.timeout: 1 is not a duration above zero (did you mean 1s?)",
    "state: {redis: {timeout: 0}}": "2:26: state.redis.timeout: 0 is not a duration above zero; allowed: a number with",
    "server: {header_timeout: 5000}": "2:26: server.header_timeout: 5000 is not a duration above zero (did you mean 5000ms?)",
    "client_api: {cardinality: {retention: 30}}": "2:39: client_api.cardinality.retention: 30 is not a duration above zero "
    "(did you mean 30d?)",
    "state: {backend: file}": '2:18: state.backend: "file" is not known here; allowed: memory, redis',
    "audit: {share: {other: 1}}": "2:24: audit.share.other: 1 is not a share (did you mean 100%?); allowed: 0% to 100%",
    "audit: {share: {page: 1}}": "2:23: audit.share.page: 1 is not a share (did you mean 100%?); allowed: 0% to 100%",
    "audit: {client_ip: hashed}": '2:20: audit.client_ip: "hashed" needs audit.key; allowed: key: ${SOME_VARIABLE} ',
    "log: {level: loud}": '2:14: log.level: "loud" is not known here; allowed: debug, info, warning, error',
    "cors: {origins: all}": '2:17: cors.origins: "all" is not a list; allowed: any, or a list, such as [ITEM]',
    "mode: !!python/name:os.system x": "2:7: mode: has an unknown tag",
    "? [a]\n: 1": "2:3: a key that is not a text",
    "mode: ${MODE}": "2:7: mode: *** refers to MODE, which is not set in the environment; allowed: a variable that is ",
    "mode: ${MODE-enforce}": "2:7: mode: *** holds a malformed reference; allowed: ${NAME}, ${NAME:-default}, and $$",
    "filters: {ip: {block: ['file:none.txt']}}": '2:24: filters.ip.block[0]: "file:none.txt" is not there; allowed: ',
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items(), ids=MISTAKES.keys())
def test_a_mistake_is_the_one_fault_of_its_file(text: str, message: str) -> None:
    found = faults(UPSTREAM + text)

    assert [str(problem)[: len(f"f.yaml:{message}")] for problem in found] == [f"f.yaml:{message}"]


UPSTREAMS = {
    "mode: enforce": "1:1: upstream: is missing",
    "upstream: {}": "1:11: upstream.url: is missing",
    "upstream:": "1:10: upstream.url: is missing",
    "upstream: {url: ftp://a}": '1:17: upstream.url: "ftp://a" is not an http or https address; allowed: http://HOST',
    "upstream: {url: 127.0.0.1}": '1:17: upstream.url: "127.0.0.1" is not an http or https address (did you mean ',
    "upstream: {url: 'http://'}": '1:17: upstream.url: "http://" is not an http or https address; allowed: http:',
    "upstream: {url: 'http://a?b'}": '1:17: upstream.url: "http://a?b" is not an http or https address; allowed: ',
    "upstream: {url: 'http://a#b'}": '1:17: upstream.url: "http://a#b" is not an http or https address; allowed: ',
    "upstream: {url: 'http://a:b'}": '1:17: upstream.url: "http://a:b" is not an http or https address; allowed: ',
    "upstream: {url: 'http://a:99999'}": '1:17: upstream.url: "http://a:99999" is not an http or https address; allo',
    "upstream: {url: 'http://[::1'}": '1:17: upstream.url: "http://[::1" is not an http or https address; allowed: ',
    "upstream: {url: 'http://u:p@a'}": "1:17: upstream.url: *** is not an http or https address; allowed: http:",
    "upstream: {url: http://a, prefixes: {s: http://a}}": "1:38: upstream.prefixes.s: is not a path prefix; allowed:",
    "upstream: {url: http://a, prefixes: {/s: a}}": '1:42: upstream.prefixes./s: "a" is not an http or https address',
    "upstream: {url: http://a, origin: a.example}": '1:35: upstream.origin: "a.example" is not an origin (did you m',
    "upstream: {url: http://a, origin: http://a/b}": '1:35: upstream.origin: "http://a/b" is not an origin; allowed: ',
    "upstream: {url: http://a, rewrite: [{path: 'regex:(', to: /}]}": '1:44: upstream.rewrite[0].path: "regex:(" is not',
    "upstream: {url: http://a, rewrite: [{path: /a/, to: 'ftp://a'}]}": '1:53: upstream.rewrite[0].to: "ftp://a" is not',
    "upstream: {url: http://a, rewrite: [{path: /a/, to: '/\\1'}]}": '1:53: upstream.rewrite[0].to: "/\\\\1" refers to gr',
    "upstream: {url: http://a, rewrite: [{path: /a/, to: /b?c}]}": '1:53: upstream.rewrite[0].to: "/b?c" is not what a path can become; allowed',
    "upstream: {url: http://a, rewrite: [{path: /a/}]}": "1:37: upstream.rewrite[0].to: is missing",
    "upstream: {url: http://a, cookies: none}": '1:36: upstream.cookies: "none" is not a list; allowed: all, or a l',
    "upstream: {url: http://a, cookies: [a=1]}": '1:37: upstream.cookies[0]: "a=1" is not a cookie\'s name; allowed',
    "upstream: {url: http://a, tls: {cert: a}}": '1:39: upstream.tls.cert: "a" is set without key; allowed: cert and',
}


@pytest.mark.parametrize(("text", "message"), UPSTREAMS.items(), ids=UPSTREAMS.keys())
def test_a_wrong_upstream_is_the_one_fault_of_its_file(text: str, message: str) -> None:
    found = faults(text)

    assert [str(problem)[: len(f"f.yaml:{message}")] for problem in found] == [f"f.yaml:{message}"]


NO_YAML = {
    "": "1:1: the file is empty; allowed: a mapping of keys, at least upstream",
    "# nothing\n": "1:1: the file is empty; allowed: a mapping of keys, at least upstream",
    "- a\n": "1:1: a list is not a configuration; allowed: a mapping of keys, at least upstream",
    "hunter2": "1:1: *** is not a configuration; allowed: a mapping of keys, at least upstream",
    "a: b\n c: d\n": r"2:3: is not YAML: a colon makes a key here; .*",
    "a: [1,\n": r"2:1: is not YAML: .*",
    "a: 'x\n": r"1:4: is not YAML: the quotes .*",
    "a:\n\t- b\n": r"2:1: is not YAML: a tab .*",
    "a: *b\n": r"1:4: is not YAML: refers to an anchor .*",
    "a: 1\n---\nb: 1\n": r"2:1: is not YAML: .*",
    "a: 1\nb: \x00\n": "2:4: a character that YAML does not allow",
    "mode: &x [*x]\n": r"1:7: mode\[0\]: an alias that contains itself",
    "[" * 900 + "]" * 900: "1:201: is nested too deeply",
    "{a: " * 200_000: "1:801: is nested too deeply",
    "- " * 200_000: "1:1: is nested too deeply",
}


@pytest.mark.parametrize(("text", "message"), NO_YAML.items(), ids=[repr(text[:12]) for text in NO_YAML])
def test_what_is_no_yaml_mapping_is_a_fault_with_its_line(text: str, message: str) -> None:
    problems = faults(text)
    first = next((problem for problem in problems if "alias" in problem.fault), problems[0])

    pattern = message if "\\" in message or ".*" in message else re.escape(message)
    assert re.fullmatch(f"f\\.yaml:{pattern}", str(first))


def test_all_faults_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
mode: strict
listen: {unix: /run/a.sock, port: 1, hosst: a}
upstream:
  url: nowhere
  timeouts: {connect: 3}
filters:
  geo: {only: [""], never: [""], mode: maybe}
  ip:
    block:
      - 1.2.3.4
      - 999.1.1.1
    unknown: 1
workers: ${WORKERS}
"""
    found = [(problem.line, problem.column, problem.key_path) for problem in faults(text)]

    assert found == [
        (1, 7, "mode"),
        (2, 35, "listen.port"),
        (2, 38, "listen.hosst"),
        (4, 8, "upstream.url"),
        (5, 23, "upstream.timeouts.connect"),
        (7, 16, "filters.geo.only[0]"),
        (7, 21, "filters.geo.never"),
        (7, 29, "filters.geo.never[0]"),
        (7, 40, "filters.geo.mode"),
        (11, 9, "filters.ip.block[1]"),
        (12, 5, "filters.ip.unknown"),
        (13, 10, "workers"),
    ]


def test_several_workers_over_memory_are_refused_with_the_reason() -> None:
    found = faults(UPSTREAM + "workers: 4")

    assert any("each worker would count sessions, names and rates alone" in str(problem) for problem in found)


def test_what_needs_an_extra_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsproxy.core.matching.crawlers._LIST", "no_such_module")
    monkeypatch.setattr("fsproxy.config.conflicts._DATABASES", "no_such_module")

    crawlers, database = faults(
        UPSTREAM + "filters: {user_agent: {crawlers: true}, geo: {source: {database: geo.mmdb}}}"
    )

    assert "fsproxy[crawlers]" in str(crawlers)
    assert "fsproxy[geo]" in str(database)


def test_a_problem_tells_its_parts() -> None:
    (found,) = faults(UPSTREAM + "mode: strict")

    assert found == Problem("f.yaml", 2, 7, "mode", '"strict"', "enforce, shadow, bypass", "is not known here")
