"""What a start loads."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["fsproxy.app", "redis, fsproxy.app", "fsproxy.state.redis.repeats, fsproxy.app"])
def test_redis_is_imported_only_where_state_is_kept_in_it(first: str) -> None:
    """It takes 19 MB, and aiocache would import it for itself."""
    program = (
        f"import sys, {first}; loaded = sys.modules.get('redis') is not None\n"
        "from fsproxy.state.redis.repeats import SharedRepeats\n"
        "import redis.asyncio; print(loaded)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str("redis" in first)
