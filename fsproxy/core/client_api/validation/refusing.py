"""Cuts names that are refused out of a call that is valid else, without validating it again (rules.md 2, 9).

The ledger refuses names beyond a limit, and the plan those that it lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import overload

from fsproxy.core.client_api.calls import Breach, Call, Typing, ValidatedCall
from fsproxy.core.client_api.validation.details import LONGEST_ECHO, cut
from fsproxy.core.json.cutting import EVERYTHING
from fsproxy.core.json.scanner import Steps
from fsproxy.core.model import CallKind, Rejection


class RefusedNames(Sequence[Rejection]):
    """The rejections of properties with refused names, each made when it is read.

    An org at its limit has thousands of them, and few are listed anywhere.
    """

    __slots__ = ("_begin", "_detail", "_names", "_shown", "code", "kind")

    def __init__(self, kind: CallKind, shown: str | None, names: Sequence[str], begin: int, breach: Breach) -> None:
        self.kind = kind
        self.code = breach.code
        self._shown = shown
        self._names = names
        self._begin = begin
        """Where the property's path begins in each name."""
        self._detail = breach.detail

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Rejection]:
        return map(self._rejection, self._names)

    @overload
    def __getitem__(self, index: int) -> Rejection: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Rejection, ...]: ...

    def __getitem__(self, index: int | slice) -> Rejection | tuple[Rejection, ...]:
        if isinstance(index, slice):
            return tuple(map(self._rejection, self._names[index]))
        return self._rejection(self._names[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, RefusedNames)) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def _rejection(self, name: str) -> Rejection:
        # A valid name has no unpaired surrogate, so only its length can need a cut.
        path = name[self._begin :]
        path = path if len(path) <= LONGEST_ECHO else cut(path)
        return Rejection(self.code, self.kind, self._shown, path, self._detail)


def properties_refused(
    call: Call, validated: ValidatedCall, refused: Collection[str], shown: str | None, breach: Breach
) -> ValidatedCall | None:
    """Return what the rules say of the call without the properties whose names were ``refused``.

    None: only the walk through the call can find this, because other properties of it are rejected or several
    properties share what would be cut. An org at its limit pays this cost for every call.
    """
    if validated.rejections or validated.is_shared:
        return None
    at, names = call.at, validated.names
    gone: Sequence[str] = names
    if len(refused) < len(names) or not all(map(refused.__contains__, names)):
        gone = [name for name in names if name in refused]
    if not gone:
        return validated
    begin, listed = len(call.name) + 1 if isinstance(call.name, str) else 0, gone
    cuts: tuple[Steps, ...]
    schema_cuts: tuple[Steps, ...] = ()
    if call.typing is not Typing.SUFFIX:
        places = [place for name, place in zip(names, validated.places, strict=True) if name in refused]
        if any(len(steps) > 1 for steps, _ in places):
            return None  # an object that loses its last property takes its own schema entry with it
        cuts = tuple([(*at, *steps) for steps, _ in places])
        schema_cuts = tuple([(*call.schema_at, *entry) for _, entry in places if entry is not None])
        begin, listed = 0, [str(steps[0]) for steps, _ in places]
    elif gone is names and len(names) == validated.survivors and dict not in map(type, call.properties.values()):
        cuts = ((*at, EVERYTHING),)
    else:
        cuts = tuple([(*at, *name[begin:].split(".")) for name in gone])
    rejections = RefusedNames(call.kind, shown, listed, begin, breach)
    if call.is_whole or (call.kind is not CallKind.EVENT and len(gone) == validated.survivors):
        return ValidatedCall(rejected=True, rejections=rejections)
    left = () if gone is names else tuple([name for name in names if name not in refused])
    return ValidatedCall(rejections=rejections, cuts=cuts, schema_cuts=schema_cuts, names=left)
