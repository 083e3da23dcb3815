"""The nets for tables, from a spec."""
