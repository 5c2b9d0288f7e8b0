"""What the program says of itself: metrics, recent decisions, audit lines, logs."""
