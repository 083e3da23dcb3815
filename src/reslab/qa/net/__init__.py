"""The net for questions: an encoder and a head."""
