"""What a server says to a script call: that it can be written to, or that another node of a Cluster is to be asked."""

from __future__ import annotations

from typing import Any

import msgspec
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ResponseError,
    TryAgainError,
)

from fsproxy.clock import now as wall_clock
from fsproxy.config.hosts import Node
from fsproxy.state.redis.connections.breaker import Breaker
from fsproxy.state.redis.script import PACKED_CONSTANTS, PROBE, SHA, script
from fsproxy.state.redis.servers.refusals import word_of
from fsproxy.state.redis.servers.server import ServerConnection

REDIRECTIONS = (MovedError, AskError, TryAgainError)
"""A node of a Cluster answers so in the place of carrying a call out. MovedError is an AskError, too."""
NOT_SERVED = "Hash slot not served"
"""A node says so of a slot that no node has. In all other cases of CLUSTERDOWN it serves none of its own."""

decode = msgspec.msgpack.Decoder(tuple[float, list[Any]]).decode
"""Of the script's answer: the server's time, and what it answers to each request."""


def is_redirection(error: ResponseError) -> bool:
    """Return whether a node of a Cluster did not carry a call out, as the slot is not or not only its own."""
    return isinstance(error, REDIRECTIONS) or (isinstance(error, ClusterDownError) and NOT_SERVED in str(error))


def named_node(error: AskError, node: Node) -> Node:
    """Return the node that a redirection names. Without a host it means that of the node that said so."""
    return Node(error.host.strip("[]") or node.host, error.port)


async def probe(connection: ServerConnection, base: str, breaker: Breaker) -> tuple[float, float] | None:
    """Return the server's time, and ours when it was asked. It writes, as a server that takes no writes is of no use.

    None: it is a node of a Cluster that does not have the slot any more, so only that it answers is known. Raises
    redis-py's errors. The probe also teaches the server the script. SCRIPT LOAD may not be permitted; EVAL carries the
    text and teaches, too.
    """
    known, load, text = ("EVALSHA", SHA), ("SCRIPT", "LOAD", script()), ("EVAL", script())
    for how in (known, load, known, text):
        breaker.round_trips += 1
        sent = wall_clock()
        arguments = (1, base, PROBE, PACKED_CONSTANTS) if how is not load else ()
        await connection.send_command(*how, *arguments)
        try:
            reply = await connection.read_response()
        except REDIRECTIONS:
            return None
        except (NoScriptError, NoPermissionError):
            if how is text:
                raise
            continue
        if how is not load:
            server, answers = decode(reply)
            if answers != [[True]]:
                # The script gives the text of an error as the answer.
                raise ResponseError(word_of(str(answers[0])) if answers else "")
            return server, sent
    raise AssertionError("unreachable")
