"""What fsproxy saw of the requests that the doctor sent, as its admin port tells."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import aiohttp

from fsproxy.cli.doctor.findings import Finding, fault, ok, unknown, warning
from fsproxy.cli.doctor.public import Public, Reached
from fsproxy.config.schema import AddressPrivacy, AdminConfig, Config
from fsproxy.core.matching.addresses import Address
from fsproxy.core.wire.client_address import parse_address
from fsproxy.fleet.listening import reachable

INVENTED = "192.0.2.77"
"""Of a network that is for documentation alone (RFC 5737)."""
_ATTEMPTS, _PAUSE = 10, 0.2
_UNTOLD = "what fsproxy saw is not known, as its admin port did not tell"
_WHERE = "Run doctor where fsproxy runs, with its configuration and admin.token."


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin port."""

    http: aiohttp.ClientSession
    config: AdminConfig

    @property
    def url(self) -> str:
        """Return where this machine reaches it."""
        return f"http://{reachable(self.config.host)[0]}:{self.config.port}"

    async def get(self, path: str) -> Any:
        """Return an answer's JSON; None if there is none, for whatever reason."""
        headers = {"Authorization": f"Bearer {self.config.token}"} if self.config.token is not None else {}
        try:
            async with self.http.get(f"{self.url}{path}", headers=headers, allow_redirects=False) as response:
                return await response.json(content_type=None) if response.status in {200, 503} else None
        except (aiohttp.ClientError, ValueError, TimeoutError):
            return None

    async def mode(self) -> object:
        """Return the mode in which fsproxy runs; None if it is not known."""
        ready = await self.get("/readyz")
        return ready.get("mode") if isinstance(ready, dict) else None

    async def line(self, request_id: str) -> dict[str, Any] | None:
        """Return the audit line of a request. It is there only after the answer has been read."""
        for _ in range(_ATTEMPTS):
            found = await self.get(f"/api/decisions?limit=20&q={request_id}")
            if not isinstance(found, dict) or "decisions" not in found:
                return None
            for each in found["decisions"]:
                if each["line"].get("http.request.id") == request_id:
                    line: dict[str, Any] = each["line"]
                    return line
            await asyncio.sleep(_PAUSE)
        return None


async def readiness(admin: Admin) -> AsyncIterator[Finding]:
    """Pass on what fsproxy itself warns of."""
    ready = await admin.get("/readyz")
    if not isinstance(ready, dict):
        yield unknown("admin.ready", f"nothing answers at the admin port ({admin.url})", _WHERE)
        return
    for each in ready.get("warnings", ()):
        yield warning("admin.ready", f"fsproxy itself warns: {each:.200}", "See /readyz, its log and its page.")
    if not ready.get("warnings"):
        yield ok("admin.ready", "fsproxy runs, and warns of nothing")


async def request_body(public: Public, admin: Admin) -> AsyncIterator[Finding]:
    """Send gzip as recorders do, and count what arrives."""
    body, check = _packed(), "public.requests"
    answer = await public.probe(body, query="?ContentEncoding=gzip")
    line = await admin.line(answer.request_id) if isinstance(answer, Reached) else None
    if line is None:
        yield unknown(check, _UNTOLD, _WHERE)
    elif line.get("http.request.body.bytes") == len(body):
        yield ok(check, "a gzip body arrives as it was sent")
    else:
        text = f"a gzip body of {len(body)} bytes arrives as one of {line.get('http.request.body.bytes')}"
        yield fault(check, text, "Have what is in front pass bodies as they are: no decompression, no inspection.")


async def client_address(public: Public, admin: Admin) -> AsyncIterator[Finding]:
    """Ask whose address fsproxy takes a request's for: first as a visitor sends it, then with an invented header."""
    check = "public.client_ip"
    plain = await public.probe(b"fsproxy doctor")
    line = await admin.line(plain.request_id) if isinstance(plain, Reached) else None
    seen = line.get("client.ip") if line is not None else None
    if not isinstance(plain, Reached) or not isinstance(seen, str):
        hidden = line is not None and public.config.audit.client_ip in {AddressPrivacy.HASHED, AddressPrivacy.NONE}
        yield unknown(check, "audit.client_ip hides addresses" if hidden else _UNTOLD, "" if hidden else _WHERE)
        return
    own, peer = map(parse_address, await public.ends())
    yield _judged(check, public.config, seen, own, peer)
    header = public.config.client_ip.header
    value = f"for={INVENTED}" if header == "forwarded" else INVENTED
    forged = await public.probe(b"fsproxy doctor", {header: value})
    line = await admin.line(forged.request_id) if isinstance(forged, Reached) else None
    yield _trust(public.config, own, line.get("client.ip") if line is not None else None)


def _judged(check: str, config: Config, seen: str, own: Address | None, peer: Address | None) -> Finding:
    mask = config.audit.mask
    about = "" if config.audit.client_ip is AddressPrivacy.FULL else " (truncated)"
    if own is not None and own == peer and _is_trusted(config, own):
        # Without the header fsproxy sees the proxy's address, which is this machine's own, and it looks right.
        return unknown(check, "this machine and what is in front have one address", "Run doctor from another machine.")
    if own is not None and mask(own) == seen:
        return ok(check, f"this machine is seen as {seen}{about}, which it is")
    advice = f"Have it send {config.client_ip.header}, and list its network in client_ip.trusted_proxies."
    if (peer is not None and mask(peer) == seen) or not ip_address(seen).is_global:
        return fault(check, f"this machine is seen as {seen}{about}: is this your own load balancer?", advice)
    if own is not None and own.is_global:
        return warning(check, f"this machine is seen as {seen}{about}, and is {own} itself", advice)
    return ok(check, f"this machine is seen as {seen}{about}; compare with the public address of your network")


def _trust(config: Config, own: Address | None, seen: object) -> Finding:
    check = "public.client_ip.trust"
    mask = config.audit.mask
    invented = parse_address(INVENTED)
    if own is not None and _is_trusted(config, own):
        text = "this machine is a trusted proxy itself: whether a visitor can choose an address is not known"
        return unknown(check, text, "Run doctor from another machine as well.")
    if not isinstance(seen, str) or invented is None:
        return unknown(check, _UNTOLD, _WHERE)
    if seen == mask(invented):
        return fault(
            check,
            f"a visitor can choose the address to be seen as, by sending {config.client_ip.header}",
            "Have what is in front replace the header or add to its end, and trust its own network alone.",
        )
    return ok(check, "an invented address is not believed")


def _is_trusted(config: Config, address: Address) -> bool:
    return any(address in each for each in config.client_ip.trusted_proxies)


def _packed() -> bytes:
    """Return gzip that no recorder sends, of a length that no recompression gives."""
    return gzip.compress(os.urandom(512) + bytes(4096), 1)
