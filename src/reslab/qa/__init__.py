"""Question answering: spans out of scores, what they are worth, how sure one may be of them."""
