"""One pass of a model -> its value graph -> sums -> merges, and whether each block can be removed."""
