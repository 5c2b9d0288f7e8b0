"""What the doctor found, step by step, and how one step is run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum, unique


@unique
class State(StrEnum):
    """How a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"
    """It cannot be known from here, and counts as no fault."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """Its name, which stays the same from version to version: ``upstream.tls``."""
    state: State
    text: str
    advice: str = ""
    """What to do about it."""


def ok(check: str, text: str) -> Finding:
    """Return what is as it should be."""
    return Finding(check, State.OK, text)


def warning(check: str, text: str, advice: str) -> Finding:
    """Return what works, but not for long or not in all cases."""
    return Finding(check, State.WARNING, text, advice)


def fault(check: str, text: str, advice: str) -> Finding:
    """Return what costs recordings or limits."""
    return Finding(check, State.FAULT, text, advice)


def unknown(check: str, text: str, advice: str = "") -> Finding:
    """Return what cannot be known."""
    return Finding(check, State.UNKNOWN, text, advice)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings so far; ``show`` gets each as it comes."""

    show: Callable[[Finding], None]
    seconds: float
    """The time of one step."""
    findings: list[Finding] = field(default_factory=list)

    async def step(self, check: str, findings: AsyncIterator[Finding]) -> bool:
        """Take the findings of one step. Return whether none of them is a fault. It takes ``seconds`` at most."""
        before = len(self.findings)
        try:
            async with asyncio.timeout(self.seconds):
                async for each in findings:
                    self.add(each)
        except TimeoutError:
            text = f"no answer within {self.seconds:g} s"
            self.add(fault(check, text, "Look at the network and the firewall on the way, or give it more --timeout."))
        except Exception as error:  # noqa: BLE001 - whatever a server does, the other steps must be taken
            text = f"could not be looked at: {type(error).__name__}"
            self.add(fault(check, text, "Something answers here that does not speak the protocol."))
        return all(each.state is not State.FAULT for each in self.findings[before:])

    def add(self, finding: Finding) -> None:
        """Take one finding."""
        self.findings.append(finding)
        self.show(finding)

    @property
    def counts(self) -> Counter[State]:
        """How many findings are in each state."""
        return Counter(each.state for each in self.findings)

    @property
    def exit_status(self) -> int:
        """Return 1 with a fault, 3 with warnings alone, else 0."""
        counts = self.counts
        return 1 if counts[State.FAULT] else 3 if counts[State.WARNING] else 0
