"""One pass of a model -> its value graph -> sums -> merges, and whether a block could be removed."""
