"""Tables: a file becomes a frame, a frame becomes numbers and categories."""
