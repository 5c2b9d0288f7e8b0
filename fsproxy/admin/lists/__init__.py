"""Lists that an operator changes at run time, on the admin port (rules.md 10)."""
