"""The two closed lists of codes: why a session is blocked, and why a call or property is rejected.

These are all codes that clients and callers can get, with their texts.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum, unique


@unique
class ReasonCode(IntEnum):
    """Why a session is blocked: the vendor's numeric ``reason_code`` (rules.md 1)."""

    UNSPECIFIED = -1
    ACCOUNT_DOES_NOT_EXIST = 1
    ACCOUNT_DISABLED = 2
    OVER_QUOTA = 3
    DOMAIN_FILTER = 4
    IP_FILTER = 5
    USER_AGENT = 6
    GEOGRAPHY = 7
    TRAFFIC_RAMPING = 8
    INVALID_URL = 9
    OPT_OUT_COOKIE = 10
    INVALID_DATA_CAPTURE_SCRIPT = 11
    USER_ACTIVELY_BEING_DELETED = 12

    @property
    def text(self) -> str:
        """The vendor's own text for the code, letter for letter (rules.md 1)."""
        return _TEXTS[self]


_TEXTS = {
    ReasonCode.UNSPECIFIED: "Unspecified",
    ReasonCode.ACCOUNT_DOES_NOT_EXIST: "Account does not exist",
    ReasonCode.ACCOUNT_DISABLED: "Account disabled",
    ReasonCode.OVER_QUOTA: "Over quota",
    ReasonCode.DOMAIN_FILTER: "Domain Filter",
    ReasonCode.IP_FILTER: "IP Filter",
    ReasonCode.USER_AGENT: "User Agent",
    ReasonCode.GEOGRAPHY: "Geography",
    ReasonCode.TRAFFIC_RAMPING: "Traffic Ramping",
    ReasonCode.INVALID_URL: "Invalid URL",
    ReasonCode.OPT_OUT_COOKIE: "Opt Out Cookie",
    ReasonCode.INVALID_DATA_CAPTURE_SCRIPT: "Invalid Data Capture Script",
    ReasonCode.USER_ACTIVELY_BEING_DELETED: "User actively being deleted",
}


@unique
class RejectionCode(StrEnum):
    """Why a client API call, or one property of it, is rejected (rules.md 2)."""

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
    CARDINALITY_EXCEEDED = "CardinalityExceeded"
    RATE_LIMITED = "RateLimited"
