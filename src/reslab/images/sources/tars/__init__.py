"""WebDataset shards: tar files whose images are read at their places, through an index, and never unpacked."""
