"""Results in a notebook: short texts, tables, frames, figures, a page; merges by module; mean and resample ablation."""

from pathlib import Path

import pytest
import torch
from torch import nn

from reslab import look
from reslab.errors import UsageError


class Blocks(nn.Module):
    """x + W x and a ReLU, three times; the third block's name needs escaping in no table."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)) for _ in range(3))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.f(x)


X, Y = torch.rand(6, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0, 1, 2])
RESULTS = {
    "find": lambda model: look.find(model, X),
    "responses": lambda model: look.responses(model, [(X, Y)]),
    "gradients": lambda model: look.gradients(model, [(X, Y)]),
    "influence": lambda model: look.influence(model, [(X, Y)]),
    "lesions": lambda model: look.lesions(model, [(X, Y)], ks=(), swaps=()),
    "readout": lambda model: look.readout(model, [(X, Y)]),
    "paths": lambda model: look.paths(model, [(X, Y)], sample=2),
}


@pytest.mark.parametrize("verb", RESULTS)
def test_a_result_is_a_short_text_a_table_and_a_figure(verb: str) -> None:
    found = RESULTS[verb](Blocks())
    rows = found.rows()
    lines = repr(found).splitlines()
    assert lines[0].startswith(type(found).__name__ + "(")
    assert len(lines) == len(rows) + 2
    assert all(len(line) < 120 for line in lines)
    html = found._repr_html_()
    assert html.count("<tr>") == len(rows) + 1
    figure = found.plot()
    assert all(len(trace.x) == len(rows) for trace in figure.data)
    for trace in figure.data:
        assert list(trace.y) == [row[trace.name] for row in rows]


def test_numbers_in_the_table_are_the_results() -> None:
    found = RESULTS["lesions"](Blocks())
    assert [row["loss"] for row in found.rows()] == [found.whole["loss"], *(one.values["loss"] for one in found.single)]
    merges = RESULTS["find"](Blocks())
    assert [row["params"] for row in merges.rows()] == [40, 40, 40]  # two matrices of 16 and two biases of 4


def test_a_frame_is_the_same_table() -> None:
    pandas = pytest.importorskip("pandas")
    found = RESULTS["responses"](Blocks())
    pandas.testing.assert_frame_equal(found.frame(), pandas.DataFrame(found.rows()))


def test_long_results_stay_short_and_text_is_escaped() -> None:
    deep = nn.Sequential(*(Block() for _ in range(30)))
    found = look.find(deep, X)
    assert repr(found).splitlines()[-1] == "... 18 more rows; frame() has them all"
    assert len(repr(found)) < 1500
    odd = nn.ModuleDict({"<b>": Block()})
    holder = nn.Module()
    holder.inner = odd
    holder.forward = lambda x: odd["<b>"](x)  # type: ignore[method-assign]
    html = look.find(holder, X)._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_a_model_without_merges_has_a_text_too() -> None:
    found = look.find(nn.Linear(4, 4), X)
    assert repr(found) == "Merges(model=Linear, batch=6): 0 rows"
    assert found._repr_html_().count("<tr>") == 1
    with pytest.raises(UsageError, match="0 rows, so there is nothing to draw"):
        found.plot()


def test_merges_and_edits_by_module() -> None:
    model = nn.Sequential(Block(), Block(), Block()).eval()
    merges = look.find(model, X)
    assert merges["1"].index == merges[1].index == 1
    with look.intervene(model, merges, {"1": look.silence()}), torch.no_grad():
        silent = model(X)
    with torch.no_grad():
        assert torch.equal(silent, model[2](model[0](X)))
    readings = look.read(model, merges, lambda: model(X))
    assert readings.at("2") is readings.at(2) is readings[2]
    assert look.read(model, merges[1:], lambda: model(X)).at(2).out.equal(readings[2].out)
    with pytest.raises(UsageError, match="no values were read at merge 0"):
        look.read(model, merges[1:], lambda: model(X)).at(0)
    with pytest.raises(UsageError, match="no merge is added by a module 'layer1'"):
        merges["layer1"]
    shared = Blocks()
    with pytest.raises(UsageError, match=r"module '.*' adds 3 merges: name one by its index, 0 to 2"):
        look.find(shared, X)[look.find(shared, X)[0].module]


def test_mean_ablation_keeps_what_a_block_adds_to_all() -> None:
    model = nn.Sequential(Block(), Block()).eval()
    merges = look.find(model, X)
    with look.intervene(model, merges, {0: look.mean()}), torch.no_grad():
        found = model(X)
    with torch.no_grad():
        expected = model[1](X + model[0].f(X).mean(0))
    assert torch.allclose(found, expected, atol=1e-6)


def test_resampling_gives_every_sample_the_branch_of_another() -> None:
    model = nn.Sequential(Block()).eval()
    merges = look.find(model, X)
    with torch.no_grad():
        branch = model[0].f(X)
        for seed in range(5):
            with look.intervene(model, merges, {0: look.resample(seed=seed)}):
                found, again = model(X) - X, model(X) - X
            assert torch.equal(found, again)
            taken = torch.cdist(found, branch).argmin(1).tolist()
            assert sorted(taken) == list(range(6))
            assert all(a != b for a, b in enumerate(taken))
        alone = pytest.raises(UsageError, match="needs at least two samples in a batch, got 1")
        with alone, look.intervene(model, merges, {0: look.resample()}):
            model(X[:1])


def test_a_page_from_python(tmp_path: Path) -> None:
    asked: list[str] = []
    found = look.page(Blocks(), [(X, Y)], tmp_path / "look.html", name="three blocks", data="six points",
                      progress=asked.append)  # fmt: skip
    text = found.read_text()
    assert found == tmp_path / "look.html"
    assert asked == ["responses", "gradients", "lesions", "influence", "readout", "paths"]
    assert "three blocks" in text
    assert "six points" in text
    with pytest.raises(UsageError, match=r"no analysis named 'lesion'; .*did you mean 'lesions'"):
        look.page(Blocks(), [(X, Y)], tmp_path / "look.html", verbs=["lesion"])
    (tmp_path / "mine.html").write_text("my own")
    with pytest.raises(UsageError, match=r"mine\.html"):
        look.page(Blocks(), [(X, Y)], tmp_path / "mine.html", verbs=["responses"])
    assert (tmp_path / "mine.html").read_text() == "my own"
