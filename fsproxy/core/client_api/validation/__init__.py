"""Whether one call is valid, and what is wrong with it."""
