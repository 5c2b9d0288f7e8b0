"""The recorder's socket: each frame is judged as a request would be."""
