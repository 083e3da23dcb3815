"""The server's page in a browser, by clicks and real uploads: images and blocks; stand_in.py says what is right."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("uvicorn")
from stand_in import MODELS, RED, StandIn, quiet, serving

pytestmark = pytest.mark.browser
Serve = Callable[..., StandIn]
Tab = Callable[..., Any]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Of one color each: red 200 of 256, green 128 of 160, blue 3 of 4."""
    found = [tmp_path / name for name in ("<img src=x onerror=alert(1)>.png", "b.png", "c.bmp")]
    for path, color in zip(found, [(200, 40, 16), (16, 128, 16), (0, 60, 180)], strict=True):
        Image.new("RGB", (32, 32), color).save(path)
    return found


def answered(page: Any, n: int) -> Any:
    """The cards, once n images are answered."""
    page.locator("#status", has_text=f"{n} image{'s' * (n != 1)} answered").wait_for()
    return page.locator("#pictures .picture")


def bars(card: Any) -> list[str]:
    return plain(card.locator(".bars li"))


def plain(found: Any) -> list[str]:
    """The texts, with ordinary spaces."""
    return [" ".join(text.split()) for text in found.all_inner_texts()]


def test_several_images_and_a_broken_one_beside(serve: Serve, tab: Tab, tmp_path: Path, pictures: list[Path]) -> None:
    server, one = serve("fixed"), tab()
    page = one.visit(server.home)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files([*pictures, tmp_path / "broken.jpg"])
    cards = answered(page, 3)
    assert cards.locator(".class").all_inner_texts() == ["red", "green", "blue"]
    assert bars(cards.nth(0)) == ["red 78.1 %", "green 15.6 %", "blue 6.3 %"]
    assert bars(cards.nth(2)) == ["blue 75.0 %", "green 25.0 %", "red 0.0 %"]
    assert cards.nth(3).locator(".reason").inner_text() == "this is no image"
    assert page.locator("#pictures-count").inner_text() == "4 images, 1 of them not readable"
    assert cards.nth(0).locator(".file").inner_text() == pictures[0].name
    widths = "bars => bars.map(bar => Math.round(100 * bar.clientWidth / bar.parentElement.clientWidth))"
    assert cards.nth(0).locator(".fill").evaluate_all(widths) == [78, 16, 6]
    page.get_by_role("button", name="Remove broken.jpg").click()
    assert cards.count() == 3
    page.get_by_role("button", name="Remove all images").click()
    assert cards.count() == 0
    assert (page.title(), one.noise) == ("fixed – reslab serve", [])


ARRIVE = """async ([how, color]) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const draw = canvas.getContext("2d");
    draw.fillStyle = color;
    draw.fillRect(0, 0, 8, 8);
    const data = new DataTransfer();
    data.items.add(new File([await new Promise(done => canvas.toBlob(done))], "image.png", { type: "image/png" }));
    const zone = document.getElementById(how === "drop" ? "drop" : "title");
    if (how === "paste") zone.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
    else for (const kind of ["dragover", "drop"])
        zone.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_images_are_dropped_and_pasted(serve: Serve, tab: Tab) -> None:
    """Two files of one name, as pasted ones are, are told apart."""
    server, one = serve("fixed"), tab()
    page = one.visit(server.home)
    page.locator("#drop").wait_for()
    for how, color in (("drop", "rgb(0, 200, 0)"), ("paste", "rgb(0, 0, 200)"), ("drop beside", "rgb(200, 0, 0)")):
        page.evaluate(ARRIVE, [how, color])
    assert answered(page, 3).locator(".class").all_inner_texts() == ["green", "blue", "red"]
    assert one.noise == []


FOLDER = """async () => {
    const file = name => ({ isFile: true, name, file: done => done(name) });
    const folder = (name, ...inside) => ({ isFile: false, name, createReader: () => {
        const parts = [inside.slice(0, 2), inside.slice(2), []]; // as a browser lists a folder
        return { readEntries: done => done(parts.shift()) };
    } });
    const { within } = await import("./drop.js");
    return within(folder("a", file("1"), folder("b", file("2"), file(".hidden")), file("3"), folder("c"), file("4")));
}"""


def test_a_dropped_folder_gives_all_its_files(serve: Serve, tab: Tab) -> None:
    page = tab().visit(serve("fixed").home)
    assert page.evaluate(FOLDER) == ["1", "2", "3", "4"]


def test_a_block_is_disabled_live(serve: Serve, tab: Tab, pictures: list[Path]) -> None:
    """Without nine tenths of red, 200 : 40 : 16 is 20 : 40 : 16: red falls from 78.1 to 26.3 %, green has 52.6 %."""
    server, one = serve("colors"), tab()
    page = one.visit(server.home)
    page.locator("#files").set_input_files(pictures[:2])
    cards = answered(page, 2)
    switch = page.get_by_role("switch", name=f"block {RED}")
    assert page.locator(".switch.kept").all_inner_texts() == ["0"]  # stages.1.0 is not removable
    assert page.locator(".where").all_inner_texts() == ["stages.0", "stages.1"]
    switch.focus()
    page.keyboard.press("Space")
    page.locator("#status", has_text="2 images answered with 1 block disabled").wait_for()
    assert server.posts[-1]["disable"] == [RED]
    assert bars(cards.nth(0)) == ["green 52.6 % +37.0", "red 26.3 % −51.8", "blue 21.1 % +14.8"]
    assert plain(cards.locator(".was")) == ["answer changed; intact: red 78.1 %", "same answer; intact: green 80.0 %"]
    assert page.locator("#blocks-count").inner_text() == "1 of 4 blocks disabled"
    asked = len(server.posts)
    page.get_by_role("button", name="All on").click()
    assert switch.is_checked()
    assert bars(cards.nth(0)) == ["red 78.1 %", "green 15.6 %", "blue 6.3 %"]
    switch.click()
    assert bars(cards.nth(0))[0] == "green 52.6 % +37.0"
    assert len(server.posts) == asked  # the answers of both settings are at hand
    page.locator("#files").set_input_files(pictures[2:])
    answered(page, 3)
    assert [post["disable"] for post in server.posts[asked:]] == [[], [RED]]  # a new image: intact first
    assert one.noise == []


def test_several_labels_an_image(serve: Serve, tab: Tab, tmp_path: Path) -> None:
    for name, color in (("two.png", (100, 100, 0)), ("none.png", (80, 80, 80))):
        Image.new("RGB", (8, 8), color).save(tmp_path / name)
    page = tab().visit(serve("tags").home)
    page.locator("#files").set_input_files([tmp_path / "two.png", tmp_path / "none.png"])
    assert answered(page, 2).locator(".class").all_inner_texts() == ["red, green", "no label"]
    assert page.locator(".best .label").all_inner_texts() == ["red", "green"]


def test_many_files_are_sent_a_few_at_a_time_and_a_busy_server_is_waited_for(
    serve: Serve, tab: Tab, pictures: list[Path]
) -> None:
    server, one = serve("fixed", refuse=[(503, "the queue is full")] * 2), tab()
    page = one.visit(server.home)
    many = [Path(shutil.copy(pictures[0], pictures[0].parent / f"{n}.png")) for n in range(19)]
    page.locator("#files").set_input_files(many)
    assert answered(page, 19).count() == 19
    assert [len(post["files"]) for post in server.posts] == [8, 8, 3]
    assert (page.locator("#problem").is_visible(), quiet(one)) == (False, [])


@pytest.mark.slow
def test_stop_sends_no_more(serve: Serve, tab: Tab, pictures: list[Path]) -> None:
    server = serve("fixed", wait=0.5)
    page = tab().visit(server.home)
    many = [Path(shutil.copy(pictures[0], pictures[0].parent / f"{n}.png")) for n in range(12)]
    page.locator("#files").set_input_files(many)
    page.get_by_role("button", name="Stop").click()
    assert page.locator(".reason").all_inner_texts() == ["Not sent: stopped."] * 12
    server.wait = 0
    page.locator("#files").set_input_files(pictures[1])
    assert page.locator(".class").inner_text() == "green"


def test_one_file_that_is_too_large_does_not_spoil_the_others(serve: Serve, tab: Tab, pictures: list[Path]) -> None:
    server = serve("fixed", limit=2000)
    page = tab().visit(server.home)
    page.locator("#files").set_input_files(pictures)  # the BMP has 3,126 bytes
    assert answered(page, 2).locator(".class").all_inner_texts() == ["red", "green"]
    assert page.locator(".reason").all_inner_texts() == ["the request is larger than allowed"]


@pytest.mark.slow
def test_another_model_answers_for_the_same_images(serve: Serve, tab: Tab, pictures: list[Path]) -> None:
    server = serve(*MODELS)
    page = tab().visit(server.home, "#tags")
    assert page.get_by_label("Model").input_value() == "tags"
    page.locator("#files").set_input_files(pictures[0])
    answered(page, 1)
    page.get_by_label("Model").select_option("colors")
    page.locator("#blocks").wait_for()
    assert answered(page, 1).count() == 1
    page.get_by_label("Model").select_option("reader")
    page.get_by_label("Question").wait_for()
    assert not page.locator("#images").is_visible()
    assert [len(post["files"]) for post in server.posts] == [1, 1]


@pytest.mark.slow
def test_answers_of_a_new_version_replace_all_of_the_old(serve: Serve, tab: Tab, pictures: list[Path]) -> None:
    server = serve("colors")
    page = tab().visit(server.home)
    page.locator("#files").set_input_files(pictures[0])
    answered(page, 1)
    server.version = "v2"
    page.locator("#files").set_input_files(pictures[1])
    assert answered(page, 2).locator(".class").all_inner_texts() == ["red", "green"]
    assert "v2" in page.locator("#facts").inner_text()
    assert server.posts[-1]["files"] == [path.name for path in pictures[:2]]


def test_a_token_is_asked_for(serve: Serve, tab: Tab, pictures: list[Path]) -> None:
    server, one = serve("fixed", token="open sesame"), tab()
    page = one.visit(server.home)
    field = page.get_by_label("This server needs a token")
    field.fill("open barley")
    field.press("Enter")
    page.get_by_text("The token was not accepted").wait_for()
    field.fill("open sesame")
    page.get_by_role("button", name="Use it").click()
    page.locator("#files").set_input_files(pictures[0])
    answered(page, 1)
    assert not field.is_visible()
    server.token = "another"
    page.locator("#files").set_input_files(pictures[1])
    field.fill("another")
    field.press("Enter")
    answered(page, 2)
    assert quiet(one) == []


@pytest.mark.slow
def test_the_page_outlives_its_server(tab: Tab, pictures: list[Path]) -> None:
    with serving(StandIn(["fixed"])) as server:
        page = tab().visit(server.home)
        page.locator("#drop").wait_for()
    page.locator("#files").set_input_files(pictures[0])
    page.get_by_text("The server does not answer. Is it still running?").wait_for()
    with serving(StandIn(["fixed"]), port=int(server.home.rsplit(":")[-1].strip("/"))):
        page.get_by_role("button", name="Try again").click()
        answered(page, 1)
        assert not page.locator("#problem").is_visible()


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.slow), 390])
def test_nothing_is_wider_than_the_window(serve: Serve, tab: Tab, width: int, tmp_path: Path) -> None:
    long = io.BytesIO()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(long, "PNG")
    name = "a name without any space " + "x" * 200 + ".png"
    one = tab(viewport={"width": width, "height": 800})
    page = one.visit(serve("colors", "reader").home)
    page.locator("#files").set_input_files([{"name": name, "mimeType": "image/png", "buffer": long.getvalue()}])
    answered(page, 1)
    page.get_by_role("switch", name=f"block {RED}").click()
    page.locator(".bars.compared").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert one.noise == []
