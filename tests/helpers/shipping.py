"""Tiny readers and tables, trained in seconds, and their export without the proof, which has tests of its own."""

import csv
import json
from pathlib import Path
from typing import Any

from rows import flats

from reslab.ship.folder import seal, write_config
from reslab.ship.record import Config

PLACES = {"Ada": "Paris", "Bob": "London", "Cleo": "Rome", "Dan": "Oslo", "Eve": "Lima", "Finn": "Cairo"}
SIZES = {"width": 8, "inner": 8, "depth": 2, "embedding": 4, "bins": 4}


def ship(subject: Any, engine: Any, folder: Path) -> Path:
    """The exported folder of what a family brings to an export."""
    from reslab.ship.export.convert import convert

    folder.mkdir()
    files, graphs = [], subject.graphs()
    for which, graph in enumerate(graphs):
        name = "model" if len(graphs) == 1 else f"s{which}/model"
        (folder / name).parent.mkdir(exist_ok=True)
        file, inputs, outputs = convert(graph, engine, folder, name)
        files.append((Path(name).parent / Path(file).name).as_posix())
    subject.beside(folder)
    write_config(folder, Config(
        kind=subject.kind, engine=engine, precision="fp32", name=subject.name, word=subject.word, files=tuple(files),
        inputs=inputs, outputs=outputs, license="none", about=subject.about(),
    ))  # fmt: skip
    seal(folder)
    return folder


def facts(path: Path, *, unanswerable: bool) -> Path:
    """Six articles of one context, each with the questions "where" and "when", and maybe one without an answer."""
    articles = []
    for n, (name, place) in enumerate(PLACES.items()):
        context = f"{name} was born in {place} in 18{n}7. Later {name} went away."
        asked = {"Where": place, "When": f"18{n}7"}
        found: list[dict[str, Any]] = [
            {"id": f"{name} {word}", "question": f"{word} was {name} born?",
             "answers": [{"text": text, "answer_start": context.index(text)}]} for word, text in asked.items()
        ]  # fmt: skip
        if unanswerable:
            found.append({"id": f"{name} why", "question": f"Why did {name} sing?", "answers": [],
                          "is_impossible": True})  # fmt: skip
        articles.append({"title": name, "paragraphs": [{"context": context, "qas": found}]})
    path.write_text(json.dumps({"data": articles}))
    return path


def reader(folder: Path, *, head: Any = "sds", answerable: bool = True, iterations: int = 12) -> Path:
    """The run folder of a reader with an encoder of our own, in `folder`/reader."""
    from reslab.qa.folder import Reading, load, prepare, small
    from reslab.qa.net.net import QASpec
    from reslab.qa.train import train
    from reslab.train.recipe import Recipe

    word = str(facts(folder / "facts.json", unanswerable=answerable))
    recipe = Recipe(iterations=iterations, batch=4, optimizer="adamw", lr=3e-3, schedule="linear", decay_all=False,
                    precision="fp32", compile="off", threads=1, checkpoint_seconds=1e9)  # fmt: skip
    how, data = load(word, Reading(rule="squad2" if answerable else "", stride=8, share=0.2))
    encoder, tokenizer = small(data, vocabulary=300, hidden=16, layers=1, heads=2, length=48)
    spec = QASpec(name="tiny", encoder=encoder, head=head, layers=None if head == "linear" else 1, length=48,
                  answerable=answerable)  # fmt: skip
    prepare(folder / "reader", spec=spec, tokenizer=tokenizer, data=data, word=word, reading=how, recipe=recipe)
    train(folder / "reader", device="cpu")
    return folder / "reader"


def table(folder: Path, *, members: int = 2) -> Path:
    """The run folder of an ensemble that predicts whether a flat is large, in `folder`/table; flats.csv beside it."""
    from reslab.tables.members import prepare_members, train_members
    from reslab.tables.reading import Reading
    from reslab.tables.train import load
    from reslab.train.recipe import Recipe

    columns = {**flats(), "large": ["yes" if size > 50 else "no" for size in flats()["size"]]}
    path = folder / "flats.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    recipe = Recipe(iterations=40, batch=16, optimizer="adamw", lr=1e-2, schedule="cosine", decay_all=False,
                    validation=0.2, evaluate_every=0.5, early_stop=50, precision="fp32", compile="off", threads=1,
                    checkpoint_seconds=1e9)  # fmt: skip
    reading = Reading(target=("large",), sizes=SIZES)
    data = load(str(path), reading, recipe)
    prepare_members(folder / "table", members=members, word=str(path), reading=reading, data=data, preset="gated",
                    recipe=recipe)  # fmt: skip
    train_members(folder / "table", data=data, device="cpu")
    return folder / "table"
