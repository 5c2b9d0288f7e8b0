"""Events that a site sends again and again: such a text is validated while it is read.

A site sends the same event with the same properties for weeks. Once the ledger has admitted such an event several
times, msgspec gets a type for it, whose fields have the names and the types of its properties. Reading a text into that
type takes a quarter of the time of reading it into a dictionary, and fails for any text that has other names, or values
that may break a rule. Such a text is read and validated as any other one is: nothing that is learned rejects.

msgspec takes the members in any order, so what depends on their order needs another look at the text. It also takes the
last one of two members with the same name, but the number of colons or quotes shows that no name is given twice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec

from fsproxy.core.client_api.calls import WIDEST_CHARACTER, Call, Typing, ValidatedCall
from fsproxy.core.client_api.validation.names import TYPES, read_name
from fsproxy.core.client_api.validation.values import INT_MAX, INT_MIN, LONGEST_ATOM, SURE_DATE
from fsproxy.core.json.strict import occurrences
from fsproxy.core.model import PropertyType
from fsproxy.core.settings import ClientApiSettings

MOST_PROPERTIES = 1024
"""Properties of one event that is learned. If they come in another order, msgspec takes up to 3 ms to read them."""
MOST_LETTERS = 24 * 1024
"""Letters of all names of one event, for the same reason: long names take longer to compare."""
MOST_IN_ALL = 20_000
"""Properties of all events that are learned, about 6 MB. Clients choose what is learned, so there must be a bound."""
SIGHTINGS = 16
"""How often an event must be admitted before it is learned. To learn it costs as much as to read ten such texts."""
_MOST_SEEN = 4096
"""Events that were admitted and are not learned yet."""
_MOST_ALIKE = 4
"""Events with one key that are learned, with different properties."""
_MOST_LEVELS = 8
_DOCUMENT = ("name", "properties")
"""The members of an event that is a document by itself."""

_Key = tuple[int, Hashable]


class _UnknownTypeError(Exception):
    """A property is not learned: a list of numbers, a list of objects, or a type that the value gives."""


class _Learned(msgspec.Struct, frozen=True, gc=False):
    """An event that is learned, in one form on the wire."""

    read: Callable[[bytes | str], object]
    settings: ClientApiSettings
    names: int
    """Names in the text."""
    quotes: int
    """Quotes in the text, if none is escaped; -1: their number differs, because there are lists."""
    surely_short: int
    """A text of at most so many bytes or characters is within every limit on bytes."""
    call: Call
    """What every such text is read into."""

    def fits(self, text: bytes | str, colons: int) -> bool:
        """Return whether a text is such an event, valid in every way, and without a name that is given twice."""
        # Each name has a colon and two quotes, and no string without an escape holds a quote. As no name may be
        # missing, a text with the right number of either has each of them once. This also bounds msgspec's work.
        if colons != self.names and (self.quotes < 0 or occurrences(text, '"') != self.quotes):
            return False
        if len(text) > self.surely_short and not self._is_short(text):
            return False
        try:
            self.read(text)
        except (ValueError, RecursionError):
            return False
        return True

    def _is_short(self, text: bytes | str) -> bool:
        """Return whether the text is within the limits on it and on its values."""
        size = len(text) if isinstance(text, bytes) or text.isascii() else len(text) * WIDEST_CHARACTER
        if size > self.settings.value_size and (self.quotes < 0 or not _is_plain(text)):
            return False  # only in a plain text is the type's limit on characters one on bytes as well
        return size <= self.settings.max_payload


class LearnedEvents:
    """The events that are learned, by a key that callers make of the event's name and its form.

    When there is no room, the events that were learned longest ago go. Threads may share the table, because each step
    on it is atomic in the interpreter.
    """

    def __init__(self) -> None:
        self._known: dict[_Key, tuple[_Learned, ...]] = {}
        self._seen: dict[int, int] = {}

    def __len__(self) -> int:
        """Return the number of properties of all events that are learned, eight more for each event."""
        return sum(each.names + 8 for alike in list(self._known.values()) for each in alike)

    def find(self, key: Hashable, text: bytes | str, settings: ClientApiSettings) -> Call | None:
        """Return the call that a text is; None: it must be read and validated."""
        alike = self._known.get((id(settings), key))
        if alike is None:
            return None
        colons = text.count(":") if isinstance(text, str) else occurrences(text, ":")
        for each in alike:
            if each.fits(text, colons):
                return each.call
        return None

    def note(self, call: Call, validated: ValidatedCall, settings: ClientApiSettings) -> None:
        """Note an event with a key whose names the ledger admitted; learn it in the end, if it was valid."""
        key = (id(settings), call.key)
        seen = hash((key, validated.names))
        count = self._seen.get(seen, 0) + 1
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen[seen] = count % SIGHTINGS
        if (
            count < SIGHTINGS
            or validated.rejections
            or validated.noted
            or validated.is_shared
            or settings.value_size < LONGEST_ATOM
        ):
            return
        with suppress(_UnknownTypeError):
            learned = _learn(call, validated, settings)
            self._known[key] = (learned, *self._known.pop(key, ())[: _MOST_ALIKE - 1])
        while len(self) > MOST_IN_ALL:
            with suppress(KeyError, RuntimeError):  # another thread made the room
                del self._known[next(iter(self._known))]


EVENTS = LearnedEvents()
"""What this process has learned."""


def _learn(call: Call, validated: ValidatedCall, settings: ClientApiSettings) -> _Learned:
    names: list[str] = []
    letters = strings = 0
    has_lists = False
    size = settings.value_size
    types: dict[PropertyType, Any] = {
        PropertyType.STR: Annotated[str, msgspec.Meta(max_length=size)],
        PropertyType.INT: Annotated[int, msgspec.Meta(ge=INT_MIN, le=INT_MAX)],
        PropertyType.REAL: float,
        PropertyType.DATE: Annotated[str, msgspec.Meta(pattern=rf"\A(?:{SURE_DATE})\Z", max_length=size)],
        PropertyType.BOOL: bool,
        PropertyType.STRS: list[str],
        PropertyType.BOOLS: list[bool],
    }

    def type_of(members: dict[str, Any], schema: object, levels: int) -> Any:
        nonlocal letters, strings, has_lists
        names.extend(members)
        letters += sum(map(len, members))
        if len(names) > MOST_PROPERTIES or letters > MOST_LETTERS or not levels:
            raise _UnknownTypeError
        described = schema if isinstance(schema, dict) else {}
        fields = []
        for key, value in members.items():
            if type(value) is dict:
                fields.append(type_of(value, described.get(key), levels - 1))
                continue
            entry = described.get(key)
            declared: object = TYPES.get(entry) if type(entry) is str else None
            if call.typing is Typing.SUFFIX:
                declared = read_name(key, settings.allow_hyphen)
            if not isinstance(declared, PropertyType) or declared not in types:
                raise _UnknownTypeError
            strings += declared is PropertyType.STR or declared is PropertyType.DATE
            has_lists = has_lists or type(value) is list
            fields.append(types[declared])
        return _struct(members, fields)

    whole = type_of(call.properties, call.schema, _MOST_LEVELS)
    if call.at:
        names += _DOCUMENT
        strings += 1
        whole = _struct(_DOCUMENT, [Literal[call.name], whole])
    return _Learned(
        read=msgspec.json.Decoder(whole).decode,
        settings=settings,
        names=len(names),
        quotes=-1 if has_lists else 2 * (len(names) + strings),
        surely_short=min(settings.value_size, settings.max_payload) // WIDEST_CHARACTER,
        call=msgspec.structs.replace(call, properties={}, schema={}, learned=validated),
    )


def _struct(names: Iterable[str], types: list[Any]) -> Any:
    """Return a type of objects that have exactly these members, whatever characters their names have."""
    fields = [(f"f{index}", each) for index, each in enumerate(types)]
    rename = {f"f{index}": name for index, name in enumerate(names)}
    return msgspec.defstruct("Event", fields, rename=rename, forbid_unknown_fields=True, gc=False, eq=False)


def _is_plain(text: bytes | str) -> bool:
    """Return whether a text is ASCII without escapes, so that every string in it has as many bytes as characters."""
    return text.isascii() and ("\\" not in text if isinstance(text, str) else b"\\" not in text)
