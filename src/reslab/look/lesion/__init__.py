"""Disable and swap blocks, skip layers, and read the answers at each depth."""
