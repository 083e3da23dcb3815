"""Parts and layers of a decoder in a Python file: its cache still counts the tokens."""

from dataclasses import replace
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import torch
from zoo import LAYERS, ZOO, Case, llama

from reslab.slim.block import Block
from reslab.slim.cutting.cached import compare_cache, in_two_steps
from reslab.slim.cutting.files import express
from reslab.slim.cutting.forms import Given, run
from reslab.slim.surgery import Nothing, bypassed, put

SAME = "generated 8 tokens for each of 2 prompts: the same with the cache as without"


def part(case: Case, name: str, layer: int, returns: str) -> Block:
    return Block(index=0, module=f"{case[2]}.{layer}.{name}", kind="part", container=case[2], merges=(), params=0,
                 macs=0, removable=True, why="", entries=LAYERS, returns=returns)  # fmt: skip


def without(case: Case, block: Block) -> Given:
    with bypassed(case[0], [block]):
        wanted = run(case[0], case[1])
    return Given(model=case[0], removed=(block,), total=LAYERS, example=case[1], wanted=wanted, word="")


def steps(model: Any, example: Any) -> float:
    with torch.no_grad():
        return in_two_steps(model, example) or 0.0


def generated(model: Any, example: dict[str, torch.Tensor], *, use_cache: bool) -> torch.Tensor:
    return model.generate(example["input_ids"], max_new_tokens=6, min_new_tokens=6, do_sample=False, pad_token_id=0,
                          use_cache=use_cache)  # fmt: skip


def test_without_the_first_attention_nothing_else_counts_tokens() -> None:
    """What goes wrong by hand: with zeros in the place of attention 0, new tokens get positions from 0 on again."""
    model, example, path = llama()
    assert steps(model, example) < 1e-5
    put(model, f"{path}.0.self_attn", Nothing("(x, None)"))  # it has no entry to count in
    assert steps(model, example) > 0.1
    put(model, f"{path}.0.self_attn", Nothing("(x, None)", entry=0))
    assert steps(model, example) < 1e-5


@pytest.mark.parametrize(("name", "returns"), [("self_attn", "(x, None)"), ("mlp", "x")])
def test_attention_or_mlp_alone_in_a_file(name: str, returns: str, tmp_path: Path) -> None:
    case = llama()
    made = express(without(case, part(case, name, 0, returns)))
    assert made.form == "file"
    assert not any("use_cache" in note for note in made.notes)
    made.save(made.model, tmp_path / "small")
    again = run_path(str(tmp_path / "small/slimmed.py"))["make"]()
    text = (tmp_path / "small/slimmed.py").read_text()
    assert "reslab" not in text.replace("`reslab slim` wrote both; reslab is not needed", "")
    assert compare_cache(again, case[1]) == SAME
    assert steps(again, case[1]) < 1e-5
    assert torch.equal(generated(again, case[1], use_cache=True), generated(made.model, case[1], use_cache=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GPT-2", "Gemma 2", "Gemma 3", "Qwen3", "OPT"])
def test_the_first_attention_of_every_kind_of_cache(name: str) -> None:
    case = ZOO[name]()
    attention = "attn" if name == "GPT-2" else "self_attn"
    made = express(without(case, part(case, attention, 0, "(x, None)")))
    assert compare_cache(made.model, case[1]) == SAME
    assert steps(made.model, case[1]) < 1e-5


def test_a_whole_layer_that_no_config_leaves_out_stays_as_one_that_passes_its_input_on(tmp_path: Path) -> None:
    case = llama()
    whole = replace(part(case, "self_attn", 0, "x"), module=f"{case[2]}.0", kind="block")
    made = express(without(case, whole))
    assert made.notes[0] == "model.layers.0 stays as a module that passes its input on"
    made.save(made.model, tmp_path / "small")
    assert compare_cache(run_path(str(tmp_path / "small/slimmed.py"))["make"](), case[1]) == SAME
