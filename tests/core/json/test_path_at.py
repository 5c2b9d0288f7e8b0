"""Places in JSON as people write them."""

from __future__ import annotations

import pytest

from fsproxy.core.json.path_at import path_at

TEXT = b'{"a":[1,{"b c":"x", "d":[[],{"e":["\\"[{", "y"]}]}],"\xc3\xa9":{},"f":"z"}'


@pytest.mark.parametrize(
    ("value", "path"),
    [(b'"x"', "a[1]['b c']"), (b'"y"', "a[1].d[1].e[1]"), (b'"z"', "f"), (b"[1", "a"), (b"{}", "['é']"), (b'{"a"', "")],
)
def test_the_way_to_a_value(value: bytes, path: str) -> None:
    assert path_at(TEXT, TEXT.index(value)) == path
