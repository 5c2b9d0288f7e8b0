"""What follows from the configuration's ``upstream`` alone."""

from __future__ import annotations

import ssl

from fsproxy.config.schema import UpstreamConfig, UpstreamTls


def tls_context(tls: UpstreamTls) -> ssl.SSLContext:
    """How the upstream is spoken to under TLS. Reads files: OSError and ssl.SSLError when one cannot be used."""
    context = ssl.create_default_context(cafile=tls.ca)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def same_hosts(one: UpstreamConfig, other: UpstreamConfig) -> bool:
    """Whether the connections that were made for one serve the other as well."""
    return (one.url, one.prefixes, one.max_connections, one.tls) == (
        other.url,
        other.prefixes,
        other.max_connections,
        other.tls,
    )
