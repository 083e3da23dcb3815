"""Whole experiments: each a function from settings to a result."""
