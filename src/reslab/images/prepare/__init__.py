"""Write any data set of images once as shards: small JPEGs in tar files, with their labels."""
