"""One line says that the Hugging Face Hub is asked, and only if it is."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reslab.cli import Notes
from reslab.errors import ReslabError, UsageError
from reslab.nets.hub import announce, data_set_in_cache, endpoint, hub_name, loading, location
from reslab.nets.model import ModelSpec
from reslab.nets.pretrained import from_hub


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
    monkeypatch.setattr("reslab.nets.hub.unreachable", lambda url: "")


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


def test_a_hub_that_cannot_be_reached_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries would try for half a minute."""
    hub(monkeypatch)
    monkeypatch.setattr("reslab.nets.hub.unreachable", lambda url: f"no route to {url}")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror")
    said = "could not download gpt2 from the Hugging Face Hub: no route to https://mirror"
    with pytest.raises(ReslabError, match=said), loading("gpt2", "hf:gpt2"):
        raise AssertionError


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


LONG = "a" * 96


@pytest.mark.parametrize("name", ["gpt2", "a/b", "_a/b_", "a-b.c/d_e-f", LONG, f"{LONG}/{LONG}"])
def test_names_that_the_hub_allows(name: str) -> None:
    assert hub_name(name) == location(name) == name
    pytest.importorskip("huggingface_hub.utils").validate_repo_id(name)


@pytest.mark.parametrize(
    "name",
    ["foo--bar", "a..b", "foo-", "foo.", "-foo", "foo-/bar", "x/foo.", "a.git", LONG + "a", f"x/{LONG}aaaa", "a/b/c",
     ""],
)  # fmt: skip
def test_names_that_the_hub_refuses_are_not_asked_for(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is not a name on the Hugging Face Hub; write hf:NAME or hf:OWNER/NAME"):
        hub_name(name)
    if name:  # the empty name is this folder
        with pytest.raises(UsageError, match="no such folder"):
            location(name)


def test_whatever_the_hub_s_library_says_of_a_name_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the model is loaded, too, when the cache is looked up."""

    def refuse(name: str, file: str) -> None:
        raise ValueError(f"Repo id must be otherwise: {name}")

    hub(monkeypatch)
    monkeypatch.setattr(sys.modules["huggingface_hub"], "try_to_load_from_cache", refuse)
    said = r"^hf:gpt2 cannot be loaded: Repo id must be otherwise: gpt2$"
    with pytest.raises(ReslabError, match=said), loading("gpt2", "hf:gpt2"):
        pytest.fail("loaded")


def test_a_mirror_is_asked_instead_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_ENDPOINT, as the Hub's library read it; not the Hub, which may be out of reach."""
    hub(monkeypatch)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert endpoint() == "https://huggingface.co"  # an old library that says nothing
    monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "ENDPOINT", "https://mirror.example", raising=False)
    asked: list[str] = []

    def unreachable(url: str) -> str:
        asked.append(url)
        return "no route"

    monkeypatch.setattr("reslab.nets.pretrained.unreachable", unreachable)
    monkeypatch.setattr("reslab.nets.pretrained.place_of", lambda spec: "owner/name")
    monkeypatch.setattr("reslab.nets.pretrained.in_cache", lambda name: False)
    monkeypatch.setattr("reslab.nets.pretrained.need", lambda *_, **__: sys)
    with pytest.raises(ReslabError, match=r"mirror\.example cannot be reached \(no route\)"):
        from_hub(ModelSpec(name="net", word="hf:owner/name"))
    assert asked == ["https://mirror.example"]
