"""The vendor's own settings, read from its exports."""
