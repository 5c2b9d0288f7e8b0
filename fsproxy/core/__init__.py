"""The pure core: what is judged, and what follows from it. No I/O, no clock, no event loop; ``now`` is an argument."""
