"""Frozen vectors of texts: by hand, each text once, the same in any batch; the encoder's folder is needed and known."""

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reslab.errors import ReslabError, UsageError
from reslab.qa.net.pretrained import pretrained
from reslab.run import Run
from reslab.tables import ResidualClassifier, load, vectors
from reslab.tables.data.frame import read_frame
from reslab.tables.train import train
from reslab.tables.vectors import Encoder, Reader, reader
from reslab.train.signals import Interrupted

pytest.importorskip("transformers")
SMALL = {"width": 8, "inner": 8, "depth": 2, "embedding": 4, "bins": 4}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _none_open() -> Iterator[None]:
    reader.cache_clear()
    yield
    reader.cache_clear()


@pytest.fixture(autouse=True)
def _fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "native_bf16", lambda device: False)


def test_a_vector_by_hand(bert: tuple[Path, Any]) -> None:
    """The mean over the text's tokens, special ones too, of length 1; missing texts are NaN, and padding is nothing."""
    folder, tokenizer = bert
    read = Reader(str(folder), CPU)
    texts = ["Ada was born in Paris", None, "Ada", "Ada was born in Paris"]
    found = read.vectors(texts)
    assert (found.shape, found.dtype) == ((4, 16), np.float32)
    assert np.isnan(found[1]).all()
    net = pretrained(folder).eval()
    for row in (0, 2, 3):
        ids = torch.tensor([tokenizer(texts[row])["input_ids"]])
        with torch.no_grad():
            mean = net(ids)[0].mean(dim=0)
        assert found[row] == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_each_text_is_read_once(bert: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "TOKENS", {"cpu": 12})
    monkeypatch.setattr(vectors, "REMEMBERED", 3)
    read, seen = Reader(str(bert[0]), CPU), []
    plain = read.batch
    monkeypatch.setattr(read, "batch", lambda ids: seen.append(ids) or plain(ids))
    told: list[tuple[int, int]] = []
    texts = ["Ada", "Bob was born in London", "Ada", "Cleo", None, "Bob was born"]
    first = read.vectors(texts, lambda done, total, note="": told.append((done, total)))
    lengths = [len(one) for batch in seen for one in batch]
    assert len(lengths) == 4
    assert lengths == sorted(lengths, reverse=True)  # like beside like
    assert all(len(batch) * len(batch[0]) <= 12 for batch in seen if len(batch) > 1)
    assert told[-1] == (4, 4)
    assert list(read.known) == ["Bob was born in London", "Cleo", "Bob was born"]
    seen.clear()
    assert read.vectors(texts[::-1])[::-1] == pytest.approx(first, abs=1e-6, nan_ok=True)
    assert [len(batch) for batch in seen] == [1]  # "Ada" had been forgotten


def test_long_texts_are_cut(bert: tuple[Path, Any]) -> None:
    """This BERT has 64 positions."""
    read = Reader(str(bert[0]), CPU)
    assert read.length == 64
    words = "Ada was born in Paris " * 40
    assert len(read.tokens([words])[0]) == 64
    assert np.array_equal(*read.vectors([words, words + "in 1807"]))


def test_columns_of_texts_get_vectors_beside_their_bags(bert: tuple[Path, Any], flats: Any) -> None:
    frame = read_frame(flats)
    plain, both = Encoder.fit(frame), Encoder.fit(frame, text=bert[0])
    assert both.texts is not None
    assert (both.texts.columns, both.texts.width) == (("says",), 16)
    table, without = both.transform(frame), plain.transform(frame)
    assert table.sizes["vectors"] == (16,)
    assert table.sizes["columns"] == (*without.sizes["columns"], "says: vector")
    assert table.owners[-1] == "says"
    assert without.vectors is None
    assert table.vectors is not None
    assert torch.isnan(table.vectors[7]).all()  # the one flat of which nothing is said
    assert table.vectors.norm(dim=1).nan_to_num(1) == pytest.approx(torch.ones(60), abs=1e-5)
    about, arrays = both.to_dict()
    again = Encoder.from_dict(json.loads(json.dumps(about)), arrays)
    assert torch.equal(again.transform(frame).vectors.nan_to_num(0), table.vectors.nan_to_num(0))
    assert both.transform(frame, reading=False).vectors.isnan().all()


def test_an_estimator_with_vectors(bert: tuple[Path, Any], flats: Any, large: Any, tmp_path: Path) -> None:
    found = ResidualClassifier(text=str(bert[0]), sizes=SMALL, recipe={"epochs": 2}, device="cpu", random_state=0,
                               members=1)  # fmt: skip
    known = found.fit(flats, large).predict_proba(flats)
    kept = found.save(tmp_path / "kept")
    data = pickle.dumps(found)
    reader.cache_clear()
    for other in (pickle.loads(data), load(kept, device="cpu")):  # other texts beside them: other last bits
        assert other.predict_proba(flats) == pytest.approx(known, abs=1e-5)
    model = load(kept, device="cpu")
    reader.cache_clear()
    away = shutil.move(bert[0], tmp_path / "away")
    with pytest.raises(UsageError, match=r"bert is missing; restore it there, or write its new .* and remove its key"):
        model.predict(flats)
    about = json.loads((kept / "encoder.json").read_text())
    about["texts"]["folder"] = str(away)
    del about["digest"]  # as the sentence says
    (kept / "encoder.json").write_text(json.dumps(about))
    assert load(kept, device="cpu").predict_proba(flats) == pytest.approx(known, abs=1e-5)
    reader.cache_clear()
    with (Path(away) / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ReslabError, match="holds a different text encoder than the one used in training"):
        load(kept, device="cpu").predict(flats)
    about["texts"] = {"folder": 3}
    (kept / "encoder.json").write_text(json.dumps(about))
    with pytest.raises(ReslabError, match=r"encoder\.json, .* is damaged"):
        load(kept, device="cpu")


def test_a_run_with_vectors_is_resumed_exactly(
    bert: tuple[Path, Any], begin: Callable[..., Run], tmp_path: Path, stopped_after: Any, same_end: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(bert[0].parent)
    whole, broken = (begin(tmp_path / name, reading={"text": "bert"}) for name in ("whole", "broken"))
    assert whole.read_json("data.json")["reading"]["text"] == str(bert[0])
    monkeypatch.chdir(tmp_path.parent)
    result = train(whole.folder, device="cpu")
    assert "says" in {one["column"] for one in result["importance"]["columns"]}
    with stopped_after(5), pytest.raises(Interrupted):
        train(broken.folder, device="cpu")
    reader.cache_clear()
    train(broken.folder, device="cpu")
    same_end(whole, broken)


def test_what_cannot_be_is_said(bert: tuple[Path, Any], flats: Any, tmp_path: Path) -> None:
    frame = read_frame(flats)
    with pytest.raises(UsageError, match="no column holds texts: leave it out"):
        Encoder.fit(frame.without("says"), text=bert[0])
    with pytest.raises(UsageError, match=r"no such folder: .*nowhere"):
        Encoder.fit(frame, text=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReslabError, match="cannot be loaded"):
        Encoder.fit(frame, text=tmp_path / "empty")
