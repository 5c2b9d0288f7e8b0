"""The shell: all I/O. It reads heads and bodies, asks the core what to do, and does it."""
