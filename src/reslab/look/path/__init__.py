"""The gradient by path length: exact, and estimated by sampling paths."""
