"""The page in a browser, the real server behind it, and trained nets behind that: it shows what these predict."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import text_models
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import reslab

pytest.importorskip("uvicorn")
from stand_in import quiet

from reslab.ship.serve.servable import Place
from reslab.ship.serve.server import Server, listen
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.workers import build

pytestmark = pytest.mark.browser
GOLDEN = Path(__file__).parents[2] / "golden" / "folders"
BLOCK = "stages.1.0"
COVERED = """(marks, place) => marks.filter(one => one.dataset.answers.split(" ").includes(place))
    .map(one => one.textContent)"""
Start = Callable[..., str]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(folder, token="..."): a server of this folder; its address."""
    stopping: list[Callable[[], None]] = []

    def make(folder: Path, **settings: Any) -> str:
        how = Settings(port=0, threads=1, **settings)
        app, _ = build([Place(name="model", folder=folder)], how)
        server, listening = Server(app, how, signals=False), listen(how)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)

        def stop() -> None:
            server.should_exit = server.force_exit = True
            thread.join(20)

        stopping.append(stop)
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield make
    for stop in stopping:
        stop()


@pytest.fixture
def digits(tmp_path: Path) -> list[Path]:
    """Three handwritten digits as PNG, and a file that is none."""
    found = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(found):
        Image.fromarray((load_digits().images[n] * 15.9375).astype("uint8")).save(path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return [*found, tmp_path / "broken.png"]


def shown(probability: float) -> str:
    return f"{100 * probability:.1f} %" if 0.0005 <= probability < 0.9995 else ""


def bars(where: Any) -> list[list[str]]:
    """Of each bar its texts: label, value, perhaps a change."""
    return [text.replace("\u00a0", " ").split("\n") for text in where.locator(".bars li").all_inner_texts()]


@pytest.mark.slow
def test_digits_are_predicted_and_a_block_disabled(start: Start, tab: Callable[..., Any], digits: list[Path]) -> None:
    """A block whose last norm has weight and bias 0 adds nothing: it is disabled."""
    folder = GOLDEN / "images-finished"
    one = tab()
    page = one.visit(start(folder))
    page.locator("#files").set_input_files(digits)
    page.locator("#status", has_text="3 images answered; 1 not readable").wait_for()
    cards = page.locator(".picture")
    net: Any = reslab.load(folder)
    intact = net.predict(digits[:3])
    assert cards.locator(".class").all_inner_texts() == [each.class_name for each in intact]
    assert [bars(cards.nth(n))[0][1] for n in range(3)] == [shown(each.probability) for each in intact]
    assert "PNG" in cards.nth(3).locator(".reason").inner_text()

    norm = [m for m in net.get_submodule(BLOCK).branch.modules() if isinstance(m, nn.BatchNorm2d)][-1]
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)
    page.get_by_role("switch", name=f"block {BLOCK}").click()
    page.locator("#status", has_text="with 1 block disabled").wait_for()
    for n, (before, after) in enumerate(zip(intact, net.predict(digits[:3]), strict=True)):
        for [label, value, change], (name, probability) in zip(bars(cards.nth(n)), after.top(5), strict=True):
            assert (label, value) == (name, shown(probability) or value)
            difference = 100 * (probability - before.probabilities[name])
            assert abs(float(change.replace("−", "-").replace("±", "")) - difference) < 0.051
    assert quiet(one) == one.noise == []


@pytest.mark.slow
def test_a_question_is_answered_where_the_reader_finds_it(
    start: Start, tab: Callable[..., Any], tmp_path: Path, facts: Path
) -> None:
    folder = text_models.trained(tmp_path / "reader", facts)
    one = tab()
    page = one.visit(start(folder))
    texts = ["Ada was born in Rome in 1807. 😀 Later Ada went away.", "Bob was born in Oslo in 1817."]
    page.get_by_label("Question").fill("Where was Ada born?")
    page.get_by_label("Text", exact=True).fill("\n\n".join(texts))
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("#answer").wait_for()
    reader: Any = reslab.qa.load(folder)
    found = reader.ask("Where was Ada born?", texts, top=5)
    assert page.locator("#answers .label").all_inner_texts() == [each.text or "no answer" for each in found]
    assert page.locator("#read p").all_text_contents() == texts
    for place, each in enumerate(found):
        assert "".join(page.locator("mark").evaluate_all(COVERED, str(place))) == each.text
    assert one.noise == []


def test_a_row_is_predicted_as_by_the_model(start: Start, tab: Callable[..., Any]) -> None:
    folder = GOLDEN / "tables-finished"
    one = tab()
    page = one.visit(start(folder, token="open-sesame"))
    page.get_by_label("This server needs a token").fill("open-sesame")
    page.get_by_role("button", name="Use it").click()
    page.get_by_label("area", exact=True).wait_for()
    page.get_by_role("button", name="Fill with an example").click()
    listed = page.get_by_label("listed", exact=True)
    assert re.fullmatch(r"202\d-\d\d-\d\d", listed.input_value())
    listed.fill("2024-05-29")
    model: Any = reslab.tables.load(folder)
    entered = {name: page.get_by_label(name, exact=True).input_value() for name in model.columns}
    page.get_by_role("button", name="Predict").click()
    page.locator("#predicted").wait_for()
    row = {name: [value or None] for name, value in entered.items()}
    assert page.locator("#predicted-text").inner_text() == str(model.predict(row)[0])
    assert bars(page.locator("#predicted"))[0][1] == shown(model.predict_proba(row)[0].max())
    assert quiet(one) == []


@pytest.mark.slow
def test_the_real_api_is_described(start: Start, tab: Callable[..., Any]) -> None:
    one = tab(viewport={"width": 390, "height": 800})
    page = one.visit(start(GOLDEN / "images-finished"), "docs")
    page.locator(".operation").first.wait_for()
    heads = page.locator("h3").all_inner_texts()
    assert {"GET /api/models", "POST /api/models/{name}/images", "GET /metrics"} <= set(heads)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert one.noise == []
