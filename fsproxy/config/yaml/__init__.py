"""YAML with positions, and variables from the environment."""
