"""A MODEL word and a --data word -> a model with inputs that fit it."""
