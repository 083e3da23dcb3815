"""What cells do: one file a work, with its functions `work` and `cost`."""
