"""The Markdown of docs/compatibility.md from the log of bench/compatibility.py."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from compatibility_explained import explained

Row = dict[str, Any]


def markdown(rows: list[Row]) -> str:
    """The summary, a table for each library, the exceptions with their explanations, and what could not be run."""
    done = [row for row in rows if "error" not in row]
    lines = [summary(rows, done)]
    for library in ("timm", "torchvision"):
        lines += ["", f"## {library}", "", *families([row for row in done if row["library"] == library])]
    lines += ["", "## transformers", "", *by_layer([row for row in done if row["library"] == "transformers"])]
    lines += ["", "## Exceptions", "", *exceptions(done)]
    lines += ["", "## Not run", "", *not_run([row for row in rows if "error" in row])]
    return "\n".join(lines)


def summary(rows: list[Row], done: list[Row]) -> str:
    merges = sum(row["found"] for row in done)
    holds = sum(not row["failed"] and not row["unchecked"] for row in done)
    values = sum(row.get("found_on") == "values" for row in done)
    families = len({(row["library"], row["family"]) for row in done})
    return (
        f"{len(done)} architectures of {families} families were examined ({len(rows) - len(done)} more could not be "
        f"built or run here). {merges:,} residual connections were found; the certificate holds for all of them in "
        f"{holds} architectures. The largest relative difference of skip + branches from the sum is "
        f"{largest(done, 'sum')}, and of the stream from what entered, with every branch disabled, "
        f"{largest(done, 'stream')}. {len(done) - values} architectures were found on shapes alone, {values} needed "
        "values."
    )


def largest(rows: Iterable[Row], claim: str) -> str:
    worst = max((row[claim] for row in rows if row[claim] is not None), default=None)
    return "" if worst is None else f"{worst:.1e}" if worst else "0"


def families(rows: list[Row]) -> list[str]:
    """A line for each family: its architectures with their residual connections, and the largest differences."""
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["family"]].append(row)
    lines = ["| family | architectures: residual connections | sum | stream | |", "|---|---|---|---|---|"]
    for family, members in sorted(grouped.items()):
        names = ", ".join(f"{row['name']}: {row['found']}" for row in members)
        numbers = f"{largest(members, 'sum')} | {largest(members, 'stream')}"
        lines.append(f"| {family} | {names} | {numbers} | {marks(members)} |")
    return lines


def by_layer(rows: list[Row]) -> list[str]:
    """A line for each number of residual connections per layer of the configuration."""
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[per_layer(row)].append(row)
    lines = ["| residual connections | model types | sum | stream |", "|---|---|---|---|"]
    for rule, members in sorted(grouped.items(), key=lambda item: -len(item[1])):
        names = ", ".join(f"{row['name']}{'' if rule[0].isdigit() else ' ' + str(row['found'])}" for row in members)
        lines.append(
            f"| {rule} ({len(members)}) | {names} | {largest(members, 'sum')} | {largest(members, 'stream')} |"
        )
    return lines


def per_layer(row: Row) -> str:
    """How the number found follows from the layers that the configuration states."""
    layers, found = row.get("layers") or {}, row["found"]
    numbers = {key.rpartition(".")[2]: n for key, n in layers.items()}
    coder = 2 * numbers.get("encoder_layers", 0) + 3 * numbers.get("decoder_layers", 0)
    if {"encoder_layers", "decoder_layers"} <= set(numbers) and found == coder:
        return "2 per encoder layer, 3 per decoder layer"
    each = sorted(set(layers.values()))
    for n in each:
        for many in (2, 1, 3):
            if found == many * n:
                return f"{many} per layer"
    total = sum(layers.values())
    for many in (2, 1, 3):
        if total and found == many * total:
            return f"{many} per layer of every part"
    return "none" if not found else "another number (below, where it is not plain)"


def marks(rows: list[Row]) -> str:
    n = sum(bool(row["failed"] or row["unchecked"]) for row in rows)
    return f"{n} not certified" if n else ""


def exceptions(rows: list[Row]) -> list[str]:
    """Every failure, block without a residional connection and unusual count, grouped by its explanation."""
    grouped: dict[str, set[str]] = defaultdict(set)
    open_ones: list[str] = []
    for row in rows:
        for words in [*row["failed"], *row["unchecked"], *row["suspects"], *unusual(row)]:
            reason = explained(row, words)
            if reason:
                grouped[reason].add(row["name"])
            else:
                open_ones.append(f"- {row['key']}: {words}")
    lines = [f"- {reason} ({', '.join(sorted(names))})" for reason, names in sorted(grouped.items())]
    return [*lines, *(["", "Not explained yet:", "", *open_ones] if open_ones else [])]


def unusual(row: Row) -> list[str]:
    plain = row["library"] != "transformers" or not per_layer(row).startswith(("another", "none"))
    return [] if plain else [f"count {row['found']} for {row.get('layers')}"]


def not_run(rows: list[Row]) -> list[str]:
    """The architectures without a result, by the first words of the reason."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        grouped[re.split(r"[:(|]", row["error"].removeprefix("NotImplementedError: no example: "))[0].strip()].append(
            row["name"]
        )
    return [f"- {reason}: {', '.join(names)}" for reason, names in sorted(grouped.items(), key=lambda e: -len(e[1]))]
