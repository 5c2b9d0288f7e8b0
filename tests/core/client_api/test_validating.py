"""What can be validated from the command line: each word judges as its route on the wire does."""

from __future__ import annotations

import pytest

from fsproxy.core.client_api.validating import Validated, validate
from fsproxy.core.model import Mode, Route
from fsproxy.core.settings import ClientApiSettings


@pytest.mark.parametrize(
    ("word", "route"),
    [
        ("event", Route.DIRECT_EVENT),
        ("identify", Route.DIRECT_IDENTIFY),
        ("setUserVars", Route.DIRECT_SET_USER_VARS),
        ("bundle", Route.BUNDLE),
    ],
)
def test_each_word_stands_for_a_route(word: str, route: Route) -> None:
    inspection, _ = validate(Validated(word), b"{}", ClientApiSettings())
    assert inspection.route is route


def test_there_are_no_other_words() -> None:
    assert len(Validated) == 4


def test_the_mode_of_the_settings_is_obeyed() -> None:
    shadow = validate(Validated.EVENT, b'{"name":""}', ClientApiSettings(mode=Mode.SHADOW))[1]
    assert (shadow.rejections, len(shadow.shadow)) == ((), 1)
    off = validate(Validated.EVENT, b'{"name":""}', ClientApiSettings(mode=Mode.OFF))[1]
    assert (off.rejections, off.shadow) == ((), ())
