"""From a file to a frame, and from a frame to numbers, categories and bags."""
