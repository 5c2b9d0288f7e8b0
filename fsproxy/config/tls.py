"""TLS towards recorders, the upstream and Redis. A file that cannot be used is reported by its key."""

from __future__ import annotations

import ssl
from pathlib import Path

from fsproxy.config.problems import HostError
from fsproxy.config.schema import ClientTls, ServerTls

_CERTIFICATE, _KEY = "CERTIFICATE-----", "PRIVATE KEY-----"
"""The end of the line that such a part of a PEM file begins with."""
EXPIRED, NOT_YET = 10, 9
"""Codes of OpenSSL for why a certificate is refused (X509_V_ERR_...)."""
WRONG_NAME = frozenset({62, 64})
_CHAIN = {18: "it is self-signed", 19: "a self-signed one is in its chain", 20: "its authority is not known here"}
_CHAIN[21] = "the server does not send the certificates between it and its authority"


def server_context(tls: ServerTls | None) -> ssl.SSLContext:
    """Return how to speak TLS to recorders. Read files. Raise HostError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls is not None:
        _load_chain(context, "listen.tls", tls.cert, tls.key)
    return context


def client_context(tls: ClientTls, section: str = "upstream.tls") -> ssl.SSLContext:
    """Return how to speak TLS to the server that ``section`` is about. Read files. Raise HostError."""
    if tls.ca is not None:
        _require_pem(f"{section}.ca", tls.ca, _CERTIFICATE)
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except ssl.SSLError as error:
        raise HostError(f"{section}.ca", f"cannot be used: {error.reason}") from None
    # Some builds of Python, Debian's for one, leave this to the system's configuration of OpenSSL.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        _load_chain(context, section, tls.cert, tls.key or tls.cert)
    return context


def fault_of_peer(error: ssl.SSLError, host: str) -> str:
    """Return why a peer that was to be ``host`` could not be spoken TLS to, as a clause for people."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return str(error.reason or "unknown").replace("_", " ").lower()
    code = error.verify_code
    if code in {EXPIRED, NOT_YET}:
        return "its certificate has expired" if code == EXPIRED else "its certificate is not valid yet"
    if code in WRONG_NAME:
        return f"its certificate is not for {host}"
    return f"its certificate is not trusted: {_CHAIN.get(code, error.verify_message)}"


def _load_chain(context: ssl.SSLContext, section: str, cert: str, key: str) -> None:
    _require_pem(f"{section}.cert", cert, _CERTIFICATE)
    _require_pem(f"{section}.key", key, _KEY)

    def no_passphrase() -> str:  # OpenSSL would ask for it on the terminal, and wait
        raise HostError(f"{section}.key", "is encrypted", "a private key without a passphrase")

    try:
        context.load_cert_chain(cert, key, no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise HostError(
                f"{section}.key", "is not the key of the certificate", f"the key of {section}.cert"
            ) from None
        raise HostError(f"{section}.cert", f"or its key cannot be used: {error.reason}") from None


def _require_pem(key_path: str, path: str, part: str) -> None:
    """Raise HostError if the file cannot be read, or has no such part."""
    noun = "private key" if part == _KEY else "certificate"
    try:
        found = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise HostError(key_path, f"cannot be read: {reason}", f"a PEM file with a {noun}") from None
    if part.encode() not in found:
        raise HostError(key_path, f"holds no {noun}", f"a PEM file with a {noun}")
