"""The net that answers questions: an encoder and a head."""
