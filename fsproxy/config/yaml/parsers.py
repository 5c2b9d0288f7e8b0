"""The parser for a text: libyaml's, or PyYAML's own."""

from __future__ import annotations

import re

import yaml
from yamlcore import CCoreLoader, CoreLoader

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TABS = re.compile(r"^\t+", re.MULTILINE)


def parser(text: str) -> CCoreLoader:
    """Return a parser for a text in YAML 1.2."""
    # libyaml is ten times as fast, but PyYAML may be built without it, and it takes no surrogates, of which JSON
    # libraries make emoji. PyYAML's own parser takes them, but not the tabs with which JSON may be indented.
    if yaml.__with_libyaml__ and _SURROGATE.search(text) is None:
        return CCoreLoader(text)
    is_json = text.lstrip()[:1] == "{"
    return CoreLoader(_TABS.sub(lambda tabs: " " * len(tabs[0]), text) if is_json else text)
