"""The pure core: what is decided, and what follows from it. No I/O, no clock, no event loop; ``now`` is an argument."""
