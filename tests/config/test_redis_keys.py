"""Where Redis is: one server, a primary that Sentinels know, or a Cluster; and what cannot stand together."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.hosts import Node
from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import RedisConfig, RedisTls, SentinelConfig, StateBackend


def redis(keys: str, **environ: str) -> RedisConfig:
    text = f"upstream: {{url: http://a}}\nstate: {{backend: redis, redis: {{{keys}}}}}"
    return load_text(text, "f.yaml", environ, Path()).state.redis


def test_each_form_is_read() -> None:
    assert redis("") == RedisConfig()
    assert redis("cluster: true, nodes: [a:7000, '[2001:DB8::1]:7001', a:7000]") == RedisConfig(
        cluster=True, nodes=(Node("a", 7000), Node("2001:db8::1", 7001))
    )
    assert redis("cluster: true, url: redis://a:7000/0, database: 0") == RedisConfig(
        cluster=True, url="redis://a:7000/0", database=0
    )
    sentinel = "sentinel: {master: m, nodes: [a:26379, b:26379], username: w, password: s, tls: false}"
    assert redis(f"{sentinel}, database: 3, username: u, password: p, tls: {{ca: a.pem}}") == RedisConfig(
        sentinel=SentinelConfig(
            master="m", nodes=(Node("a", 26379), Node("b", 26379)), username="w", password="s", tls=False
        ),
        database=3,
        username="u",
        password="p",
        tls=RedisTls(ca="a.pem"),
    )


@pytest.mark.parametrize("password", ["a@b/c#d:e%41 f", "12345", "?[x]", "ünï"])
def test_a_password_of_its_own_holds_any_character(password: str) -> None:
    assert redis(f"password: '{password}'").password == password
    assert redis("password: '${PW}'", PW=password).password == password
    assert redis("password: '${PW}'", PW=f"{password}\n").password == password


TOGETHER = {
    "sentinel: {master: m, nodes: a:1}, url: redis://a": "url: is set beside sentinel, which knows the address",
    "sentinel: {master: m, nodes: a:1}, cluster: true": "cluster: is set beside sentinel",
    "sentinel: {master: m, nodes: a:1}, nodes: [a:1]": "nodes: is set beside sentinel",
    "nodes: [a:1]": "nodes: is set without cluster: true; allowed: cluster: true beside it",
    "cluster: true, nodes: [a:1], url: redis://a": "nodes: is set beside url",
    "cluster: true, database: 1": "database: 1 is not there in a Cluster, which has database 0 alone; allowed: 0",
    "cluster: true, url: redis://a/1": "url: names a database, but a Cluster has database 0 alone",
    "cluster: true, url: 'redis://a?db=2'": "url: names a database, but a Cluster has database 0 alone",
    "cluster: true, prefix: 'a{b}:'": 'prefix: "a{b}:" holds {, which may put all orgs into one slot',
    "cluster: true, url: unix:///run/redis.sock": "url: is a unix socket",
    "url: redis://a/1, database: 2": "database: 2 is not the database that url names",
    "url: redis://u@a, username: u": "username: is set beside a username in url",
    "url: redis://:p@a, password: p": "password: is set beside a password in url",
    "url: redis://a, tls: {ca: a.pem}": "tls: is set beside an address without TLS; allowed: rediss:// in url",
    "url: rediss://a, tls: {cert: a.pem}": 'tls.cert: "a.pem" is set without key',
    "url: 'redis://:p/w@a'": "url: *** is not a Redis address",
    "url: 'redis://:p#w@a'": "have keys of their own, username and password",
    "url: redis://a/first": "url: *** is not a Redis address",
    "url: redis://:SECRET@a:not-a-port/0": "url: *** is not a Redis address",
    "url: 'redis://:SECRET@a?such_option=1'": "url: *** is not a Redis address",
    "url: redis://a:70000": "url: *** is not a Redis address",
    "sentinel: {nodes: a:1}": "sentinel.master: is missing",
    "sentinel: {master: m}": "sentinel.nodes: is missing",
    "sentinel: {master: m, nodes: []}": "sentinel.nodes: a list is not a server's address",
    "sentinel: {master: m, nodes: a}": "is not a server's address; allowed: HOST:PORT",
    "cluster: true, nodes: ['2001:db8::1']": "is not a server's address",
    "cluster: true, nodes: [a:0]": "is not a server's address",
    "cluster: true, nodes: [redis://a:1]": "is not a server's address",
}


@pytest.mark.parametrize(("keys", "fault"), TOGETHER.items())
def test_what_cannot_be_is_refused_with_what_to_write(keys: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        redis(keys)

    [problem] = caught.value.problems
    assert f"state.redis.{fault}" in str(problem) or fault in str(problem)
    assert problem.line == 2
    assert "SECRET" not in str(problem)


def test_a_database_that_both_keys_name_is_no_fault() -> None:
    assert redis("url: redis://a/2, database: 2").database == 2
    assert redis("url: rediss://a, tls: {ca: a.pem}").tls == RedisTls(ca="a.pem")


def test_a_server_may_be_named_beside_memory_that_is_chosen_by_name() -> None:
    text = "upstream: {url: http://a}\nstate: {backend: memory, redis: {url: redis://other}}"
    assert load_text(text, "f.yaml", {}, Path()).state.backend is StateBackend.MEMORY
