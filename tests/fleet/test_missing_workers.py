"""What is said of workers that are missing, silent, or end again and again."""

from __future__ import annotations

import signal
from typing import cast

import pytest

from fsproxy.admin.workers.worker_pool import SILENT_SECONDS, WorkerState
from fsproxy.core.model import Instant
from fsproxy.fleet.missing_workers import HOUR, OFTEN, MissingWorkers, exit_words
from fsproxy.fleet.worker import Worker
from fsproxy.telemetry.conditions import Level

NOW = Instant(1_000_000.0)


class OneWorker:
    """As the supervisor knows it."""

    def __init__(self, state: WorkerState = WorkerState.LISTENING, silent_seconds: float = 0.0) -> None:
        self.accepts = state is WorkerState.LISTENING
        self.silent_seconds = silent_seconds
        self.is_silent = silent_seconds >= SILENT_SECONDS


def missing(*workers: OneWorker) -> MissingWorkers:
    return MissingWorkers({number: cast("Worker", each) for number, each in enumerate(workers, 1)}, len(workers))


ENDED = WorkerState.ENDED


def test_nothing_is_said_while_all_are_there() -> None:
    assert list(missing(OneWorker(), OneWorker(silent_seconds=SILENT_SECONDS - 1)).conditions(NOW)) == []


def test_a_missing_worker_is_told_of_since_its_end_until_it_listens_again() -> None:
    workers = missing(OneWorker(), OneWorker(ENDED))
    workers.ended(2, -signal.SIGKILL, NOW)
    workers.ended(2, 1, Instant(NOW + 5))  # its replacement, which came no further
    (found,) = workers.conditions(Instant(NOW + 6))
    assert (found.id, found.level, found.since) == ("worker:2:missing", Level.WARN, NOW)
    assert found.text == "worker 2 of 2 is missing: it ended with the exit status 1"
    assert "The others accept" in found.more
    assert found.fields == {"worker": 2, "exit_status": 1}
    workers.listens(2)
    assert list(workers.conditions(Instant(NOW + 6))) == []


@pytest.mark.parametrize("other", [OneWorker(ENDED), OneWorker(silent_seconds=SILENT_SECONDS)])
def test_it_is_bad_when_nobody_accepts(other: OneWorker) -> None:
    workers = missing(other, OneWorker(ENDED))
    workers.ended(2, None, NOW)
    found = next(each for each in workers.conditions(NOW) if each.id == "worker:2:missing")
    assert found.level is Level.BAD
    assert "they wait" in found.more


def test_a_worker_that_does_not_answer_is_told_of_since_its_last_answer() -> None:
    (found,) = missing(OneWorker(), OneWorker(silent_seconds=SILENT_SECONDS + 2)).conditions(NOW)
    assert (found.id, found.since) == ("worker:2:silent", NOW - SILENT_SECONDS - 2)
    assert found.text == "worker 2 of 2 does not answer"


def test_workers_that_end_again_and_again_are_told_of_for_an_hour() -> None:
    workers = missing(OneWorker(), OneWorker())
    for number in range(OFTEN):
        assert list(workers.conditions(NOW)) == []
        workers.ended(1, 1, Instant(NOW + number))
        workers.listens(1)
    (found,) = workers.conditions(Instant(NOW + OFTEN))
    assert (found.id, found.since, found.count) == ("workers:replaced", NOW, OFTEN)
    assert list(workers.conditions(Instant(NOW + HOUR))) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "it could not be started"),
        (0, "it was asked to stop"),
        (3, "it ended with the exit status 3"),
        (-signal.SIGSEGV, "killed by SIGSEGV"),
        (-signal.SIGKILL, "killed by SIGKILL, as the system does for want of memory"),
        (-50, "killed by signal 50"),
    ],
)
def test_how_a_process_has_ended_is_said_in_words(status: int | None, words: str) -> None:
    assert exit_words(status) == words
