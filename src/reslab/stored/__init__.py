"""One reader of stored files: text -> parsed -> typed. What comes from disk may hold anything; every fault is a sentence."""
