"""Any other model: entries deleted or replaced, a Python file beside the weights, and both loaded again."""

import sys
from pathlib import Path
from runpy import run_path

import pytest
import torch
from torch import Tensor, nn
from towers import WIDTH, Add, Attributes, Stack, linear, rows, tower

import reslab
from reslab.errors import ReslabError, UsageError
from reslab.look import intervene, silence
from reslab.slim.cutting.removal import cut
from reslab.slim.finding import find_blocks

OWN = """
from torch import nn
from parts import Add

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.flat, self.stem = nn.Flatten(), nn.Linear(12, 4)
        self.blocks = nn.Sequential(*[Add() for _ in range(4)])
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(self.flat(x))))

def make(classes=5):
    return Net(classes)

def pair():
    return Net(5), None
"""
PARTS = """
from torch import nn

class Add(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.f(x).tanh()
"""
SMALL = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def test_a_model_of_a_user_s_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is written builds it with the user's file, also where that imports from its folder."""
    word = f"{file}:make"
    net = reslab.model(word).eval()
    small = cut(net, [1, 2], example=SMALL, word=word)
    assert (small.form, small.difference) == ("file", 0.0)
    saved = small.save(tmp_path / "out" / "small")
    text = (saved.folder / "slimmed.py").read_text()
    assert "import reslab" not in text
    assert "    blocks.1\n    blocks.2\n" in text
    monkeypatch.chdir("/")
    again = run_path(str(saved.folder / "slimmed.py"))["make"]()
    assert len(again.blocks) == 2
    with torch.no_grad():
        assert torch.equal(again(SMALL), small.model(SMALL))
    assert str(tmp_path) not in sys.path
    loaded = reslab.model(f"{saved.folder}/slimmed.py:make")  # reslab's word: to look into it, or train it on
    with torch.no_grad():
        assert torch.equal(loaded(SMALL), small.model(SMALL))


def test_a_function_that_returns_an_example_too(file: Path, tmp_path: Path) -> None:
    net = reslab.model(f"{file}:pair").eval()
    cut(net, "blocks.0", example=SMALL, word=f"{file}:pair").save(tmp_path / "small")
    assert len(run_path(str(tmp_path / "small" / "slimmed.py"))["make"]().blocks) == 3


def test_a_net_that_reslab_built_for_other_classes(file: Path, tmp_path: Path) -> None:
    """A run of FILE.py:make with 7 classes: the function is given them."""
    spec = reslab.nets.spec(f"{file}:make", classes=7, size=2)
    net = reslab.build(spec).eval()
    small = cut(net, [0, 3], example=SMALL)
    assert small.form == "file"
    small.save(tmp_path / "small")
    assert run_path(str(tmp_path / "small" / "slimmed.py"))["make"]().head.out_features == 7


def test_a_model_at_hand_in_memory_alone(tmp_path: Path) -> None:
    """Its weights, and a function that takes the intact model, which only the user can build."""
    net = tower(Add(linear(), nn.Sigmoid()), Add(after=nn.ReLU()), Add(), Add()).eval()
    small = cut(net, [0, 1, 3], example=rows())
    assert small.form == "module"
    assert small.notes[0] == "1.0 keeps shortcut and after"  # the sigmoid: the ReLU of 1.1 then changes nothing
    assert "build the intact one as before and pass it to `make`" in small.notes[-1]
    saved = small.save(tmp_path / "small")
    fresh = tower(Add(linear(), nn.Sigmoid()), Add(after=nn.ReLU()), Add(), Add())
    again = run_path(str(saved.folder / "slimmed.py"))["make"](fresh)
    with torch.no_grad():
        assert torch.equal(again(rows()), small.model(rows()))


def test_double_precision_stays(tmp_path: Path) -> None:
    net, x = tower(Add(), Add()).double().eval(), rows(dtype=torch.float64)
    small = cut(net, 0, example=x)
    small.save(tmp_path / "small")
    again = run_path(str(tmp_path / "small" / "slimmed.py"))["make"](tower(Add(), Add()))
    assert again[0].weight.dtype == torch.float64


class Numbered(nn.Module):
    """A model that reads its layers by number, so that none may be missing; each is told its number."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = Stack(3).layers, nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(3):
            x, _ = self.layers[i](x, torch.ones(1)) if self.layers[i].kind == "full" else (x, None)
        return self.head(x)


@pytest.mark.parametrize(("net", "index", "path"), [(Numbered(), 1, "layers.1"), (Attributes(), 1, "two")])
def test_what_cannot_be_deleted_is_replaced(net: nn.Module, index: int, path: str, tmp_path: Path) -> None:
    net = net.eval()
    small = cut(net, index, example=rows())
    assert small.notes[0] == f"{path} stays as a module that passes its input on"
    saved = small.save(tmp_path / "small")
    blocks = find_blocks(net, rows())
    with torch.no_grad(), intervene(net, blocks.merges, {i: silence() for i in blocks[index].merges}):
        wanted = net(rows())
    again = run_path(str(saved.folder / "slimmed.py"))["make"](type(net)())
    with torch.no_grad():
        assert torch.allclose(again(rows()), wanted, rtol=0, atol=1e-6)


def test_a_part_becomes_zeros(tmp_path: Path) -> None:
    net = Stack(2).eval()
    small = cut(net, ["layers.1", "layers.0.mlp"], example=rows())
    saved = small.save(tmp_path / "small")
    again = run_path(str(saved.folder / "slimmed.py"))["make"](Stack(2))
    assert type(again.layers[0].mlp).__name__ == "Zeros"
    blocks = find_blocks(net, rows())
    with torch.no_grad(), intervene(net, blocks.merges, {i: silence() for i in (1, 2, 3)}):
        wanted = net(rows())
    with torch.no_grad():
        assert torch.allclose(again(rows()), wanted, rtol=0, atol=1e-6)


def test_an_example_that_proves_nothing_is_reported() -> None:
    """With a head of zeros every model has the same scores."""
    net = tower(Add(), Add(), Add()).eval()
    nn.init.zeros_(net[2].weight)
    assert "proves nothing" in cut(net, 1, example=rows()).notes[0]


def test_healed_weights_are_saved_in_the_same_form(tmp_path: Path) -> None:
    small = cut(tower(Add(), Add(), Add()).eval(), 1, example=rows())
    healed = tower(Add(), Add()).eval()
    small.save(tmp_path / "small", model=healed)
    again = run_path(str(tmp_path / "small" / "slimmed.py"))["make"](tower(Add(), Add(), Add()))
    with torch.no_grad():
        assert torch.equal(again(rows()), healed(rows()))


def test_a_file_that_changed_meanwhile_leaves_no_half_folder(file: Path, tmp_path: Path) -> None:
    net = reslab.model(f"{file}:make").eval()
    small = cut(net, 1, example=SMALL, word=f"{file}:make")
    file.write_text(OWN.replace("range(4)", "range(5)"))
    (tmp_path / "out").mkdir()
    with pytest.raises(ReslabError, match="was not saved: what was written cannot be loaded"):
        small.save(tmp_path / "out" / "small")
    assert list((tmp_path / "out").iterdir()) == []


def test_state_that_is_no_tensor(tmp_path: Path) -> None:
    class Odd(nn.Linear):
        def get_extra_state(self) -> object:
            return {"a": 1}

        def set_extra_state(self, state: object) -> None:
            pass

    net = nn.Sequential(Odd(4, 4), nn.Sequential(Add(), Add()), nn.Linear(4, 3)).eval()
    with pytest.raises(ReslabError, match=r"0\._extra_state of Sequential is no plain tensor"):
        cut(net, 0, example=rows()).save(tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


class Reads(nn.Module):
    """Reads a module of each of its three layers before every pass, as models do that keep states in their layers."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Add() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for i in range(3):
            x = self.blocks[i](x + 0 * self.blocks[i].f.weight.sum())
        return x


def test_a_model_that_reads_its_layers_is_refused_without_blaming_the_example() -> None:
    refusal = r"Reads does not run without blocks\.1, only with the blocks disabled: it reads 'f' of them in each pass"
    with pytest.raises(UsageError, match=refusal):
        cut(Reads().eval(), [1], example=rows())
