"""The version, for whoever says which reslab made a file."""

__version__ = "0.1.0"
