"""The Redis or Valkey server of the limits."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Protocol

from fsproxy.cli.doctor.findings import Finding, fault, ok, unknown, warning
from fsproxy.config.schema import RedisConfig
from fsproxy.state.redis.servers.refusals import MISFITS, NONE_ANSWERS, OTHERWISE, REMEDIES, is_refused, word_of
from fsproxy.state.redis.write_limits import WARN_SHARE

_REPLICA = {"READONLY": "it is a replica, which takes no writes"}
FEWEST_SENTINELS = 3
OLDEST = (6, 2)
"""Older servers get no fixes any more."""
COMMANDS: Mapping[str, Sequence[object]] = {
    "SET": ("s", "1", "PX", 10_000),
    "GET": ("s",),
    "INCR": ("s",),
    "EXISTS": ("s",),
    "PTTL": ("s",),
    "HSET": ("h", "f", 1),
    "HSETNX": ("h", "f", 1),
    "HINCRBY": ("h", "f", 1),
    "HGET": ("h", "f"),
    "HGETALL": ("h",),
    "HVALS": ("h",),
    "HLEN": ("h",),
    "HDEL": ("h", "f"),
    "ZADD": ("z", 1, "m"),
    "ZCARD": ("z",),
    "ZRANGE": ("z", 0, -1),
    "ZCOUNT": ("z", 0, 1),
    "ZSCORE": ("z", "m"),
    "ZRANGEBYSCORE": ("z", "-inf", "+inf"),
    "ZREMRANGEBYSCORE": ("z", "-inf", "0"),
    "ZREM": ("z", "m"),
    "SADD": ("e", 1),
    "PEXPIRE": ("e", 10_000),
    "SCARD": ("e",),
    "SISMEMBER": ("e", 1),
    "DEL": ("s",),
    "TIME": (),
}
"""Every command of the ledger's script, with arguments that are harmless; the first is the end of a key's name."""


class Client(Protocol):
    """The one method that is used of redis-py's client."""

    async def execute_command(self, *words: object, **options: object) -> Any:
        """Send a command, return the answer."""


async def store(config: RedisConfig) -> AsyncIterator[Finding]:
    """Ask the server what it is, and try everything that the limits need. Keys live for ten seconds at most."""
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
    except ImportError:
        yield unknown("redis.connect", "it was not asked, as redis-py is not installed", "pip install fsproxy[redis]")
        return
    from redis.exceptions import RedisError  # noqa: PLC0415

    from fsproxy.state.redis.servers.configured import server_of  # noqa: PLC0415
    from fsproxy.state.redis.servers.reasons import reason_of  # noqa: PLC0415
    from fsproxy.state.redis.servers.sentinel import SentinelServer  # noqa: PLC0415
    from fsproxy.state.redis.wire import org_base  # noqa: PLC0415

    server, limit = server_of(config), max(config.timeout, 3.0)
    if isinstance(server, SentinelServer):
        yield _sentinels(await server.survey(limit))
    pool = server.pool(limit, 1, decode_responses=True)
    client = Redis(connection_pool=pool)
    try:
        await client.execute_command("PING")  # type: ignore[no-untyped-call]
    except (RedisError, OSError) as error:
        reason = reason_of(error)
        if reason in MISFITS or reason in _REPLICA:
            yield ok("redis.connect", "it answers")
            yield fault("redis.kind", _REPLICA.get(reason, reason), REMEDIES[reason])
        elif reason in REMEDIES and not reason.isupper():
            yield fault("redis.connect", reason, REMEDIES[reason])
        else:
            yield failed("redis.connect", "it cannot be used", error)
        return
    else:
        yield ok("redis.connect", "it answers")
        yield ok("redis.kind", "a server of its own that takes writes")
        async for finding in asked(
            client, org_base(config.prefix, "~doctor"), needs_replicas=config.sentinel is not None
        ):
            yield finding
    finally:
        await pool.disconnect()


async def asked(client: Client, base: str, *, needs_replicas: bool = False) -> AsyncIterator[Finding]:
    """Ask for what INFO tells, and try the commands on keys that begin with ``base``."""
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        info = await client.execute_command("INFO")
    except RedisError:
        yield unknown(
            "redis.info",
            "the user may not ask for INFO, so version, policy and memory are not known",
            "Grant +info: fsproxy also warns when the server becomes full, if it may ask.",
        )
        info = {}
    if info:
        for finding in (_version(info), _policy(info), *_evicted(info), _memory(info)):
            yield finding
        if needs_replicas:
            yield _replicas(info)
    async for finding in _rights(client, base):
        yield finding


def _sentinels(survey: Sequence[tuple[str, str]]) -> Finding:
    """Judge what each Sentinel names as the primary, and why it names none."""
    check, named = "redis.sentinels", {primary for primary, _ in survey if primary}
    silent = [reason for _, reason in survey if reason]
    if not named:
        reason = silent[0] if silent[0] in REMEDIES else NONE_ANSWERS
        return fault(check, f"no Sentinel names a primary: {silent[0]}", REMEDIES[reason])
    if len(named) > 1:
        advice = "While they elect one this is usual. If it lasts, some of them do not reach the others."
        return warning(check, f"the Sentinels name {len(named)} different primaries", advice)
    if silent:
        text = f"{len(silent)} of {len(survey)} Sentinels do not name the primary: {silent[0]}"
        return warning(check, text, REMEDIES[NONE_ANSWERS])
    if len(survey) < FEWEST_SENTINELS:
        advice = "Run three or more, on machines of their own, and name all of them in state.redis.sentinel.nodes."
        return warning(check, f"{len(survey)} of them named: an election needs most of three or more", advice)
    return ok(check, f"all {len(survey)} Sentinels name the same primary")


def _replicas(info: Mapping[str, Any]) -> Finding:
    check, count = "redis.replicas", info.get("connected_slaves")
    if count == 0:
        return warning(check, "the primary has no replica", "Without one, nothing can take its place.")
    # Only a server that has the setting tells how many replicas are in step.
    if "min_slaves_good_slaves" not in info:
        text = "a primary that is cut off from its replicas goes on counting beside the new one"
        return warning(check, text, "Set min-replicas-to-write 1 and min-replicas-max-lag 10 on all of its servers.")
    return ok(check, f"the primary has {count} replicas, and takes no writes without one")


def _version(info: Mapping[str, Any]) -> Finding:
    name = "Valkey" if "valkey_version" in info else "Redis"
    text = str(info.get("valkey_version") or info.get("redis_version") or "")
    numbers = tuple(int(each) for each in re.findall(r"\d+", text)[:2])
    if not numbers:
        return unknown("redis.version", "it does not tell its version")
    if numbers < OLDEST:
        return warning("redis.version", f"{name} {text:.20} is old", "Use Redis 6.2 or later, or Valkey.")
    return ok("redis.version", f"{name} {text:.20}")


def _policy(info: Mapping[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", ""))
    if not policy:
        return unknown("redis.policy", "it does not tell its maxmemory-policy")
    if policy != "noeviction":
        text = f"its maxmemory-policy is {policy:.40}: it throws away counts of limits when it is full"
        return fault("redis.policy", text, "Set maxmemory-policy noeviction; give caches a server of their own.")
    return ok("redis.policy", "it evicts nothing")


def _evicted(info: Mapping[str, Any]) -> Iterator[Finding]:
    count = info.get("evicted_keys")
    if isinstance(count, int) and count > 0:
        text = f"it has thrown away {count:,} keys since it started: their limits counted from nothing"
        yield warning("redis.evicted", text, "Set maxmemory-policy noeviction, and raise maxmemory.")


def _memory(info: Mapping[str, Any]) -> Finding:
    used, most = info.get("used_memory"), info.get("maxmemory")
    if not isinstance(used, int) or not isinstance(most, int):
        return unknown("redis.memory", "it does not tell how full it is")
    if most == 0:
        advice = "Set maxmemory, so that fsproxy can stop writing in time instead of the system killing the server."
        return warning("redis.memory", f"{used / 2**20:.0f} MB are used, and there is no limit", advice)
    text = f"{used / 2**20:.0f} of {most / 2**20:.0f} MB are used"
    if used >= WARN_SHARE * most:
        return warning("redis.memory", text, "Raise its maxmemory: when it is full, limits are not enforced.")
    return ok("redis.memory", text)


async def _rights(client: Client, base: str) -> AsyncIterator[Finding]:
    """Run each command as the script would, on keys of an org that cannot be, which begin with ``base``."""
    from redis.exceptions import RedisError  # noqa: PLC0415

    from fsproxy.state.redis.script import PACKED_CONSTANTS, PROBE, script  # noqa: PLC0415

    refused: list[str] = []
    try:
        await client.execute_command("EVAL", script(), 1, base, PROBE, PACKED_CONSTANTS, NEVER_DECODE=True)
        # The caches' keys are written by plain commands, with a time to live.
        await client.execute_command("SET", f"{base}s", "1", "PX", 10_000)
        await client.execute_command("GET", f"{base}s")
        for name, arguments in COMMANDS.items():
            key, *rest = (f"{base}{arguments[0]}", *arguments[1:]) if arguments else ("",)
            words = "KEYS[1], unpack(ARGV)" if key else ""
            text = f"return redis.call('{name}'{', ' if words else ''}{words})"
            try:
                await client.execute_command("EVAL", text, int(bool(key)), *filter(None, [key]), *rest)
            except RedisError as error:
                if not is_refused(str(error)):
                    raise
                refused.append(name)
    except RedisError as error:
        yield failed("redis.rights", "the limits cannot be kept there", error)
        return
    if refused:
        text = f"the user may not use {', '.join(refused)}"
        yield fault("redis.rights", text, REMEDIES["NOPERM"])
    else:
        yield ok("redis.rights", f"all of the script's {len(COMMANDS)} commands may be used")


def failed(check: str, text: str, error: Exception) -> Finding:
    """Return a fault with the first word of a server's error alone: more of it could be anything."""
    word = word_of(error) or type(error).__name__
    return fault(check, f"{text}: {word}", REMEDIES.get(word, OTHERWISE))
