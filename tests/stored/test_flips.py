"""One flipped bit in any binary file of a run, finished or stopped: no load gives other numbers without a word."""

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from quick import QUICK as IMAGES
from safetensors.torch import load as load_tensors

from reslab import nets
from reslab.errors import ReslabError
from reslab.images.data import load as load_images
from reslab.images.train import prepare as prepare_images
from reslab.images.train import train as train_images
from reslab.nets.checkpoints import read_state
from reslab.qa import folder as qa_folder
from reslab.qa import reader
from reslab.qa.net.net import QASpec
from reslab.qa.train import train as train_questions
from reslab.run import Run
from reslab.tables import model as tables_model
from reslab.tables import train as tables_train
from reslab.train.checkpoint import LAST, PREVIOUS, read_checkpoint, read_last
from reslab.train.recipe import change
from reslab.train.signals import Interrupted
from reslab.train.start import start_of

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
QUICK = change(IMAGES, iterations=4)
TEXT = replace(QUICK, memory_format="auto", workers=2, batch=4)
DIGEST = "is damaged: its content does not match its digest"


def images(folder: Path) -> Callable[[], Any]:
    digits = load_images("digits")
    prepare_images(folder, net=nets.spec("resnet8"), data=digits, word="digits", recipe=QUICK)
    return lambda: train_images(folder, data=digits, device="cpu")


def table(folder: Path) -> Callable[[], Any]:
    word, reading = str(EXAMPLES / "rooms.csv"), tables_train.Reading(target=("let",), sizes={"width": 8})
    data = tables_train.load(word, reading, TEXT)
    tables_train.prepare(folder, word=word, reading=reading, data=data, preset="gated", recipe=TEXT)
    return lambda: tables_train.train(folder, data=data, device="cpu")


def questions(folder: Path) -> Callable[[], Any]:
    word = str(EXAMPLES / "questions.json")
    reading, data = qa_folder.load(word, qa_folder.Reading(rule="", stride=8, share=0.2))
    encoder, tokenizer = qa_folder.small(data, vocabulary=300, length=48, hidden=16, layers=1, heads=2)
    spec = QASpec(name="net", encoder=encoder, head="tokens", layers=1, length=48)
    qa_folder.prepare(folder, spec=spec, tokenizer=tokenizer, data=data, word=word, reading=reading, recipe=TEXT)
    return lambda: train_questions(folder, data=data, device="cpu")


FAMILIES: dict[str, tuple[Callable[[Path], Callable[[], Any]], Callable[[Path], Any]]] = {
    "images": (images, nets.load),
    "table": (table, tables_model.load),
    "questions": (questions, reader.load),
}


def flipped(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def flips(file: Path, load: Callable[[], Any], n: int, chance: random.Random) -> tuple[int, int]:
    """(loads that raised the sentence of damage, loads that went through) with one bit flipped, n times."""
    whole, found, silent = file.read_bytes(), 0, 0
    for _ in range(n):
        flipped(file, chance.randrange(8 * len(whole)))
        try:
            load()
            silent += 1
        except ReslabError as error:
            found += file.name in str(error) and "damaged" in str(error)
        file.write_bytes(whole)
    load()  # it is as it was
    return found, silent


def check(family: str, n: int, folder: Path, stopped_after: Any) -> None:
    make, load = FAMILIES[family]
    chance = random.Random(0)
    go_on = make(folder)
    with stopped_after(2), pytest.raises(Interrupted):
        go_on()
    run = Run(folder)
    run.path(PREVIOUS).rename(folder / "aside")
    assert flips(run.path(LAST), lambda: read_last(run), n, chance) == (n, 0)
    (folder / "aside").rename(run.path(PREVIOUS))
    go_on()
    binary = [path for path in sorted(folder.rglob("*")) if path.suffix in (".safetensors", ".pt", ".npz", ".npy")]
    names = {path.name for path in binary}
    assert names == {"last.pt", "weights.safetensors"} | ({"encoder.safetensors"} if family == "table" else set())
    for path in binary:
        again = (lambda: read_last(run)) if path.name == LAST else (lambda: load(folder))
        assert flips(path, again, n, chance) == (n, 0), path


@pytest.mark.parametrize("family", ["images", "table"])
def test_fifteen_flips(family: str, tmp_path: Path, stopped_after: Any) -> None:
    check(family, 15, tmp_path / "run", stopped_after)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_five_hundred_flips(family: str, tmp_path: Path, stopped_after: Any) -> None:
    check(family, 500, tmp_path / "run", stopped_after)


def test_the_checkpoint_before_is_used(tmp_path: Path, stopped_after: Any) -> None:
    """Saved at iterations 0, 2 and 3; the third is damaged, so the second is resumed, to the same end."""
    ends = []
    for name in ("whole", "broken"):
        run = Run(tmp_path / name)
        go_on = images(run.folder)
        for k in (2, 3) if name == "broken" else ():
            with stopped_after(k), pytest.raises(Interrupted):
                go_on()
        if name == "broken":
            assert torch.load(run.path(PREVIOUS), weights_only=True)["iteration"] == 2
            flipped(run.path(LAST), 4000)
            with pytest.warns(UserWarning, match=rf"last\.pt {DIGEST}; resuming from previous\.pt.*at iteration 2$"):
                go_on()
            assert [event["iteration"] for event in run.metrics() if event["event"] == "resume"] == [2, 2]
        else:
            go_on()
        assert not run.has(PREVIOUS)
        ends.append(run.path("weights.safetensors").read_bytes())
    assert ends[0] == ends[1]


def test_both_checkpoints_are_damaged(tmp_path: Path, stopped_after: Any) -> None:
    go_on, run = images(tmp_path / "run"), Run(tmp_path / "run")
    with stopped_after(2), pytest.raises(Interrupted):
        go_on()
    for name in (LAST, PREVIOUS):
        flipped(run.path(name), 4000)
    cure = "restore a copy of it, or delete it and previous.pt to train from the start"
    with pytest.raises(ReslabError, match=rf"last\.pt {DIGEST}; {cure}$"):
        go_on()
    run.path(LAST).unlink()
    with pytest.raises(ReslabError, match=rf"previous\.pt {DIGEST}; restore .*, or delete it to train from the start$"):
        go_on()
    run.path(PREVIOUS).unlink()
    go_on()
    assert run.has("weights.safetensors")


def test_a_lost_checkpoint_is_replaced_by_the_one_before(tmp_path: Path, stopped_after: Any) -> None:
    """Without last.pt the run goes on at iteration 2, not at 0, to the end of a training without a stop."""
    ends = []
    for name in ("whole", "lost"):
        run = Run(tmp_path / name)
        go_on = images(run.folder)
        for k in (2, 3) if name == "lost" else ():
            with stopped_after(k), pytest.raises(Interrupted):
                go_on()
        if name == "lost":
            run.path(LAST).unlink()
            before = read_checkpoint(run, PREVIOUS)["net"]
            torch.testing.assert_close(load_tensors(start_of(run.folder)), dict(before), rtol=0, atol=0)
            with pytest.warns(UserWarning, match=r"last\.pt is missing; resuming from previous\.pt.*at iteration 2$"):
                go_on()
            assert [event["iteration"] for event in run.metrics() if event["event"] == "resume"] == [2, 2]
        else:
            go_on()
        ends.append(run.path("weights.safetensors").read_bytes())
    assert ends[0] == ends[1]


def test_a_checkpoint_of_another_version_is_not_replaced(tmp_path: Path, stopped_after: Any) -> None:
    go_on, run = images(tmp_path / "run"), Run(tmp_path / "run")
    with stopped_after(2), pytest.raises(Interrupted):
        go_on()
    torch.save({"format": 99}, run.path(LAST))
    before = run.path(LAST).read_bytes()
    with pytest.raises(ReslabError, match="is not a checkpoint of this version of reslab"):
        go_on()
    assert run.path(LAST).read_bytes() == before


def test_checkpoints_of_others_match_their_crc(tmp_path: Path) -> None:
    """torch.save stores a CRC-32 for each record, which torch.load does not check; told not to, it stores zeros."""
    weights = {"a": torch.arange(5000.0)}
    torch.save(weights, tmp_path / "net.pt")
    assert read_state(tmp_path / "net.pt")["a"][17] == 17
    content = (tmp_path / "net.pt").read_bytes()
    flipped(tmp_path / "net.pt", 8 * (content.index(torch.arange(5000.0).numpy().tobytes()) + 4 * 17))
    with pytest.raises(ReslabError, match=r"net\.pt is damaged: its content does not match its checksums"):
        read_state(tmp_path / "net.pt")
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(weights, tmp_path / "fast.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_state(tmp_path / "fast.pt")["a"][17] == 17


def test_where_links_are_not_possible_the_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reslab.stored.digest import keep_as

    def link(*_: Any) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr("os.link", link)
    (tmp_path / "last.pt").write_bytes(b"old")
    keep_as(tmp_path / PREVIOUS, tmp_path / "last.pt")
    assert (tmp_path / PREVIOUS).read_bytes() == (tmp_path / "last.pt").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2


def test_json_and_recipes_that_were_changed(tmp_path: Path) -> None:
    """A value that is as good as any is noticed; spaces and the order of keys do not count."""
    run = Run(tmp_path)
    run.write_json("results/eval.json", {"error": 4.25, "n": 360})
    text = run.path("results/eval.json").read_text()
    assert run.read_json("results/eval.json") == {"error": 4.25, "n": 360}
    run.path("results/eval.json").write_text(text.replace("4.25", "4.75"))
    with pytest.raises(ReslabError, match=r"eval\.json was changed after reslab wrote it.*remove the key 'digest'"):
        run.read_json("results/eval.json")
    lines = text.splitlines()
    run.path("results/eval.json").write_text("\n".join([lines[0], f" {lines[2]}", lines[1], *lines[3:]]))
    assert run.read_json("results/eval.json") == {"error": 4.25, "n": 360}
    for k in range(3):
        run.log(event="train", iteration=k, loss=1.25)
    log = run.path("metrics.jsonl")
    log.write_text(log.read_text().replace("1.25", "1.75", 1))
    with pytest.warns(UserWarning, match="line 1 is damaged and skipped .it does not match its digest"):
        assert run.metrics() == [{"event": "train", "iteration": k, "loss": 1.25} for k in (1, 2)]


def test_damaged_weights_are_written_again_from_the_checkpoint(tmp_path: Path) -> None:
    go_on, weights = images(tmp_path / "run"), tmp_path / "run" / "weights.safetensors"
    go_on()
    whole = weights.read_bytes()
    flipped(weights, 8 * len(whole) - 5)
    with pytest.raises(
        ReslabError, match=f"{DIGEST}; restore a copy of it, or delete it and train again with the same"
    ):
        nets.load(tmp_path / "run")
    weights.unlink()
    go_on()
    assert weights.read_bytes() == whole


def test_files_of_older_runs_are_loaded_with_a_note(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "golden" / "folders" / "images-finished", tmp_path / "run")
    with caplog.at_level("INFO", logger="reslab"):
        nets.load(tmp_path / "run")
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'run' / 'weights.safetensors'} has no digest, as files of older versions of reslab: damage may "
        "not be noticed"
    ]


def test_another_tokenizer_in_the_folder_of_a_reader(tmp_path: Path) -> None:
    """The words of two tokens changed places: every text would be read as another one."""
    questions(tmp_path / "run")()
    file = tmp_path / "run" / "tokenizer" / "tokenizer.json"
    content = file.read_text(encoding="utf-8")
    swapped = content.replace('"the":', '"!:"').replace('"a":', '"the":').replace('"!:"', '"a":')
    file.write_text(swapped, encoding="utf-8")
    assert swapped != content
    with pytest.raises(ReslabError, match=rf"tokenizer\.json {DIGEST}; restore a copy of it"):
        reader.load(tmp_path / "run")
