"""The parameters of the API's questions: which there are, and what each may be. All else is refused in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fsproxy.admin.answers import MOST_DECISIONS
from fsproxy.core.audit.record import Outcome
from fsproxy.core.failures import Failure
from fsproxy.core.reasons import ReasonCode, RejectionCode
from fsproxy.core.wire.client_address import parse_address
from fsproxy.telemetry.orgs import MOST_MINUTES

LONGEST_TEXT = 256
"""Characters of one parameter."""
STEPS = (1, 2, 5, 24)
MOST_STEP = STEPS[-1]
"""Minutes that are summed."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999, in Unix time."""
CODES = (
    *(str(int(code)) for code in ReasonCode),
    *(code.value for code in RejectionCode),
    *(failure.value for failure in Failure),
    *(outcome.value for outcome in Outcome),
)
"""What a line may be asked for by: its reason code, one of its rejections, its failure, or its outcome."""
_HASH = re.compile("[0-9a-f]{16}")
_CURSOR = re.compile("([0-9a-f]{1,16})-([0-9a-f]{1,4})-([0-9a-f]{1,16})")
Q = TypeVar("Q", bound=msgspec.Struct)


class Cursor(NamedTuple):
    """A place among the requests of all workers. What comes later in an answer has a lower one."""

    microsecond: int
    """Of the request's end."""
    worker: int
    """Its number; 0: there is only one process."""
    number: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return what ``str`` has written. Raise ValueError."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise ValueError("before is next of an answer before, as it was there")
        return cls(*(int(part, 16) for part in found.groups()))

    def __str__(self) -> str:
        return "-".join(f"{part:x}" for part in self)

    def of_worker(self, worker: int) -> Cursor:
        """Return the place from which that worker's own requests come after this one."""
        if worker == self.worker:
            return self._replace(worker=0)
        # Of the same microsecond, those of workers with a lower number come after it.
        return Cursor(self.microsecond + (worker < self.worker), 0, 0)


def _text(description: str) -> Meta:
    return Meta(max_length=LONGEST_TEXT, description=description)


class DecisionsQuery(msgspec.Struct, frozen=True):
    """Which requests are wanted: those that meet all conditions."""

    org: Annotated[str, _text("The org, exactly.")] = ""
    outcome: Annotated[
        str | UnsetType,
        Meta(
            description="How they ended. rejected: also those that went on with a part of their calls.",
            extra_json_schema={"enum": [outcome.value for outcome in Outcome]},
        ),
    ] = UNSET
    code: Annotated[
        str | UnsetType,
        Meta(
            description="A reason code, the code of a rejection, the name of a failure, or an outcome.",
            extra_json_schema={"enum": list(CODES)},
        ),
    ] = UNSET
    session: Annotated[str, _text("The session, or how its id begins.")] = ""
    address: Annotated[
        str,
        _text("The visitor's address; it is masked as audit.client_ip says, and then compared. Or its hash in a line."),
    ] = ""
    q: Annotated[
        str, _text("Part of the org, an id, the rule, the reason, the domain, the address or the user agent.")
    ] = ""
    at: (
        Annotated[
            int,
            Meta(ge=0, le=LAST_SECOND, description="Unix time: those that ended in the minute of this second."),
        ]
        | UnsetType
    ) = UNSET
    minutes: Annotated[
        int, Meta(ge=1, le=MOST_MINUTES, description="With at: so many minutes, beginning with that one.")
    ] = 1
    limit: Annotated[int, Meta(ge=1, le=MOST_DECISIONS, description="At most so many.")] = 100
    before: Annotated[str, _text("next of an answer: those that come after its last one.")] = ""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no address or no cursor."""
        if self.address and parse_address(self.address) is None and _HASH.fullmatch(self.address) is None:
            raise ValueError("address is an IPv4 or IPv6 address, or the 16 hex digits of its hash in a line")
        if self.before:
            Cursor.parse(self.before)


class TrafficQuery(msgspec.Struct, frozen=True):
    """Which minutes are wanted."""

    minutes: Annotated[int, Meta(ge=1, le=MOST_MINUTES, description="How many, the present one included.")] = 60
    step: Annotated[
        int,
        Meta(ge=1, le=MOST_STEP, description="So many minutes are summed.", extra_json_schema={"enum": list(STEPS)}),
    ] = 1
    org: Annotated[str, _text("Of this org alone; (others): of those for which there was no room.")] = ""

    @property
    def bars(self) -> int:
        """How many sums are wanted."""
        return (self.minutes + self.step - 1) // self.step


class PlanQuery(msgspec.Struct, frozen=True):
    """Whose names are wanted."""

    org: Annotated[str, _text("Of this org alone.")] = ""


def read_query(kind: type[Q], given: Mapping[str, str]) -> Q:
    """Return the question. Raise ValueError that says which parameter is wrong, and what is allowed."""
    known = properties(kind)
    values: dict[str, Any] = {}
    for name, text in given.items():
        schema = known.get(name)
        if schema is None:
            raise ValueError(f"there is no parameter {name[:LONGEST_TEXT]}: {', '.join(known)} are known")
        if name in values:
            raise ValueError(f"{name} is given twice")
        value: Any = text
        if schema["type"] == "integer":
            digits = text.isascii() and text.isdigit() and len(text) <= len(str(schema["maximum"]))
            value = int(text) if digits else -1
            fits = schema["minimum"] <= value <= schema["maximum"] and value in schema.get("enum", (value,))
        else:
            fits = text in schema["enum"] if "enum" in schema else len(text) <= schema["maxLength"]
        if not fits:
            raise ValueError(f"{name} is {_allowed(schema)}")
        values[name] = value
    return kind(**values)


def path_of(path: str, query: msgspec.Struct) -> str:
    """Return the path that asks this question: what ``read_query`` reads."""
    usual = msgspec.to_builtins(type(query)())
    asked = {name: value for name, value in msgspec.to_builtins(query).items() if value != usual.get(name)}
    return f"{path}?{urlencode(asked, errors='surrogatepass')}"


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema["type"] == "integer":
        return f"a number from {schema['minimum']} to {schema['maximum']}"
    return f"a text of at most {schema['maxLength']} characters"


@cache
def properties(kind: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """Return the schema of each parameter, by name."""
    _, schemas = msgspec.json.schema_components([kind])
    found: dict[str, dict[str, Any]] = schemas[kind.__name__]["properties"]
    return found
