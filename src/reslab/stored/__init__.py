"""One reader of stored files: text, then JSON or TOML, then typed. A file may hold anything; every fault is a sentence."""
