"""What a server's error means, by its first word. More of a server's text could be anything, so it is never shown."""

from __future__ import annotations

import re

A_NODE = "it is a node of a Cluster"
A_SENTINEL = "it is a Sentinel, which keeps no data"
NO_NODE = "it is no node of a Cluster"
NO_SENTINEL = "state.redis.sentinel.nodes names servers that are no Sentinels"
NONE_ANSWERS = "none of the Sentinels answers"
NOT_LET_IN = "the Sentinels refuse the user or the password"
NO_SUCH_NAME = "the Sentinels know no primary of that name"
NO_PRIMARY = "the Sentinels know no primary that is up"
NO_HANDSHAKE = "it answers no TLS handshake"
NO_FIRST_ANSWER = "it ends connections before its first answer"
LOST_AT_ONCE = "connections are lost as soon as they are up"
FAILS_OVER = "a failover is under way"
MOVING = "they are being moved key by key"
UNSERVED = "no node has them"
MISFITS = {
    A_NODE: ("url", "cluster: true beside url in state.redis"),
    A_SENTINEL: ("url", "sentinel: {master: NAME, nodes: [HOST:PORT, ...]} in state.redis, in place of url"),
    NO_NODE: ("cluster", "cluster: false in state.redis, or nodes of a Cluster"),
    NO_SENTINEL: ("sentinel.nodes", "the Sentinels' addresses, whose port is 26379 as a rule, and not the servers'"),
}
"""What a server of another kind is called; which key of ``state.redis`` is at fault, and what to write."""
REMEDIES = {
    MOVING: "They are back once they have arrived. CLUSTER MIGRATESLOTS (Valkey 9) moves slots without such a gap.",
    FAILS_OVER: "They are back once the Sentinels name the new primary, within seconds.",
    UNSERVED: "Look at its nodes (CLUSTER NODES), and give each primary a replica.",
    **{reason: f"Write {remedy}." for reason, (_, remedy) in MISFITS.items()},
    NO_HANDSHAKE: "If that port speaks no TLS, write redis:// in state.redis.url, or no tls beside sentinel or nodes. "
    "Otherwise it hangs: look at its log.",
    NO_FIRST_ANSWER: "If that port speaks TLS, write rediss:// in state.redis.url, or tls: {} beside sentinel or "
    "nodes. Otherwise look at its log, and at what is in front of it.",
    LOST_AT_ONCE: "Look at its log, and at what is in front of it.",
    NONE_ANSWERS: "Look at state.redis.sentinel.nodes, its tls, the firewall, and whether they run.",
    NOT_LET_IN: "Correct username and password in state.redis.sentinel. They are not those of the servers.",
    NO_SUCH_NAME: "Correct state.redis.sentinel.master: it is the name after SENTINEL MONITOR in their files.",
    NO_PRIMARY: "They may be electing one. If that takes long, look at their logs (SENTINEL CKQUORUM).",
    "WRONGPASS": "Correct username and password in state.redis, or those in its url.",
    "NOAUTH": "It wants a password: state.redis.password, and state.redis.username for a user of its own.",
    "NOPERM": "Grant the rights that docs/reference/state.md lists (ACL SETUSER).",
    "READONLY": "Give the primary's address in state.redis.url, not a replica's; or state.redis.sentinel.",
    "MOVED": "It is a node of a Cluster: write cluster: true in state.redis.",
    "CLUSTERDOWN": "The Cluster is down, or parts of it are: look at its nodes (CLUSTER INFO).",
    "LOADING": "It is still loading its data: try again.",
    "OOM": "Raise its maxmemory.",
    "MAXCLIENTS": "It takes no more clients: see who is connected (CLIENT LIST), or raise its maxclients.",
    "MISCONF": "It cannot save to its disk, and takes no writes: look at its log.",
    "NOREPLICAS": "Too few replicas are connected (min-replicas-to-write).",
}
OTHERWISE = "Look at host, port, TLS (rediss://) and firewall: state.redis."
_WORDS = {
    "AuthenticationError": "WRONGPASS",
    "AuthenticationWrongNumberOfArgsError": "WRONGPASS",
    "NoPermissionError": "NOPERM",
    "ReadOnlyError": "READONLY",
    "MovedError": "MOVED",
    "ClusterDownError": "CLUSTERDOWN",
    "BusyLoadingError": "LOADING",
    "OutOfMemoryError": "OOM",
}
"""The servers' words for what redis-py has classes for. Of other errors it leaves the first word in the text."""
_UNWRITABLE = ("READONLY", "OOM", "MISCONF", "NOREPLICAS")
_WORD = re.compile(r"[A-Z]{3,20}\b")


def is_refused(text: str) -> bool:
    """Return whether the user lacks a right. Inside of scripts, servers say so in other words."""
    return "NOPERM" in text or "no permissions" in text.lower() or "can't run this command" in text


def is_unwritable(text: str) -> bool:
    """Return whether the server is well but cannot be written to: a replica, a full one. It counts as down."""
    return text.startswith(_UNWRITABLE)


def word_of(error: BaseException | str) -> str:
    """Return the first word of a server's error, given as redis-py's exception or as its text; "" for other errors."""
    said = str(error)
    if is_refused(said):
        return "NOPERM"
    if "max number of clients" in said:  # redis-py takes this for a lost connection, and the server's word is ERR
        return "MAXCLIENTS"
    word = "" if isinstance(error, str) else _WORDS.get(type(error).__name__, "")
    if word == "WRONGPASS" and "invalid" not in said.lower() and "without any password" not in said.lower():
        return "NOAUTH"
    found = _WORD.match(said)
    known = found is not None and (found[0] in REMEDIES or not word)
    return found[0] if found is not None and known else word
