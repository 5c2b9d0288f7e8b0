"""Loading a changed configuration while the program runs."""
