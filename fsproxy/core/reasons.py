"""The two closed lists of codes: why a session is blocked, and why a call or property is rejected.

These are all codes that clients and callers can get, with their texts.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum, unique
from typing import Self


@unique
class ReasonCode(IntEnum):
    """Why a session is blocked: the vendor's numeric ``reason_code`` (rules.md 1)."""

    text: str
    """The vendor's own text for the code, letter for letter (rules.md 1)."""

    def __new__(cls, value: int, text: str = "") -> Self:  # noqa: D102 - an enum's members; ``ReasonCode(4)`` finds one
        code = int.__new__(cls, value)
        code._value_ = value
        code.text = text
        return code

    UNSPECIFIED = -1, "Unspecified"
    ACCOUNT_DOES_NOT_EXIST = 1, "Account does not exist"
    ACCOUNT_DISABLED = 2, "Account disabled"
    OVER_QUOTA = 3, "Over quota"
    DOMAIN_FILTER = 4, "Domain Filter"
    IP_FILTER = 5, "IP Filter"
    USER_AGENT = 6, "User Agent"
    GEOGRAPHY = 7, "Geography"
    TRAFFIC_RAMPING = 8, "Traffic Ramping"
    INVALID_URL = 9, "Invalid URL"
    OPT_OUT_COOKIE = 10, "Opt Out Cookie"
    INVALID_DATA_CAPTURE_SCRIPT = 11, "Invalid Data Capture Script"
    USER_ACTIVELY_BEING_DELETED = 12, "User actively being deleted"


@unique
class RejectionCode(StrEnum):
    """Why a client API call, or one property of it, is rejected (rules.md 2, 9)."""

    TOO_BIG_TO_PARSE = "TooBigToParse"
    INVALID_JSON = "InvalidJson"
    INVALID_EVENT_NAME = "InvalidEventName"
    INVALID_PROPERTY_NAME = "InvalidPropertyName"
    PROPERTY_NAME_TOO_LONG = "PropertyNameTooLong"
    INVALID_PROPERTY_TYPE = "InvalidPropertyType"
    MISSING_PROPERTY_TYPE = "MissingPropertyType"
    INVALID_VALUE = "InvalidValue"
    VALUE_TOO_BIG = "ValueTooBig"
    EXPECTED_ATOM = "ExpectedAtom"
    INVALID_ID = "InvalidId"
    UNPLANNED_EVENT = "UnplannedEvent"
    UNPLANNED_PROPERTY = "UnplannedProperty"
    MISSING_PROPERTY = "MissingProperty"
    CARDINALITY_EXCEEDED = "CardinalityExceeded"
    RATE_LIMITED = "RateLimited"
