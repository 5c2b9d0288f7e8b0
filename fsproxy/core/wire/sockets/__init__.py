"""The recorder's socket: its frames, and the messages in them (RFC 6455)."""
