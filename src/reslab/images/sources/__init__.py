"""Where images come from: original files, folders, parquet, the hub."""
