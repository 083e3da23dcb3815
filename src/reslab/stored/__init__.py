"""The one reader of stored files: bytes to JSON or TOML to typed records; every fault is reported in one sentence."""
