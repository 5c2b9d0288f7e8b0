"""What recorders and upstreams send: heads, queries, pages, answers, frames."""
