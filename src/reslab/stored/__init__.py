"""One reader of stored files: text, then JSON or TOML, then typed; every fault is one sentence."""
