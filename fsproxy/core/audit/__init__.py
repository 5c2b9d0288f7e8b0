"""The audit line: what it holds, and in which form."""
