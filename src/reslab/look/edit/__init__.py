"""Edit merges during a pass; everything is restored afterwards."""
