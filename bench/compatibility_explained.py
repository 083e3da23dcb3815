"""Why an architecture has blocks without a residual connection, or another number of them: looked at one by one."""

import re
from typing import Any

# What `suspects` says (a regular expression on "key: words") -> why it is right that there is none.
BLOCKS: dict[str, str] = {}
# The key of an architecture -> why it has this number.
COUNTS: dict[str, str] = {}


def explained(row: dict[str, Any], words: str) -> str | None:
    """The explanation of one exception; None if there is none yet."""
    if words.startswith("count "):
        return COUNTS.get(row["key"])
    text = f"{row['key']}: {words}"
    return next((reason for pattern, reason in BLOCKS.items() if re.search(pattern, text)), None)
