"""Limits in Redis or Valkey, shared by processes and machines."""
