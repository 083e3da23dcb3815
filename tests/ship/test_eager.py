"""The program that torch runs: equal to the module, also in bf16; a stranger's file names no other functions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.ship.engines import engine
from reslab.ship.engines.operators import operator_of
from reslab.ship.export.convert import convert
from reslab.ship.exportable import Graph
from reslab.ship.listed import graph_files
from reslab.ship.record import Config


class Small(nn.Module):
    """Operators of many kinds: in place, with words, of sizes, a tuple's item, a constant, a part kept in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 4)
        self.register_buffer("kept", torch.tensor([1.0, float("inf"), 2.0, 3.0]))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        y = F.gelu(self.norm(self.conv(x)), approximate="tanh").relu_()
        pooled = torch.cat([F.pad(y, (1, 1)).mean(dim=(2, 3)), y.amax(dim=(2, 3))], dim=1).chunk(2, dim=1)[0]
        pooled = pooled * mask[:, None].to(pooled.dtype) + x.shape[0] // 2
        with torch.autocast(x.device.type, enabled=False):
            z = F.linear(pooled.float(), self.last.weight, self.last.bias)
        return z, z.masked_fill(z < 0, float("-inf")).minimum(self.kept)


def made(folder: Path, module: nn.Module, precision: Any = "fp32") -> Config:
    graph = Graph(module=module, example={"x": torch.zeros(2, 3, 6, 5), "mask": torch.ones(2, dtype=torch.bool)},
                  dynamic={"x": {0: "batch", 2: "height", 3: "width"}, "mask": {0: "batch"}},
                  outputs=("z", "cut"))  # fmt: skip
    file, inputs, outputs = convert(graph, "torch", folder, "model")
    return Config(kind="images", engine="torch", precision=precision, name="m", word="m", files=(file,), inputs=inputs,
                  outputs=outputs, license="none")  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Small().eval()
        module.norm.running_mean.uniform_(-1, 1)
    return module


@pytest.fixture(scope="module")
def exported(small: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    folder = tmp_path_factory.mktemp("eager")
    return folder, made(folder, small)


def inputs(n: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(n)
    return {"x": draw.normal(size=(n, 3, 5 + n, 7)).astype(np.float32), "mask": draw.random(n) < 0.5}


@pytest.mark.parametrize("n", [1, 2, 7])
def test_it_computes_what_the_module_does(exported: tuple[Path, Config], small: Small, n: int) -> None:
    given = inputs(n)
    found = engine(*exported).run(given)
    with torch.no_grad():
        wanted = small(*map(torch.from_numpy, given.values()))
    assert list(found) == ["z", "cut"]
    for one, other in zip(found.values(), wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-5, atol=1e-6)


def test_bf16_is_that_of_autocast(exported: tuple[Path, Config], small: Small) -> None:
    """The part that the module keeps in float32 stays so: its scores are no bf16 numbers."""
    folder, config = exported
    given = inputs(4)
    half = engine(folder, Config(**{**vars(config), "precision": "bf16"}))
    found = half.run(given)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = small(*map(torch.from_numpy, given.values()))[0].numpy()
    np.testing.assert_allclose(found["z"], wanted, rtol=0.02, atol=0.02)
    z = torch.from_numpy(found["z"])
    assert not torch.equal(z, z.bfloat16().float())
    kinds = {name: one.dtype for name, one in half.tensors.items()}  # type: ignore[attr-defined]
    assert sorted(map(str, kinds.values())).count("torch.bfloat16") == 2  # weight and bias of the convolution alone


def test_nothing_is_kept_longer_than_it_is_read(exported: tuple[Path, Config]) -> None:
    steps = engine(*exported).steps  # type: ignore[attr-defined]
    gone = [node for step in steps for node in step.last]
    kept = {node for node, step in enumerate(steps) if step.run is not None} - set(gone)
    assert len(gone) == len(set(gone))
    assert len(kept) == 2


def test_the_files_are_json_and_safetensors(exported: tuple[Path, Config], small: Small) -> None:
    folder, _ = exported
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    sizes = sorted(one.numel() for one in load_file(folder / "model.safetensors").values())
    assert sizes == sorted(one.numel() for one in small.state_dict().values() if one.dim())  # not the count of batches
    program = json.loads((folder / "model.json").read_text())
    assert all(node.get("op", "aten.").startswith(("aten.", "operator.")) for node in program["nodes"])


def test_its_weights_must_be_listed(exported: tuple[Path, Config]) -> None:
    assert graph_files(*exported) == {"model.json", "model.safetensors"}


@pytest.mark.parametrize("name", [
    "aten.save.default", "aten.format.default", "aten.from_file.default", "aten.as_strided.default",
    "aten.resize_.default", "aten.set_.source_Tensor", "aten.empty.memory_format", "aten._unsafe_index.Tensor",
    "aten.conv2d.gone", "aten.gone.default", "aten.__class__.__init__", "aten.add.__class__", "torch.load",
    "os.system", "operator.attrgetter", "builtins.eval", "aten.relu.default.__call__", "",
])  # fmt: skip
def test_other_functions_are_refused(name: str) -> None:
    with pytest.raises(ReslabError, match="a stored program may not use"):
        operator_of(name)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda p: p["nodes"][0].update(op="aten.from_file.default"), "may not use 'aten.from_file.default'"),
    (lambda p: p["nodes"][0].update(args=[{"node": 0}]), "a node is given {'node': 0}"),
    (lambda p: p["nodes"][0].update(args=[{"tensor": "none"}]), "a node is given {'tensor': 'none'}"),
    (lambda p: p["nodes"][0].update(args=[{"dtype": "nn"}]), "a node is given {'dtype': 'nn'}"),
    (lambda p: p["nodes"][0].update(args=[{}]), "a node is given {}"),
    (lambda p: p["results"].pop("z"), "it does not give cut, z"),
    (lambda p: p["results"].update(z=1), "it does not give cut, z"),
    (lambda p: p.update(nodes=1), "nodes must be a list"),
    (lambda p: p.update(reslab_program=2), "has format 2: this reslab reads 1"),
])  # fmt: skip
def test_a_program_that_cannot_be(exported: tuple[Path, Config], tmp_path: Path, change: Any, sentence: str) -> None:
    folder, config = exported
    program = json.loads((folder / "model.json").read_text())
    change(program)
    (tmp_path / "model.json").write_text(json.dumps(program))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ReslabError) as error:
        engine(tmp_path, config)
    assert sentence in str(error.value)


def test_a_program_that_fails_is_one_sentence(exported: tuple[Path, Config], tmp_path: Path) -> None:
    folder, config = exported
    program = json.loads((folder / "model.json").read_text())
    program["nodes"][0]["args"] = [{"input": "mask"}]
    (tmp_path / "model.json").write_text(json.dumps(program))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ReslabError, match=r"model\.json cannot be run: "):
        engine(tmp_path, config).run(inputs(2))
    with pytest.raises(UsageError, match="input mask holds 3 examples, and x 2"):
        engine(folder, config).run({"x": inputs(2)["x"], "mask": inputs(3)["mask"]})


class Own(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return x.new_empty(x.shape[0], 4).fill_(0) + mask[:, None], x


def test_a_model_that_needs_another_function_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(ReslabError, match=r"a stored program may not use 'aten.new_empty.default'"):
        made(tmp_path, Own().eval())
