"""How two answers are compared: exact match and F1 by the rules of SQuAD 1.1, SQuAD 2.0, KorQuAD 1.0, or by characters.

Words are what spaces separate, so languages written without spaces are scored by characters.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reslab.errors import UsageError, arg, nearest
from reslab.qa.data.question import Question

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII only, as in the official scripts
KOREAN_SIGNS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))  # each becomes a space
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\uffa0-\uffdc]")  # decomposed, too
SPACELESS = {  # scripts whose words no spaces separate
    "Chinese or Japanese": re.compile(
        "[\u3005-\u3007\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
        "\U0001b000-\U0001b16f\U00020000-\U000323af]"
    ),
    "Thai": re.compile("[\u0e01-\u0e4e]"),
    "Lao": re.compile("[\u0e81-\u0ecd\u0edc-\u0edf]"),
    "Khmer": re.compile("[\u1780-\u17d3\u17d7\u17dc\u17dd]"),
    "Burmese": re.compile("[\u1000-\u103f\u1050-\u109d\ua9e0-\ua9fe\uaa60-\uaa7f]"),
    "Tibetan": re.compile("[\u0f40-\u0fbc]"),
    "Javanese or Balinese": re.compile("[\u1b05-\u1b4b\ua980-\ua9c0]"),
}
DROPPED = {"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Cc", "Cf"}  # punctuation, control and format characters
SAMPLE = 500  # questions, evenly spaced, whose script decides the rule
SOME = 0.05  # share of letters of another kind of script that is told
SHOWN = 4000  # characters of each context that are looked at


def normalize_english(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces (Rajpurkar et al. 2016, section 6.1)."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def normalize_korean(text: str) -> str:
    """KorQuAD 1.0: signs to spaces, lower case, without punctuation, single spaces; articles are kept."""
    return " ".join(text.translate(KOREAN_SIGNS).lower().translate(PUNCTUATION).split())


def normalize_characters(text: str) -> str:
    """Full-width forms as ordinary ones (NFKC), lower case, without spaces and punctuation of any script."""
    plain = unicodedata.normalize("NFKC", text).lower().translate(PUNCTUATION)
    return "".join(c for c in plain if not c.isspace() and unicodedata.category(c) not in DROPPED)


def words(text: str) -> list[str]:
    return text.split()


def characters(text: str) -> list[str]:
    return list(text.replace(" ", ""))


@dataclass(frozen=True)
class Rule:
    """How two answers are compared. `empty`: if there is no non-empty gold answer, "" is correct."""

    normalize: Callable[[str], str]
    units: Callable[[str], list[str]]  # the units of a normalized text that F1 counts
    empty: bool


RULES = {
    "squad1": Rule(normalize_english, words, empty=False),
    "squad2": Rule(normalize_english, words, empty=True),
    "korquad": Rule(normalize_korean, characters, empty=False),
    "characters": Rule(normalize_characters, characters, empty=False),
    "characters2": Rule(normalize_characters, characters, empty=True),
}
WITH_EMPTY = {"squad1": "squad2", "korquad": "characters2", "characters": "characters2"}  # with unanswerable questions
EMPTY = tuple(name for name, rule in RULES.items() if rule.empty)


def rule_of(name: str) -> Rule:
    if name not in RULES:
        raise UsageError(f"no rule named {name!r}; available: {', '.join(RULES)}{nearest(name, RULES)}")
    return RULES[name]


class Fitting(NamedTuple):
    """The rule that fits some questions, and why."""

    rule: str
    why: str


def rule_for(questions: Sequence[Question]) -> Fitting:
    """The rule for these questions: by characters if their texts are written without spaces, otherwise by words.

    More than a third of the letters of contexts and answers decides, in up to SAMPLE questions spread over all. If some
    questions have no answer, it is the rule of that kind that scores "no answer". Hidden answers tell nothing.
    """
    known = [one for one in questions if not one.hidden]
    none = any(not one.answers for one in known)
    step = max(1, -(-len(questions) // SAMPLE))
    texts = [
        text for one in questions[::step] for text in (one.context[:SHOWN], *(answer.text for answer in one.answers))
    ]
    whole = "".join(texts)
    letters = sum(unicodedata.category(c)[0] in "LM" for c in whole) or 1
    shares = {"Korean": len(HANGUL.findall(whole)) / letters}
    shares |= {script: len(found.findall(whole)) / letters for script, found in SPACELESS.items()}
    spaceless = sum(share for script, share in shares.items() if script != "Korean")
    script = max(shares, key=lambda name: shares[name])
    korean = script == "Korean" and 3 * shares[script] > 1
    rule = "korquad" if korean else "characters" if 3 * spaceless > 1 else "squad1"
    why = f"{shares[script]:.0%} of the letters are {script}" if rule != "squad1" else "spaces separate the words"
    if rule == "squad1" and spaceless >= SOME:
        others = ", ".join(name for name in SPACELESS if shares[name] >= SOME / 2)
        why += f" of most texts, but {spaceless:.0%} of the letters are {others}, where F1 by words is exact match"
    if none:
        return Fitting(WITH_EMPTY[rule], f"{why}; some questions have no answer")
    return Fitting(rule, why)


def exact(prediction: str, gold: str, *, rule: str) -> float:
    """1.0 if both are equal after normalization, otherwise 0.0."""
    normalize = rule_of(rule).normalize
    return float(normalize(prediction) == normalize(gold))


def f1(prediction: str, gold: str, *, rule: str) -> float:
    """2PR / (P + R) over the multiset of words (or characters, by the rule) that both share.

    0 without common units; two empty answers give 1 if the rule scores "no answer" and 0 otherwise, as in the official
    scripts.
    """
    how = rule_of(rule)
    ours, theirs = how.units(how.normalize(prediction)), how.units(how.normalize(gold))
    if how.empty and not (ours and theirs):
        return float(ours == theirs)
    same = (Counter(ours) & Counter(theirs)).total()
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


def score(question: Question, prediction: str, *, rule: str) -> tuple[float, float]:
    """(exact, F1), 0 to 1, the best over the gold answers. Raises UsageError if the rule needs one and has none."""
    how = rule_of(rule)
    gold = [answer.text for answer in question.answers if not how.empty or how.normalize(answer.text)]
    if not gold and not how.empty:
        raise UsageError(f"question {question.id} has no answer, which {rule} cannot score; use {WITH_EMPTY[rule]}")
    gold = list(dict.fromkeys(gold)) or [""]
    return max(exact(prediction, one, rule=rule) for one in gold), max(f1(prediction, one, rule=rule) for one in gold)


def judged(questions: Sequence[Question], rule: str) -> None:
    """Raise UsageError if the rule cannot score the questions."""
    unanswered = next((one for one in questions if not one.answers and not one.hidden), None)
    if unanswered and not RULES[rule].empty:
        raise UsageError(
            f"question {unanswered.id} has no answer, which {rule} cannot judge: take ", arg("rule", WITH_EMPTY[rule])
        )
