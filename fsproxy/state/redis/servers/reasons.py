"""Why a store cannot be used, in words that hold nothing of what a server said but its error's first word."""

from __future__ import annotations

import os
import ssl

from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as LateError

from fsproxy.state.redis.servers.refusals import word_of

TOO_LATE = "it does not answer in time"
_PLAIN_TEXT = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
"""What OpenSSL's versions say of an answer that is no TLS."""


class UnusableError(RedisError):
    """Raised for what is not as the configuration says: a server of another kind. Its text is in ``REMEDIES``."""


def reason_of(error: BaseException | None) -> str:
    """Return the first word of a server's error, or a clause of ours: a server's own text might hold anything."""
    every = [each for each in (error, *(_causes(error) if error is not None else ())) if each is not None]
    for each in every:
        if isinstance(each, UnusableError):
            return str(each)
    if any(isinstance(each, TimeoutError | LateError) for each in every):
        return TOO_LATE
    if word := word_of(error) if error is not None else "":
        return word
    if isinstance(error, LostError | OSError):
        # redis-py raises its own error in the place of the system's.
        texts = (_system_words(each) for each in every if isinstance(each, OSError) and each.errno is not None)
        return next(texts, "the connection was lost").lower()
    return type(error).__name__


def answers_no_handshake(error: BaseException) -> bool:
    """Return whether a TLS handshake failed as servers without TLS do it: they wait, hang up, or answer in text."""
    if isinstance(error, ssl.SSLError):
        return error.reason in _PLAIN_TEXT or isinstance(error, ssl.SSLEOFError)
    return isinstance(error, TimeoutError | ConnectionError)


def _causes(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    return error.__cause__, error.__context__


def _system_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):  # its number is OpenSSL's, and no error of the system
        return f"its TLS handshake fails: {(error.reason or 'unknown').replace('_', ' ')}"
    # asyncio puts the address into some of its texts. Errors of names have no number of the system.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or "unknown"
