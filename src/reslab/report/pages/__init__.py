"""One page a family or study."""
