"""Questions: a file becomes questions, questions become windows of tokens."""
