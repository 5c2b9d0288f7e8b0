"""The file that the memory form is written to, so that a restart forgets little."""
