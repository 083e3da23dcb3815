"""An exported reader gives the answers of its run: same texts, positions, scores, probabilities, warnings."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shipping import PLACES

from reslab.errors import ReslabError, ReslabWarning, UsageError
from reslab.qa.reader import Reader
from reslab.qa.reader import load as load_run
from reslab.ship.folder import read_config
from reslab.ship.predict.questions import QuestionPredictor, load

TEXTS = {"a.txt": " ".join(f"{name} was born in {place} in 18{n}7." for n, (name, place) in enumerate(PLACES.items())),
         "b.txt": "Ada sang. " * 30 + "Bob was born in London."}  # fmt: skip
ASKED = ["Where was Ada born?", "When was Finn born?", "Why did Eve sing?"]


@pytest.fixture(scope="module")
def run(tiny_reader: Path) -> Reader:
    return load_run(tiny_reader, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def folder(shipped_reader: Path) -> Path:
    return shipped_reader


@pytest.fixture(scope="module")
def shipped(folder: Path) -> QuestionPredictor:
    return load(folder, read_config(folder), threads=1)


def alike(one: Any, other: Any) -> None:
    """The same answers in the same order; scores to 1e-4, probabilities to 1e-3."""
    assert [(a.text, a.document, a.start, a.end) for a in one] == [(a.text, a.document, a.start, a.end) for a in other]
    assert [a.score for a in one] == pytest.approx([a.score for a in other], abs=1e-4)
    assert [a.probability for a in one] == pytest.approx([a.probability for a in other], abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"top": 20}, {"no_answer": False, "top": 5}, {"max_answer": 2}])
def test_the_answers_of_the_run(options: dict[str, Any], run: Reader, shipped: QuestionPredictor) -> None:
    """Over two texts, one longer than a window, for several questions at once and one by one."""
    for one, other in zip(shipped.ask(ASKED, TEXTS, **options), run.ask(ASKED, TEXTS, **options), strict=True):
        alike(one, other)
    alike(shipped.ask(ASKED[0], TEXTS["a.txt"], **options), run.ask(ASKED[0], TEXTS["a.txt"], **options))


def test_any_number_of_windows_of_any_length(run: Reader, shipped: QuestionPredictor) -> None:
    """One window of ten tokens, two, seven, and many of all lengths."""
    for many in (1, 2, 7, 40):
        texts = [f"{'very ' * (k % 23)}old Ada was born in Paris." for k in range(many)]
        alike(shipped.ask("Where was Ada born?", texts, top=9), run.ask("Where was Ada born?", texts, top=9))


def test_warnings_and_errors_of_the_run(run: Reader, shipped: QuestionPredictor) -> None:
    for model in (run, shipped):
        with pytest.raises(UsageError, match="the question is empty"):
            model.ask(" ", "Ada was born in Paris.")
        with pytest.raises(UsageError, match="top must be from 1 to 20, got 0"):
            model.ask("Where?", "Ada was born in Paris.", top=0)
        with pytest.warns(ReslabWarning, match=r"empty contexts left out: 1 \(1\)"):
            model.ask("Where?", ["Ada was born in Paris.", ""])
        with pytest.warns(UserWarning, match=r"question 1: it has \d+ tokens; truncated to the first"):
            model.ask("Where was Ada born? " * 50, "Ada was born in Paris.")


def test_several_threads_may_ask_at_once(folder: Path, tmp_path: Path) -> None:
    """Of a tokenizer that truncates to three tokens, as those of sentence encoders do: the reader turns that off."""
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / "tokenizer" / "tokenizer.json"
    whole = json.loads(path.read_text())
    whole["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(whole))
    (path.parent / "digests.json").unlink()
    model = load(tmp_path / "copy", read_config(folder), threads=1)
    texts = [f"{'very ' * k}old {name} was born in {place}." for k, (name, place) in enumerate(PLACES.items())]
    alone = [model.ask(f"Where was {name} born?", texts, top=3) for name in PLACES]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: model.ask(f"Where was {name} born?", texts, top=3), list(PLACES) * 8))
    for k, one in enumerate(found):
        alike(one, alone[k % len(PLACES)])


def test_a_config_of_another_graph_is_damaged(folder: Path) -> None:
    from dataclasses import replace

    config = read_config(folder)
    with pytest.raises(ReslabError, match="is damaged: a reader's graph takes context, ids, mask and gives span, not"):
        load(folder, replace(config, about={**config.about, "types": False}))
    with pytest.raises(ReslabError, match="is damaged: rule must be one of"):
        load(folder, replace(config, about={**config.about, "rule": "none"}))


def test_another_tokenizer_is_refused(folder: Path) -> None:
    from dataclasses import replace

    config = read_config(folder)
    model = load(folder, replace(config, about={**config.about, "vocabulary": 20}))
    with pytest.raises(ReslabError, match="the encoder has only 20 tokens"):
        model.ask("Where was Ada born?", TEXTS["a.txt"])


@pytest.mark.slow  # test_commands.py does the same on the command line
def test_it_answers_without_torch(folder: Path, shipped: QuestionPredictor) -> None:
    code = """if True:
        import json, sys
        from pathlib import Path
        from reslab.ship.folder import read_config
        from reslab.ship.predict.questions import load
        folder = Path(sys.argv[1])
        found = load(folder, read_config(folder), threads=1).ask(sys.argv[2], sys.argv[3], top=1)[0]
        print(json.dumps([found.text, found.probability, [m for m in ("torch", "transformers") if m in sys.modules]]))
    """
    given = [str(folder), ASKED[0], TEXTS["a.txt"]]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
    text, probability, heavy = json.loads(done.stdout)
    (expected,) = shipped.ask(ASKED[0], TEXTS["a.txt"], top=1)
    assert heavy == []
    assert text == expected.text
    assert probability == pytest.approx(expected.probability, abs=1e-6)


def test_probabilities_sum_to_one(shipped: QuestionPredictor) -> None:
    found = shipped.ask(ASKED[0], "Paris", top=20, no_answer=True)
    assert np.sum([one.probability for one in found]) == pytest.approx(1)
