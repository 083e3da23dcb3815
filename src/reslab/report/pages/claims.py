"""The page of `reslab claims`: what papers claim, what was predicted, what came out here."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures import claims as figures
from reslab.report.figures import claims_numbers as numbers
from reslab.report.figures import claims_strip as strips
from reslab.report.figures.claims_formula import formula
from reslab.report.figures.claims_glossary import glossary, linked
from reslab.report.folder import Facts, dicts, facts, items, read_json

VERDICTS = {  # the verdicts in the order in which they are counted: (as a sentence says it, what it means)
    "holds": ("hold", "The effect lies on the predicted side, significantly after Holm’s correction; or, for a "
              "prediction of no difference, it is shown to lie within the margin."),
    "contradicted": ("are contradicted", "The effect lies significantly on the other side; or, for a prediction of no "
                     "difference, outside the margin."),
    "equivalent": ("are equivalent", "A difference was predicted, and the effect is shown to lie within the margin of "
                   "the threshold: too small to matter here."),
    "not shown": ("are not shown", "The seeds do not suffice to tell. This is no evidence against the claim: the power "
                  "says which effect they could have shown."),
    "not run": ("were not run", "The data cannot speak to the claim, or the run was stopped before; it says "
                "why."),
}  # fmt: skip
EXAMPLES = {  # for the box that explains: (mean, low, high) in margins of a prediction `above`
    "holds": (12.0, 6.0, 18.0), "contradicted": (-8.0, -14.0, -3.0), "equivalent": (0.2, -0.4, 0.8),
    "not shown": (2.0, -3.0, 7.0),
}  # fmt: skip
TAKEN = re.compile(r"(figure|paper|term|mark|filter)(-|$)|(figures|plotly|contents|reading|nothing|glossary|about)$")


def page(folder: Path) -> Facts:
    """What claims.html.j2 shows."""
    stored = read_json(folder / "results" / "claims.json")
    claims, papers = dicts(stored.get("claims")), {str(one.get("key")): one for one in dicts(stored.get("papers"))}
    names = addresses([str(one.get("name") or one.get("title") or "claim") for one in claims])
    effects = [strips.of_claim(one) for one in claims]
    on = strips.axis([one for one in effects if one])
    shown = [claim(one, id=id, paper=papers.get(str(one.get("paper"))), strip=strips.strip(effect, on))
             for one, id, effect in zip(claims, names, effects, strict=True)]  # fmt: skip
    drawn = [one["figure"] for one in shown if one["figure"]]
    return {
        "template": "claims.html.j2",
        "title": "The papers’ claims, put to the test",
        "stored": stored,
        "tally": tally(shown),
        "sentence": sentence(shown),
        "lead": lead(shown),
        "meta": meta(stored),
        "notes": [one_line(note) for note in items(stored.get("notes"))],
        "families": one_line(stored.get("families") or ""),
        "groups": groups(shown, papers),
        "verdicts": [verdict(name, on) for name in VERDICTS],
        "axis": on,
        "drawn_strips": any(one["strip"] for one in shown),
        "glossary": glossary(),
        "figures": {one["id"]: one for one in drawn},
        "scriptless": True,
        "lazy": True,
        "commands": [str(stored["command"])] if stored.get("command") else [],
    }


def addresses(names: Iterable[str]) -> list[str]:
    """Each claim's address on the page, from its name: `plain-degrades`; a second one of a name is `...-2`."""
    found: list[str] = []
    for name in names:
        bare = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:80] or "claim"
        plain = f"claim-{bare}" if TAKEN.match(bare) else bare
        k, free = 1, plain
        while free in found:
            k, free = k + 1, f"{plain}-{k + 1}"
        found.append(free)
    return found


def claim(one: Facts, *, id: str, paper: Facts | None, strip: Facts | None) -> Facts:
    """One claim for the page; the texts with links to the glossary are HTML that is already escaped."""
    verdict = str(one.get("verdict") or "not run")
    told = [one_line(text) for text in items(one.get("meaning"))]
    source = cited(paper) if paper else one_line(one.get("paper") or "")
    table = numbers.table(one)
    sentence, *rest = linked([one_line(one.get("sentence") or ""), *told, *(name for name, _ in table)])
    meaning, names = rest[: len(told)], rest[len(told) :]
    prediction, judged = facts(one.get("prediction")), facts(one.get("judged"))
    drawn = figures.figure(id, facts(one.get("figure")))
    words_ = [one.get("name"), one.get("title"), one.get("sentence"), one.get("formula"), *told, source,
              one.get("where"), (paper or {}).get("title")]  # fmt: skip
    return {
        "id": id, "verdict": verdict, "mark": verdict.replace(" ", "-"), "strip": strip,
        "title": one_line(one.get("title") or one.get("name") or "a claim without a title"),
        "paper": str(one.get("paper") or ""), "source": source, "where": one_line(one.get("where") or ""),
        "sentence": sentence, "meaning": meaning, "formula": formula(one.get("formula")),
        "answer": one_line(one.get("answer") or ""), "why_not": one_line(one.get("why_not") or ""),
        "figure": drawn, "effect": numbers.effect(prediction, judged),
        "numbers": [(name, value) for name, (_, value) in zip(names, table, strict=True)],
        "prediction": numbers.prediction(prediction),
        "why": one_line(prediction.get("why") or ""), "fixed": one_line(one.get("fixed") or ""),
        "hash": one_line(one.get("hash") or ""), "settings": numbers.settings(one),
        "deviations": [one_line(text) for text in items(one.get("deviations"))],
        "turns": one_line(one.get("turns") or ""), "command": one_line(one.get("command") or ""),
        "search": " ".join(" ".join(str(word or "") for word in words_).lower().split()),
    }  # fmt: skip


def cited(paper: Facts) -> str:
    """`He, Zhang, Ren and Sun (2015)`; without the year if it has none; the title of what names no authors."""
    authors = paper.get("authors") or paper.get("title") or paper.get("key") or "Other claims"
    return one_line(f"{authors} ({paper['year']})" if paper.get("year") else authors)


def address(link: Any) -> str | None:
    """A paper's link, None for anything but one of the web."""
    return link if isinstance(link, str) and re.fullmatch(r"https?://[^\s\"'<>]+", link) else None


def groups(shown: list[Facts], papers: dict[str, Facts]) -> list[Facts]:
    """The claims by paper, papers in their stored order, then those that are not listed."""
    keys = list(dict.fromkeys([*papers, *(one["paper"] for one in shown)]))
    found = []
    for k, key in enumerate(keys):
        own, paper = [one for one in shown if one["paper"] == key], papers.get(key)
        if own:
            found.append({
                "id": f"paper-{k + 1}", "claims": own,
                "name": cited(paper) if paper else one_line(key) or "Other claims",
                "title": one_line((paper or {}).get("title") or "") if (paper or {}).get("authors") else "",
                "link": address((paper or {}).get("link")),
            })  # fmt: skip
    return found


def tally(shown: list[Facts]) -> list[Facts]:
    """How many claims have each verdict."""
    return [{"verdict": name, "mark": name.replace(" ", "-"), "n": sum(one["verdict"] == name for one in shown)}
            for name in VERDICTS]  # fmt: skip


def sentence(shown: list[Facts]) -> str:
    """`Of 40 claims, 24 hold, 3 are contradicted and 13 were not run.`"""
    counts = {one["verdict"]: one["n"] for one in tally(shown) if one["n"]}
    parts = [f"{n} {singular(VERDICTS[name][0], n)}" for name, n in counts.items()]
    many = f"{len(shown)} claim{'s' * (len(shown) != 1)}"
    return f"Of {many}, {words.listed(parts)}." if parts else "No claim is stored here."


def lead(shown: list[Facts]) -> str:
    """What was done, and how many of the predictions were fixed before the run: those that hold a hash."""
    fixed = sum(bool(one["hash"]) for one in shown)
    start = "Each claim of a paper below was turned into a prediction of one number"
    tested = "was then tested here on nets that reslab built and trained"
    if shown and fixed == len(shown):
        return f"{start}, fixed before the run with its threshold and margin, and {tested}."
    rest = "No prediction was fixed before the run: no hash shows that it was not chosen after it."
    if fixed:
        rest = (f"Only {fixed} of the {len(shown)} predictions {'were' if fixed > 1 else 'was'} fixed before the run; "
                "the others hold no hash, and say so.")  # fmt: skip
    return f"{start} with a threshold and a margin, and {tested}. {rest}"


def singular(verb: str, n: int) -> str:
    return verb if n != 1 else {"hold": "holds"}.get(verb, verb.replace("are ", "is ").replace("were ", "was "))


def meta(stored: Facts) -> str:
    """`on digits · 5 seeds (0 to 4) · quick edition · trainings and measurements: 18 min of CPU time, ...`.

    A run that resumes takes less time than its trainings did, so each of the two times says what it is of.
    """
    seeds, env = items(stored.get("seeds")), facts(stored.get("env"))
    run = [k for k in seeds if isinstance(k, int)]
    whole = run == list(range(run[0], run[0] + len(run))) if run else False
    which = f"{run[0]} to {run[-1]}" if whole and len(run) > 2 else words.listed(run) if run else ""
    parts = [
        f"on {stored['data']['name']}" if facts(stored.get("data")).get("name") else "",
        f"{len(run)} seed{'s' * (len(run) != 1)} ({which})" if run else "",
        f"{stored['edition']} edition" if stored.get("edition") else "",
        f"trainings and measurements: {words.duration(stored['seconds'])} of CPU time, in this run or earlier ones"
        if words.is_number(stored.get("seconds")) else "",
        f"this run: {words.duration(stored['wall_seconds'])}" if words.is_number(stored.get("wall_seconds")) else "",
        env.get("device_name") or env.get("device"), stored.get("created"),
    ]  # fmt: skip
    return " · ".join(one_line(part) for part in parts if part)


def verdict(name: str, on: strips.Axis) -> Facts:
    """A verdict with what it means and an example on the axis of all claims."""
    example = EXAMPLES.get(name)
    one = strips.Effect(mean=example[0], low=example[1], high=example[2], within=False) if example else None
    return {"verdict": name, "mark": name.replace(" ", "-"), "means": VERDICTS[name][1], "strip": strips.strip(one, on)}
