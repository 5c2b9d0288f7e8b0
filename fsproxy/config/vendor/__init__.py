"""Converts the vendor's settings exports."""
