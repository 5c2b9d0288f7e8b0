"""What stands for lists in the models: entries with their places, and the lists that become something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from fsproxy.config import fields, units
from fsproxy.config.fields import JsonSchema, Leaf, wrong
from fsproxy.config.hosts import HOST, plain_host
from fsproxy.config.reading import Reading, reading_of
from fsproxy.config.rule_checks import RULE_CHECKS, RuleCheck
from fsproxy.config.schema import Network
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table
from fsproxy.core.model import FilterName
from fsproxy.core.settings import DomainRule, Entry, Window

T = TypeVar("T")

_ITEM: JsonSchema = {"type": ["string", "number", "boolean", "null"]}
_RULE: JsonSchema = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "description": "The rule, as it may also stand alone."},
        "id": {"type": "string", "description": "What audit lines call it."},
    },
    "required": ["pattern"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """Reads a list, ``file:`` entries included; for use as ``Annotated[type, ListOf(...)]``."""

    rule: RuleCheck
    make: Callable[[tuple[Entry, ...]], T]
    """Makes the field's value of the entries, all of which passed ``rule``."""
    item: JsonSchema
    word: str | None = None
    """A word that may stand for the whole list, and then means None."""
    lone: bool = False
    """One entry may stand without the list around it, and there must be one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        whole: JsonSchema = {"type": "array", "items": self.item}
        if self.lone:
            return {"anyOf": [self.item, {**whole, "minItems": 1}]}
        return whole if self.word is None else {"anyOf": [{"const": self.word}, whole]}

    def check(self, value: object, info: ValidationInfo[Any]) -> T | None:
        """The list, its wrong entries left out: those go to the reading's problems, each at its own place."""
        if self.lone and isinstance(value, str):
            value = [value]
        if isinstance(value, Sequence) and (value.items or not self.lone):
            return self.make(reading_of(info).entries(value, self.rule))
        if self.lone and isinstance(value, Scalar) and value.kind is not Kind.NULL:
            return self.make(tuple(reading_of(info).entry(value, self.rule)))
        if isinstance(value, list):
            return self.make(tuple(Entry(text) for text in value))
        word = value.text if isinstance(value, Scalar) else value
        if self.word is not None and word == self.word:
            return None
        if self.lone:
            raise wrong(f"is not {self.rule.noun}", f"one or a list: {self.rule.check('')}")
        raise wrong(
            "is not a list",
            "a list, such as [ITEM]" if self.word is None else f"{self.word}, or a list, such as [ITEM]",
        )


def texts_of(leaf: Leaf[str]) -> RuleCheck:
    """Entries that are read as this leaf reads a text."""

    def check(text: str) -> str | None:
        try:
            leaf.read(Scalar("", fields.NOWHERE, fields.NOWHERE, text, Kind.TEXT))
        except ValueError:
            return leaf.allowed
        return None

    return RuleCheck(leaf.noun, check)


def _network_problem(text: str) -> str | None:
    try:
        ip_network(text)
    except ValueError:
        return "an address, or a network with no bits after its prefix, such as 10.0.0.0/8"
    return None


def _rate_problem(text: str) -> str | None:
    try:
        units.rate(text)
    except ValueError:
        return units.RATE
    return None


def _same(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    return entries


def _rules(name: str, word: str | None = None) -> ListOf[tuple[Entry, ...]]:
    return ListOf(RULE_CHECKS[name], _same, {"anyOf": [_ITEM, _RULE]}, word)


def _named(*names: FilterName) -> ListOf[frozenset[FilterName]]:
    leaf = fields.one_of(*names)
    return ListOf(texts_of(leaf), lambda entries: frozenset(FilterName(e.text) for e in entries), leaf.schema)


def _list_of(
    rule: RuleCheck, make: Callable[[str], T], item: JsonSchema, word: str | None = None
) -> ListOf[tuple[T, ...]]:
    return ListOf(rule, lambda entries: tuple(make(entry.text) for entry in entries), item, word)


_COOKIE = fields.matching("a cookie's name", "a cookie's name, without its value", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ON_BUNDLES = (
    FilterName.ORG,
    FilterName.DOMAIN,
    FilterName.IP,
    FilterName.USER_AGENT,
    FilterName.GEO,
    FilterName.DELETING_USER,
    FilterName.BLOCKED_USER,
)

Entries = Annotated[tuple[Entry, ...], _rules("text")]
AddressPatterns = Annotated[tuple[Entry, ...], _rules("ip")]
UserAgentPatterns = Annotated[tuple[Entry, ...], _rules("user_agent")]
Zones = Annotated[tuple[Entry, ...], _rules("geo")]
OptOutCookies = Annotated[tuple[Entry, ...], _rules("opt_out")]
Origins = Annotated[tuple[Entry, ...] | None, _rules("domain", "any")]
Texts = Annotated[tuple[str, ...], _list_of(texts_of(fields.TEXT), str, _ITEM)]
Schemes = Annotated[tuple[str, ...], _list_of(RULE_CHECKS["url"], str.lower, {"type": "string"})]
Hosts = Annotated[
    tuple[str, ...],
    ListOf(
        texts_of(HOST), lambda found: tuple(dict.fromkeys(plain_host(e.text) for e in found)), HOST.schema, lone=True
    ),
]
Paths = Annotated[tuple[str, ...], _list_of(texts_of(fields.PATH), str, fields.PATH.schema)]
Rates = Annotated[
    tuple[Window, ...],
    _list_of(RuleCheck("a rate", _rate_problem), units.rate, {"type": "string", "pattern": "^[0-9]+/(s|min|h)$"}),
]
Networks = Annotated[
    tuple[Network, ...], _list_of(RuleCheck("a network", _network_problem), ip_network, {"type": "string"})
]
CookieNames = Annotated[
    frozenset[str] | None,
    ListOf(texts_of(_COOKIE), lambda entries: frozenset(e.text for e in entries), _COOKIE.schema, "all"),
]
CaselessTexts = Annotated[
    frozenset[str],
    ListOf(texts_of(fields.ANY_TEXT), lambda entries: frozenset(e.text.casefold() for e in entries), _ITEM),
]
FilterNames = Annotated[frozenset[FilterName], _named(*_ON_BUNDLES)]


class _DomainRules:
    """Reads ``domain.rules``: mappings, each with ``capture`` or ``block``, and perhaps an ``id``."""

    rule = RULE_CHECKS["domain"]
    form = "{capture: PATTERN} or {block: PATTERN}, and id if need be"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        keys = {
            "capture": {"type": "string", "description": "The domains to capture."},
            "block": {"type": "string", "description": "The domains to block, with reason 4."},
            "id": {"type": "string", "description": "What audit lines call the rule."},
        }
        one = [{"required": ["capture"]}, {"required": ["block"]}]
        return {
            "type": "array",
            "items": {"type": "object", "properties": keys, "additionalProperties": False, "oneOf": one},
        }

    def check(self, value: object, info: ValidationInfo[Any]) -> tuple[DomainRule, ...]:
        """The rules in their order; what is wrong with one goes to the reading's problems."""
        if value == []:
            return ()
        if not isinstance(value, Sequence):
            raise wrong("is not a list", f"a list of {self.form}")
        reading = reading_of(info)
        return reading.once(self, value, lambda: tuple(r for item in value.items for r in self._rules(item, reading)))

    def _rules(self, item: Node, reading: Reading) -> Iterator[DomainRule]:
        keys = item.members.keys() - {"id"} if isinstance(item, Table) else set()
        if not isinstance(item, Table) or len(keys) != 1 or not keys <= {"capture", "block"}:
            reading.problems.append(item.problem("is not a rule", self.form))
            return
        verb = next(iter(keys))
        for entry in reading.entry(item.members[verb], self.rule, reading.explicit_id(item)):
            yield DomainRule(verb == "capture", entry)


DomainRules = Annotated[tuple[DomainRule, ...], _DomainRules()]
