"""Healing: what a net lost with its blocks, learned again from the intact model."""
