"""Client API calls: found in whatever wire form they ride, judged in one walk, cut out precisely."""
