"""Recipes as TOML files: each is whole, and opens with what it gave where."""
