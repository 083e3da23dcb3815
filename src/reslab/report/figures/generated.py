"""What a slim language model writes, beside what the intact one writes: the rows of a table, and examples."""

from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.folder import Facts, dicts

SHARES = ("exact", "agreement", "repetition")
TITLES = {  # key: what it is, and which way is better
    "loss": "loss of the next token (nats)",
    "exact": "continuations equal to the intact model’s",
    "agreement": "share of a continuation before the first difference",
    "perplexity": "perplexity of its continuations under the intact model",
    "repetition": "repetition: share of four tokens in a row that were there before",
}
COUNTS = (("windows", "windows of text for the loss"), ("prompts", "prompts"), ("prompt_tokens", "tokens each"),
          ("new_tokens", "new tokens at most"))  # fmt: skip
OWN = {"exact": "100 %", "agreement": "100 %"}  # the intact model, compared with itself


def generated(found: Facts) -> Facts | None:
    """What the page shows; None without generated texts."""
    if not found:
        return None
    rows = [row(key, title, found) for key, title in TITLES.items() if words.is_number(found.get(key))]
    counts = [f"{words.count(found[key])} {what}" for key, what in COUNTS if words.is_number(found.get(key))]
    examples = [{str(key): one_line(value) for key, value in one.items()} for one in dicts(found.get("examples"))]
    return {"rows": rows, "counts": ", ".join(counts), "warning": one_line(found.get("warning") or ""),
            "examples": examples}  # fmt: skip


def row(key: str, title: str, found: Facts) -> Facts:
    low, high = found.get(f"{key}_low"), found.get(f"{key}_high")
    around = f"{text(key, low)} to {text(key, high)}" if words.is_number(low) and words.is_number(high) else ""
    intact = text(key, found[f"intact_{key}"]) if words.is_number(found.get(f"intact_{key}")) else OWN.get(key, "")
    return {"title": title, "slim": text(key, found[key]), "interval": around, "intact": intact}


def text(key: str, value: Any) -> str:
    return words.percent(100 * value, 1) if key in SHARES else f"{value:.3g}" if key != "loss" else f"{value:.3f}"
