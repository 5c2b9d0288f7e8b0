"""The recorder's socket: each frame passes the same rules as a request would."""
