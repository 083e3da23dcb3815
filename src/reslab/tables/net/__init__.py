"""Nets for tables, built from a spec."""
