"""One line says that the Hugging Face Hub is asked, and only if it is."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from reslab.cli import Notes
from reslab.nets.hub import announce, data_set_in_cache, loading


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the command line."""
    log = logging.getLogger("reslab")
    monkeypatch.setattr(log, "handlers", [Notes()])
    monkeypatch.setattr(log, "level", logging.INFO)
    log.manager._clear_cache()


def hub(monkeypatch: pytest.MonkeyPatch, *, offline: bool = False) -> None:
    """A Hub library in whose cache "known" has a tokenizer alone."""
    known = {("known", "tokenizer.json"): "/cache/tokenizer.json"}
    fake = SimpleNamespace(constants=SimpleNamespace(HF_HUB_OFFLINE=offline),
                           try_to_load_from_cache=lambda name, file: known.get((name, file), object()))  # fmt: skip
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)


def test_the_hub_is_announced_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hub(monkeypatch)
    with loading("gpt2", "hf:gpt2"):
        assert capsys.readouterr() == ("", "asking the Hugging Face Hub for gpt2 ...\n")  # before the waiting
    assert capsys.readouterr() == ("", "")


def test_what_is_here_is_not_announced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hub(monkeypatch)
    for name in ("known", str(tmp_path)):
        with loading(name, name):
            pass
    hub(monkeypatch, offline=True)
    with loading("gpt2", "hf:gpt2"):
        pass
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_while_the_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch)
    with pytest.raises(KeyboardInterrupt), loading("gpt2", "hf:gpt2"):
        raise KeyboardInterrupt


def test_a_data_set_in_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    datasets = SimpleNamespace(config=SimpleNamespace(HF_DATASETS_CACHE=tmp_path))
    (tmp_path / "owner___name").mkdir()
    assert data_set_in_cache(datasets, "owner/name")
    assert not data_set_in_cache(datasets, "other/name")
    announce("other/name", here=False)
    assert capsys.readouterr().err == "asking the Hugging Face Hub for other/name ...\n"
