"""The configuration: from YAML with positions to one frozen object, or to all of its faults at once."""
