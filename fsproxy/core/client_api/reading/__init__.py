"""Where calls are found: bundles, direct calls, the server API."""
