"""Fuzzes one target, or each in turn, for as long as you like.

    python tests/fuzz/run.py TARGET|all [--seconds N] [--seed N] [--corpus FOLDER] [--plain]

With atheris (the extra ``fuzz``) inputs are chosen by what code they reach, and FOLDER keeps those that were worth
it; without it, or with --plain, they are random changes of the target's seeds. Stops at the first input for which a
property does not hold, writes it to a file ``crash-...`` and exits with 1. ``--file FILE`` tries one such input again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

_TESTS = Path(__file__).parents[1]
NAMES = (
    *("pages", "bundles", "gzip", "calls", "values", "addresses", "domains", "forwarding", "cookies", "configs"),
    *("proxy-headers", "redaction"),
)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=[*NAMES, "all"])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="atheris: a folder to start from and to add to")
    parser.add_argument("--plain", action="store_true", help="without atheris, even if it is installed")
    parser.add_argument("--file", type=Path, help="one input, in place of all others")
    return parser.parse_args(words)


def plainly(name: str, seconds: float, seed: int) -> int:
    """Try random changes of the seeds; the exit status."""
    from fuzz.mutating import inputs
    from fuzz.targets import TARGETS

    target, end, tried = TARGETS[name], time.monotonic() + seconds, 0
    for data in inputs(target, seed):
        if time.monotonic() >= end:
            break
        tried += 1
        if not holds(name, data):
            return 1
    sys.stdout.write(f"{name}: {tried} inputs, all properties hold\n")
    return 0


def holds(name: str, data: bytes) -> bool:
    """Try one input, and keep it when it fails."""
    from fuzz.targets import TARGETS

    try:
        TARGETS[name].check(data)
    except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
        traceback.print_exc()
        path = Path(f"crash-{name}-{hashlib.sha256(data).hexdigest()[:16]}")
        path.write_bytes(data)
        sys.stdout.write(f"{name}: written to {path}\n")
        return False
    return True


def guided(name: str, options: argparse.Namespace) -> int:
    """Leave the choice of inputs to atheris; does not return before the end of this process."""
    import atheris

    with atheris.instrument_imports(include=["fsproxy.core", "fsproxy.config", "fsproxy.proxy.decoding"]):
        from fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        seeds, own, dictionary = Path(folder, "seeds"), options.corpus or Path(folder, "own"), Path(folder, "tokens")
        seeds.mkdir()
        own.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(target.seeds):
            (seeds / f"{number}").write_bytes(data)
        # libFuzzer's form: every byte is written in hexadecimal digits.
        written = ("".join(map(r"\x{:02x}".format, token)) for token in target.tokens)
        dictionary.write_text("".join(f'"{each}"\n' for each in written))
        words = [f"-max_total_time={options.seconds}", f"-seed={options.seed}", f"-max_len={target.longest}"]
        words += [f"-dict={dictionary}", f"-artifact_prefix=crash-{name}-", "-timeout=20", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], *words, str(own), str(seeds)], target.check)
        atheris.Fuzz()
    return 0


def main() -> int:
    """Run; the exit status."""
    options = arguments()
    if options.target == "all":
        # Each in a process of its own: libFuzzer ends the one that it runs in.
        rest = [word for word in sys.argv[1:] if word != "all"]
        codes = [subprocess.call([sys.executable, __file__, name, *rest]) for name in NAMES]
        return int(any(codes))
    if options.file:
        return int(not holds(options.target, options.file.read_bytes()))
    if options.plain or importlib.util.find_spec("atheris") is None:
        return plainly(options.target, options.seconds, options.seed)
    return guided(options.target, options)


if __name__ == "__main__":
    sys.path[:0] = [str(_TESTS.parent), str(_TESTS)]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text stream
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main())
