"""Sources of images: the published files, folders, parquet files and the hub."""
