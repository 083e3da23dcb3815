"""Whatever classes, modules, files and folders are called: what is written is Python, and nothing in a name is run."""

import runpy
import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn
from towers import Add, linear, rows, tower

import reslab
from reslab.slim.cutting.forms import at
from reslab.slim.cutting.ownfiles import alone, written
from reslab.slim.cutting.removal import cut

ALONE = """
from torch import nn

class Add(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.f(x).tanh()

def make():
    return nn.Sequential(nn.Linear(4, 4), nn.Sequential(*[Add() for _ in range(3)]), nn.Linear(4, 3))
"""
FOLDERS = ["plain", "two words", 'q"uote', "a'b", "new\nline", "back\\nslash", 'tri"""ple', "\u00fcn\u00ef", "{x}"]


@pytest.mark.parametrize("name", FOLDERS)
def test_the_line_that_loads_it_is_python(name: str, tmp_path: Path) -> None:
    """Also for a model file in such a folder, of which the docstring tells."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "mine.py").write_text(ALONE)
    word = f"{folder / 'mine.py'}:make"
    net = reslab.model(word).eval()
    small = cut(net, [0], example=rows(), word=word)
    saved = small.save(folder / "out")
    again = eval(saved.loads, {"runpy": runpy})
    with torch.no_grad():
        assert torch.equal(again(rows()), small.model(rows()))


@pytest.mark.parametrize(
    "form", ['runpy.run_path("FOLDER/x.py")["make"]()', 'timm.create_model("local-dir:FOLDER", y=1)']
)
def test_a_folder_is_put_into_every_line(form: str) -> None:
    assert at(form, Path("/a b/FOLDER")) == form.replace("FOLDER", "/a b/FOLDER")
    assert at(form, Path('/a"b')) == form.replace('"FOLDER/x.py"', "'/a\"b/x.py'").replace(
        '"local-dir:FOLDER"', "'local-dir:/a\"b'"
    )


def test_nothing_in_the_name_of_a_class_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = '"""\nopen("made", "w").close()\n"""\\'
    kind = type(code, (nn.Sequential,), {})
    net = kind(linear(), nn.Sequential(Add(), Add(), Add()), nn.Linear(4, 3)).eval()
    small = cut(net, [1], example=rows())
    saved = small.save(tmp_path / "small")
    fresh = kind(linear(), nn.Sequential(Add(), Add(), Add()), nn.Linear(4, 3))
    again = runpy.run_path(str(saved.folder / "slimmed.py"))["make"](fresh)
    with torch.no_grad():
        assert torch.equal(again(rows()), small.model(rows()))
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


@pytest.mark.parametrize("names", [["class", "not a name", '")+open("made","w")#', "7"], ["2", "0", "1", "3"]])
def test_blocks_of_any_name(names: list[str], tmp_path: Path) -> None:
    """The third entry of a list may be called "1": what goes is the block of that name."""

    def made() -> nn.Module:
        return tower(*[Add() for _ in names]).eval()

    def renamed(net: nn.Module) -> nn.Module:
        net[1] = nn.Sequential(OrderedDict(zip(names, net[1], strict=True)))  # type: ignore[operator, index]
        return net

    net = renamed(made())
    for gone in range(4):
        small = cut(net, f"1.{names[gone]}", example=rows())
        kept = [block for i, block in enumerate(net[1]) if i != gone]  # type: ignore[index]
        saved = small.save(tmp_path / f"{gone}")
        again = runpy.run_path(str(saved.folder / "slimmed.py"))["make"](renamed(made()))
        with torch.no_grad():
            by_hand = nn.Sequential(net[0], *kept, net[2])(rows())  # type: ignore[index]
            assert torch.equal(again(rows()), by_hand)


@pytest.mark.parametrize("text", [ALONE, f"from parts import *\n{ALONE}"])
def test_what_is_moved_together_stays_together(text: str, tmp_path: Path) -> None:
    """A file that stands alone is copied beside the weights; another is found from the folder that was saved."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "mine.py").write_text(text)
    (old / "parts.py").write_text("")
    word = f"{old / 'mine.py'}:make"
    small = cut(reslab.model(word).eval(), [0], example=rows(), word=word)
    saved = small.save(old / "results" / "out")
    assert (saved.folder / "intact.py").exists() == (text == ALONE)
    shutil.move(old, new)
    again = runpy.run_path(str(new / "results" / "out" / "slimmed.py"))["make"]()
    with torch.no_grad():
        assert torch.equal(again(rows()), small.model(rows()))
    if text == ALONE:  # the folder by itself, too
        shutil.move(new / "results" / "out", tmp_path / "alone")
        shutil.rmtree(new)
        with torch.no_grad():
            assert torch.equal(runpy.run_path(str(tmp_path / "alone" / "slimmed.py"))["make"]()(rows()), again(rows()))


def test_which_files_stand_alone(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    (tmp_path / "parts").mkdir()
    for text, result in {
        "import torch.nn": True, "from torch import nn": True, "import parts.of": False, "from parts import of": False,
        "def f():\n    import parts": False, "open(__file__)": False, "a syntax error": False,
    }.items():  # fmt: skip
        file.write_text(text)
        assert (alone(file) is not None) == result, text


def test_arguments_of_any_name() -> None:
    assert (written({"a": 1}), written({"a b": "c"})) == (", a=1", ", **{'a b': 'c'}")
