"""Blocks disabled, swapped and left out, and answers read at each depth."""
