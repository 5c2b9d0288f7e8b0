from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.path_readings import spellings

MOST = 7 * 8
"""The path, two decodings of it and two of each of those; each cut or not, after a host or not, with dots first or not."""
PARTS = [
    "/",
    "//",
    "a",
    "rec",
    "page",
    ".",
    "..",
    "%2f",
    "%2e",
    "%252e",
    "%",
    "%25",
    ";",
    "\\",
    " ",
    "+",
    "?",
    "%00",
    "\u212a",
]


def test_a_path_that_can_be_read_in_one_way_is_read_in_one() -> None:
    assert spellings("/rec/Page_1.js") == ["/rec/page_1.js"]
    assert spellings("/") == spellings("") == spellings("///") == ["/"]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PARTS), max_size=30).map("".join))
def test_the_readings_of_any_path_are_few_and_hold_nothing_to_fold(path: str) -> None:
    found = spellings("/" + path)
    assert len(found) == len(set(found)) <= MOST
    for each in found:
        assert each.startswith("/")
        assert each == each.casefold()
        assert "//" not in each
        assert "\\" not in each
        assert ";" not in each
        assert not {".", ".."} & set(each.split("/"))


@settings(max_examples=100)
@given(st.text(max_size=40), st.binary(max_size=40))
def test_no_path_raises(text: str, raw: bytes) -> None:
    spellings(text)
    spellings("/" + raw.decode("utf-8", "surrogateescape"))
