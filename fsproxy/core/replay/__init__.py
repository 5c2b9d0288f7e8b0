"""An audit line judged again."""
