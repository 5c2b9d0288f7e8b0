"""``python -m fsproxy``."""

from fsproxy.cli import main

main(prog_name="fsproxy")
