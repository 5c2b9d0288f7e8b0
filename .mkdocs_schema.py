"""Puts the configuration's JSON Schema into the documentation site, for editors that take it from an address."""

import json

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from fsproxy.config.json_schema import json_schema
from fsproxy.config.key_tree import ROOT


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add it to the files of the site."""
    files.append(File.generated(config, "fsproxy.schema.json", content=json.dumps(json_schema(ROOT), indent=2)))
    return files
