"""What the single lesions show, in sentences that hold for ties, zeros and few samples, too."""

from reslab.report.folder import Facts, dicts, facts, items
from reslab.report.look.blocks import Block, blocks, common, short_name, text
from reslab.report.look.effects import Effect, adds_nothing, changed, effects, ends, of_share, percents, same
from reslab.report.look.folder import Look
from reslab.report.look.words import Metric, median, metrics, several
from reslab.report.words import GAP, count, is_number, listed, ordinals
from reslab.statistics.effects import unpaired

NEAR = 5  # points of error: a change that the page counts as small
HARDLY = 0.9  # of the error of guessing: a model with a larger error has little to lose
LISTED = 3  # blocks named in the headline


def single_found(look: Look) -> list[str]:
    """What the single lesions show, in sentences."""
    result, measured = look["lesions"], metrics(look["lesions"])
    if not measured or not (known := effects(look, blocks(look), measured[0])):
        return []
    metric, word = measured[0], "block" if look.merges else "layer"
    values = [effect.value for effect in known]
    whole, middle = metric.of(result.get("whole")), median(values)
    first = f"The intact model’s {metric.name} is {metric.text(whole)}; with" if whole else "With"
    noun = "the median" if whole else f"the median {metric.name}"
    sentences = [
        f"{first} one {word} disabled, {noun} is {metric.text(middle)} (range {metric.text(min(values))} to "
        f"{metric.text(max(values))}, {several(len(values), word)})."
    ]
    n = result.get("n")
    if is_number(n) and (around := ends(metric, of_share(metric, whole, n))):
        sentences.append(f"Over {several(int(n), 'sample')}, the intact model’s 95{GAP}% interval is {around}{GAP}%.")
    guess = chance(look)
    if metric.key == "error" and whole is not None and guess and hardly(whole, guess):
        how = "hardly" if whole < guess and not same(whole, guess) else "not"
        return [*sentences, f"The intact model is {how} better than chance, so disabling a {word} can do little harm."]
    if nothing := no_effect(look, known):
        return [*sentences, f"{nothing[0].upper()}{nothing[1:]}."]
    if metric.key == "error" and whole is not None:
        near = sum(abs(value - whole) <= NEAR or same(abs(value - whole), NEAR) for value in values)
        sentences.append(
            f"For {near} of the {len(known)} {word}s, disabling it changes the error by at most {NEAR} points."
        )
    sentences += [*shown(known, metric, word), *downsampling(known, metric, n)]
    return [*sentences, *inner_found(look, metric, middle, whole)]


def hardly(error: float, guess: float) -> bool:
    """Whether an error (%) leaves little to lose: near that of guessing, and right less than twice as often."""
    return error > HARDLY * guess and 100 - error < 2 * (100 - guess)


def chance(look: Look) -> float | None:
    """The error of guessing in percent, if the number of classes is known."""
    classes = items(look.data.get("classes"))
    return 100 * (1 - 1 / len(classes)) if len(classes) > 1 else None


def no_effect(look: Look, known: list[Effect]) -> str:
    """`disabling any block changes nothing`, and why if that is known; "" if some change is not exactly zero."""
    word = "block" if look.merges else "layer"
    if not known or any(effect.change is None or not same(effect.change, 0) for effect in known):
        return ""
    whole = facts(look["lesions"].get("whole"))
    keys = [(f"without:{key}", start) for key, start in whole.items() if is_number(start)]
    others = [(effect.block.values.get(key), start) for effect in known for key, start in keys]
    if any(is_number(value) and not same(value, start) for value, start in others):
        return f"disabling any one {word} leaves the {metrics(look['lesions'])[0].name} as it is, though not the output"
    why = ": every branch adds exactly zero, as in nets whose last normalization starts with weights of zero"
    return f"disabling any one {word} changes nothing{why if adds_nothing(look) else ''}"


def shown(known: list[Effect], metric: Metric, word: str) -> list[str]:
    """For how many blocks the metric rises, or falls, beyond the interval of the difference."""
    judged = [effect for effect in known if effect.interval]
    if not judged:
        return []
    up, down = sum(effect.raised for effect in judged), sum(effect.lowered for effect in judged)
    fall = f" and falls for {down}" if down else ""
    return [f"The {metric.name} rises for {up} of {several(len(judged), word)}{fall} by more than the 95{GAP}% "
            "interval of the difference; for the others no difference is shown."
            if up + down < len(judged) else f"The {metric.name} rises for {up} of {several(len(judged), word)}{fall}, "
            f"each by more than the 95{GAP}% interval of the difference."]  # fmt: skip


def downsampling(known: list[Effect], metric: Metric, n: object) -> list[str]:
    """Whether the blocks that change the shape hurt most when disabled."""
    ranked = sorted(known, key=lambda effect: -effect.value)
    marked, others = ([e for e in ranked if e.block.marked is flag] for flag in (True, False))
    if not marked or not others:
        return []
    who, each = "blocks that change the shape", named(marked, metric)
    if same(ranked[0].value, ranked[-1].value):
        return [f"Every block has the same {metric.name} when disabled; the {who} do not stand out."]
    least, next_one = marked[-1].value, others[0].value
    if least > next_one and not same(least, next_one):
        if apart(least, next_one, metric, n):
            return [f"The {who} hurt most, as in the paper: {each}."]
        return [f"The {who} have the largest {metric.name} when disabled: {each}; but the 95{GAP}% interval of the "
                f"difference from the next block ({metric.text(next_one)}) contains zero."]  # fmt: skip
    places = [1 + sum(other.value > e.value and not same(other.value, e.value) for other in ranked) for e in marked]
    below = [sum(e.value > other.value and not same(e.value, other.value) for other in others) for e in marked]
    how = f"Unlike in the paper, the {who} do not stand out"
    if all(2 * lower > len(others) for lower in below):
        how = f"The {who} hurt more than most"
    elif below[0] == len(others):
        how = f"Not all {who} stand out"
    are = "they are" if len(places) > 1 else "it is"
    ties = sum(any(same(e.value, o.value) for o in ranked if o is not e) for e in marked[:6])
    share = " (equal blocks share a place)" if ties else ""
    return [f"{how}: {each}. Ranked by harm {are} {ordinals(places[:6])} of {len(ranked)}{share}."]


def named(marked: list[Effect], metric: Metric) -> str:
    return listed([f"block {effect.block.index} ({text(effect.block.module)}, {metric.text(effect.value)})"
                   for effect in marked[:6]])  # fmt: skip


def apart(a: float, b: float, metric: Metric, n: object) -> bool:
    """Whether two errors (%) over n samples differ beyond their interval; other metrics have none here."""
    if metric.key != "error" or not is_number(n) or n < 1 or not 0 <= b <= a <= 100:
        return True
    return percents(unpaired(round(a * int(n) / 100), round(b * int(n) / 100), int(n))).low > 0


def inner_found(look: Look, metric: Metric, middle: float | None, whole: float | None) -> list[str]:
    """The cost of disabling a layer compared with a block."""
    values = [metric.of(each.get("values")) for each in dicts(look["lesions"].get("layers"))] if look.merges else []
    layer = median(values)
    if layer is None or middle is None or whole is None:
        return []
    return [
        f"Disabling a single layer costs {metric.more(layer - whole)} (median of {len(values)}), disabling a block "
        f"{metric.more(middle - whole)}."
    ]


def extremes(look: Look, found: list[Block], metric: Metric | None) -> list[Facts]:
    """Cards for the headline: the blocks that hurt most when disabled, and those that are not shown to hurt."""
    known = effects(look, found, metric) if metric else []
    if metric is None or not known:
        return []
    word = "block" if look.merges else "layer"
    if nothing := no_effect(look, known):
        return [{"title": f"No {word} matters alone", "items": [], "note": f"{nothing[0].upper()}{nothing[1:]}."}]
    prefix = common([block.module for block in found])
    raised = sorted((e for e in known if e.raised), key=lambda e: -e.value)
    rest = sorted((e for e in known if not e.raised), key=lambda e: e.value)
    judged, n = any(e.interval for e in known), count(look["lesions"].get("n"))
    within = f"the 95{GAP}% interval of each difference (n = {n}) contains zero or lies below it"
    cards = []
    if raised:
        note = f"In parentheses: 95{GAP}% intervals." if judged else "No interval is stored for these differences."
        cards.append(card("Removing it hurts most", raised, metric, prefix, note=note))
    elif judged:
        cards.append({"title": f"No {word} is shown to matter alone", "items": [],
                      "note": f"For all {len(rest)} {word}s, {within}."})  # fmt: skip
    if rest and (raised or not judged):
        note = f"{len(rest)} of {len(known)} {word}s: {within}; their order is open." if judged else ""
        cards.append(card("Removing it is not shown to hurt", rest, metric, prefix, note=note))
    elif len(raised) > LISTED:
        cards.append(card("Removing it hurts least", raised[::-1], metric, prefix, note=""))
    return cards


def card(title: str, ranked: list[Effect], metric: Metric, prefix: str, *, note: str) -> Facts:
    """The first blocks of a ranking; those that are equal to the last one listed are counted."""
    picked, left = ranked[:LISTED], ranked[LISTED:]
    equal = sum(same(effect.value, picked[-1].value) for effect in left)
    more = f"{several(equal, 'other')} {'is' if equal == 1 else 'are'} equal to the last. " if equal else ""
    listed_blocks = [
        {"index": e.block.index, "name": short_name(e.block.module, prefix), "module": text(e.block.module),
         "text": metric.text(e.value), "more": changed(metric, e) if e.change is not None else "",
         "marked": e.block.marked} for e in picked
    ]  # fmt: skip
    return {"title": title, "items": listed_blocks, "note": f"{more}{note}".strip()}
