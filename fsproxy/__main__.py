"""What ``python -m fsproxy`` runs: the command line."""

from fsproxy.cli import main

main(prog_name="fsproxy")
