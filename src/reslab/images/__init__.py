"""Images: a word becomes a data set, a data set a trained net that names classes."""
