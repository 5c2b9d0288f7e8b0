"""A server's name, its port and its certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

from fsproxy.cli.doctor.findings import Finding, fault, ok, unknown, warning
from fsproxy.clock import now
from fsproxy.config.tls import EXPIRED, NOT_YET, WRONG_NAME, fault_of_peer
from fsproxy.http.origin import Origin
from fsproxy.telemetry.certificate_conditions import SOON_DAYS

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is, and how findings about it are called."""

    check: str
    origin: Origin
    context: ssl.SSLContext
    mend: str
    """The key or option that holds the address."""


async def connect(place: Place) -> AsyncIterator[Finding]:
    """Look the name up, connect, and read the certificate."""
    loop, host, port = asyncio.get_running_loop(), place.origin.host, place.origin.port
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        yield fault(f"{place.check}.dns", f"the name {host} is not found", f"Correct {place.mend}, or the DNS.")
        return
    addresses = list(dict.fromkeys(each[4][0] for each in found))
    yield ok(f"{place.check}.dns", f"{host} is {', '.join(map(str, addresses[:4]))}")
    try:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except OSError as error:
        text = f"port {port} of {host} cannot be connected to: {error.strerror or type(error).__name__}"
        yield fault(f"{place.check}.connect", text, f"Start the server, open the firewall, or correct {place.mend}.")
        return
    yield ok(f"{place.check}.connect", f"port {port} takes connections")
    if place.origin.tls:
        async for finding in _certificate(place):
            yield finding


async def _certificate(place: Place) -> AsyncIterator[Finding]:
    check = f"{place.check}.tls"
    if place.context.verify_mode is ssl.CERT_NONE:
        advice = "Set upstream.tls.verify: true, with upstream.tls.ca for an authority of your own."
        yield warning(
            check, "its certificate is not verified: anyone on the way can read and change everything", advice
        )
    try:
        reader_writer = await asyncio.open_connection(place.origin.host, place.origin.port, ssl=place.context)
    except ssl.SSLCertVerificationError as error:
        yield _refused(place, error)
        return
    except ssl.SSLError as error:
        text = f"no TLS: {fault_of_peer(error, place.origin.host)}"
        yield fault(check, text, f"Is it plain HTTP? Then {place.mend} begins with http://.")
        return
    except OSError:
        yield fault(check, "the connection was closed during the handshake", "Does it want a client certificate?")
        return
    writer = reader_writer[1]
    certificate = writer.get_extra_info("peercert") or {}
    version = writer.get_extra_info("ssl_object").version()
    writer.transport.abort()
    if "notAfter" not in certificate:  # of one that is not verified, nothing is read
        yield unknown(f"{check}.end", "when its certificate ends is not known, as it is not verified")
        return
    end = cast("str", certificate["notAfter"])
    days = int((ssl.cert_time_to_seconds(end) - now()) / _DAY)
    text = f"{version}, its certificate is valid for {place.origin.host} until {end} ({days} days)"
    if days < SOON_DAYS:
        yield warning(check, text, "Renew it, and find out why that has not happened by itself.")
    else:
        yield ok(check, text)


def _refused(place: Place, error: ssl.SSLCertVerificationError) -> Finding:
    text = fault_of_peer(error, place.origin.host)
    if error.verify_code in {EXPIRED, NOT_YET}:
        return fault(f"{place.check}.tls.end", text, "Renew it on the server; or this machine's clock is wrong.")
    if error.verify_code in WRONG_NAME:
        return fault(f"{place.check}.tls.name", text, f"Use the name that the certificate has in {place.mend}.")
    own = "upstream.tls.ca" if place.check == "upstream" else "the variable SSL_CERT_FILE"
    advice = f"Have the server send the whole chain; if the authority is your own, name its file in {own}."
    return fault(f"{place.check}.tls.chain", text, advice)
