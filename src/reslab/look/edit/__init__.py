"""Act at merges during a pass, and let go."""
