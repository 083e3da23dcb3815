"""One page for each family, and for studies."""
