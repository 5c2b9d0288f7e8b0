"""The upstream's side of HTTP: its hosts, the pool of connections to each, and one request's exchange."""
