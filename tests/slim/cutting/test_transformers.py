"""Layers of transformers models removed for good: equal outputs, plain reload, the same tokens with the cache."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from zoo import LAYERS, SMALL, ZOO, Case, bart, gpt2, llama, made, qwen3_moe, t5

from reslab.errors import ReslabError, UsageError
from reslab.look.graph.example import scores
from reslab.slim import cut, find_blocks
from reslab.slim.cutting.cached import compare_cache, in_two_steps
from reslab.slim.cutting.configs import Removal, candidates, counts
from reslab.slim.cutting.forms import NotExpressed
from reslab.slim.cutting.saving import line, save
from reslab.slim.cutting.structure import Difference, Lists, differences
from reslab.slim.cutting.transformers import Shortened, host, shortened
from reslab.slim.delivered import copied_texts

FAST = ("BERT", "Gemma 2", "T5 decoder")


class PassOn(nn.Module):
    """Passes its input on, in the form of the layer that it stands for: disabling done by hand."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        out = self.layer(x, *args, **kwargs)
        return (x, *out[1:]) if isinstance(out, tuple) else x

    def __getattr__(self, name: str) -> Any:  # some models read a layer's attention_type
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


def by_hand(case: Case, removed: Sequence[int]) -> torch.Tensor:
    """The outputs of the intact model whose layers were each wrapped to pass their input on."""
    model, example, path = case
    model = copy.deepcopy(model)
    layers = model.get_submodule(path)
    for i in removed:
        layers[i] = PassOn(layers[i])
    with torch.no_grad():
        return scores(model(**example))


def remove(case: Case, *removed: int) -> Shortened:
    model, example, path = case
    return shortened(model, {path: removed}, example=example)


def saved(case: Case, found: Shortened, folder: Path) -> tuple[str, ...]:
    return save(found.model, folder, example=case[1], options=found.options)


def hold(name: str, removed: Sequence[int], folder: Path) -> None:
    """Everything that must be true of a model of the zoo without these layers."""
    case = ZOO[name]()
    model, example, path = case
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = remove(case, *removed)
    assert len(found.model.get_submodule(path)) == LAYERS - len(removed)
    with torch.no_grad():
        outputs = scores(found.model(**example))
    torch.testing.assert_close(outputs, by_hand(case, removed), atol=1e-5, rtol=0)
    notes = saved(case, found, folder)
    # By the library's own class alone, without what `save` looked at.
    again, info = type(model).from_pretrained(folder, output_loading_info=True, **found.options)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        assert torch.equal(scores(again.eval()(**example)), outputs)
    if model.can_generate():
        start = {"decoder_start_token_id": 0} if model.config.is_encoder_decoder else {}
        cached, plain = (again.generate(example["input_ids"], max_new_tokens=6, min_new_tokens=6, do_sample=False,
                                        use_cache=use, pad_token_id=0, **start) for use in (True, False))  # fmt: skip
        assert torch.equal(cached, plain)
        with torch.no_grad():
            assert (in_two_steps(again, example) or 0.0) < 1e-5  # the second half of the text with the first's cache
        assert notes[1] == "generated 8 tokens for each of 2 prompts: the same with the cache as without"
    # The intact model has lost nothing.
    assert len(model.get_submodule(path)) == LAYERS
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", FAST)
def test_two_layers_in_the_middle(name: str, tmp_path: Path) -> None:
    hold(name, (1, 2), tmp_path / "small")


@pytest.mark.slow
@pytest.mark.parametrize("removed", [(0,), (1,), (3,), (1, 2)], ids=str)
@pytest.mark.parametrize("name", sorted(set(ZOO) - {"ModernBERT"}))
def test_first_middle_last_and_two_of_every_model(name: str, removed: tuple[int, ...], tmp_path: Path) -> None:
    hold(name, removed, tmp_path / "small")


def test_deleting_alone_reloads_a_fresh_random_layer(tmp_path: Path) -> None:
    """What goes wrong by hand: the config still counts 4 layers, and a log line is all that tells."""
    model, example, path = llama()
    del model.get_submodule(path)[1]
    with torch.no_grad():
        wanted = model(**example).logits
    model.save_pretrained(tmp_path)
    again, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert all(key.startswith("model.layers.3.") for key in info["missing_keys"])
    assert len(again.model.layers) == 4
    with torch.no_grad():
        assert (again(**example).logits - wanted).abs().max() > 0.01


def test_deleting_with_the_count_alone_breaks_the_cache() -> None:
    """The last layer still writes into the cache's entry 3, and there are three entries."""
    model, example, path = llama()
    del model.get_submodule(path)[1]
    model.config.num_hidden_layers = 3
    with pytest.raises(IndexError):
        model.generate(example["input_ids"], max_new_tokens=4)
    with pytest.raises(ReslabError, match=r"cannot generate with its cache: list index out of range"):
        compare_cache(model, example)


def test_every_index_of_the_layers_that_stay_is_renumbered() -> None:
    found = remove(llama(), 0, 2)
    assert [layer.self_attn.layer_idx for layer in found.model.model.layers] == [0, 1]
    assert found.model.config.num_hidden_layers == 2
    assert all(layer.self_attn.config is found.model.config for layer in found.model.model.layers)
    assert found.changed == ("num_hidden_layers: 4 -> 2",)


def test_experts_in_every_second_layer_become_a_list_of_the_others() -> None:
    """Layers 1 and 3 of 4 have experts; without layer 0 these are 0 and 2, which no period gives."""
    found = remove(qwen3_moe(decoder_sparse_step=2), 0)
    assert found.model.config.decoder_sparse_step == 1
    assert found.model.config.mlp_only_layers == [1]
    assert [type(layer.mlp).__name__ for layer in found.model.model.layers] == [
        "Qwen3MoeSparseMoeBlock", "Qwen3MoeMLP", "Qwen3MoeSparseMoeBlock"]  # fmt: skip


def test_a_list_of_layers_is_renumbered() -> None:
    found = remove(qwen3_moe(mlp_only_layers=[1, 3]), 0, 1)
    assert found.model.config.mlp_only_layers == [1]  # the old layer 3


def test_the_table_of_positions_moves_to_the_layer_that_becomes_the_first() -> None:
    case = t5("encoder")
    table = case[0].encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    found = remove(case, 0, 1)
    first = found.model.encoder.block[0].layer[0].SelfAttention
    assert torch.equal(first.relative_attention_bias.weight, table)
    assert first.has_relative_attention_bias
    assert "moved to the layer that takes its place" in found.notes[0]
    assert found.changed == ("num_layers: 4 -> 2",)


def test_scales_that_follow_from_the_index_are_refused() -> None:
    """GPT-2 can divide each layer's attention by its number: without layer 0, all others would be scaled otherwise."""
    case = gpt2(scale_attn_by_inverse_layer_idx=True)
    remove(case, 3)  # the last: the others keep their numbers
    with pytest.raises(NotExpressed, match=r"GPT2LMHeadModel without transformer.h 0: its outputs would differ by"):
        remove(case, 0)


def test_a_first_layer_that_is_built_differently_is_refused() -> None:
    with pytest.raises(NotExpressed, match=r"model.layers.0.attn_norm would be Identity, not LayerNorm$"):
        remove(ZOO["ModernBERT"](), 0)


def test_an_encoder_shorter_than_its_decoder_says_why_it_cannot_be_saved(tmp_path: Path) -> None:
    """transformers 5 makes T5's cache as long as the encoder: a fault of the library, found by the check."""
    case = t5("encoder")
    with pytest.raises(ReslabError, match=r"keep at least as many layers in the encoder as in the decoder"):
        saved(case, remove(case, 0), tmp_path / "small")
    assert not list((tmp_path / "small").iterdir())


def test_layers_of_both_stacks_at_once(tmp_path: Path) -> None:
    case = bart("encoder")
    found = shortened(case[0], {"model.encoder.layers": [0], "model.decoder.layers": [2, 3]}, example=case[1])
    assert (found.model.config.encoder_layers, found.model.config.decoder_layers) == (3, 2)
    assert saved(case, found, tmp_path / "small")[0].startswith("loaded by transformers")


def test_arguments_of_the_class_are_found_and_said(tmp_path: Path) -> None:
    """A BERT without its pooler saves no weights for it, so loading needs to be told."""
    model, example, path = ZOO["BERT"]()
    model.pooler = None
    found = shortened(model, {path: [0]}, example=example)
    assert found.options == {"add_pooling_layer": False}
    save(found.model, tmp_path / "small", example=example, options=found.options)
    text = line(found.model, "small", found.options)
    assert text == 'transformers.BertModel.from_pretrained("small", add_pooling_layer=False)'


def test_an_edited_model_is_refused_with_the_first_thing_that_differs() -> None:
    model, example, path = ZOO["BERT"]()
    model.encoder.layer[2].output.dense = nn.Linear(48, 32, bias=False)
    with pytest.raises(NotExpressed, match=r"encoder.layer.2.output.dense.bias would be a tensor of shape \[32\], not"):
        shortened(model, {path: [0]}, example=example)
    small = cut(model, [0], example=example)  # a file can, for a user who builds the edited model
    assert small.form == "module"
    assert small.notes[0].startswith("BertModel is not what its config describes: encoder.layer.2.output.dense.bias")


def test_a_weight_never_follows_from_the_index_of_its_layer() -> None:
    """Layer 3 of 4 becomes layer 2 of 3: its index 3 may become 2, a key "conv.3" too, the shape of a weight not."""
    lists = Lists(kept={"layers": (0, 1, 3)}, layers=4)
    pairs = [(3, 2), ("conv.3", "conv.2"), ("a tensor of shape [3, 8]", "a tensor of shape [2, 8]")]
    found = [Difference(path="layers.2", name="w", ours=ours, built=built) for ours, built in pairs]
    assert [lists.follows(each) for each in found] == [True, True, False]


def test_a_parametrized_module_is_what_its_twin_is() -> None:
    """torch gives each module with weight norm a class of its own (Hubert's convolution of positions)."""
    one, other = (nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)) for _ in range(2))
    assert type(one) is not type(other)
    assert not differences(one, other)
    assert str(differences(one, nn.utils.parametrizations.weight_norm(nn.Linear(2, 2, bias=False)))[0]) == (
        "bias would be absent, not a tensor of shape [2]")  # fmt: skip


def test_a_model_inside_another_is_shortened_in_its_place() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, _, _ = ZOO["BERT"]()
            self.head = nn.Linear(32, 2)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.encoder(input_ids=ids).last_hidden_state)

    reader = Reader().eval()
    assert host(reader, "encoder.encoder.layer") == "encoder"
    assert host(reader, "head") is None
    found = shortened(reader, {"encoder.encoder.layer": [1]}, example=torch.arange(6).reshape(1, 6))
    assert found.model.encoder.config.num_hidden_layers == 3
    assert found.model.head.weight is not reader.head.weight  # training one leaves the other


def test_wrong_requests_are_one_sentence() -> None:
    case = llama()
    with pytest.raises(UsageError, match=r"^model.layers has layers 0 to 3, not 4$"):
        remove(case, 4)
    with pytest.raises(UsageError, match=r"^removing 4 layers would leave none in model.layers$"):
        remove(case, 0, 1, 2, 3)
    with pytest.raises(UsageError, match=r"^LlamaForCausalLM has no list of layers 'model.norm'$"):
        shortened(case[0], {"model.norm": [0]}, example=case[1])
    with pytest.raises(UsageError, match=r"must lie in one transformers model"):
        shortened(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {"": [0]}, example=torch.zeros(1, 2))


def test_candidates_are_found_by_numbers_not_by_names() -> None:
    spec: Mapping[str, Any] = {
        "heads": 4, "n_blocks": 4, "windows": [8, None, 8, None], "dense": [1], "eos_token_id": [1, 2, 3, 4],
        "skip_layers": [0, 3], "text": {"layers": 4}, "depths": [2, 4],
    }  # fmt: skip
    assert counts(dict(spec), 4) == [("text", "layers"), ("depths", 1), ("heads",), ("n_blocks",), ("eos_token_id", 3)]
    first = next(candidates(dict(spec), ("n_blocks",), Removal(layers=4, removed=(0,)), common=frozenset()))
    assert first.changed == ("n_blocks: 4 -> 3", "windows: [8, None, 8, None] -> [None, 8, None]",
                             "skip_layers: [0, 3] -> [2]")  # fmt: skip
    staged = next(candidates(dict(spec), ("depths", 1), Removal(layers=4, removed=(0,)), common=frozenset()))
    assert staged.changed == ("depths.1: 4 -> 3",)


def test_cut_gives_the_form_of_the_library_and_the_line_that_loads_it(tmp_path: Path) -> None:
    model, example, _ = llama()
    small = cut(model, ["model.layers.1", 3], example=example)
    assert (small.form, small.difference) == ("transformers", 0.0)
    assert small.notes == ("config: num_hidden_layers: 4 -> 2",)
    done = small.save(tmp_path / "small")
    assert done.loads == f'transformers.LlamaForCausalLM.from_pretrained("{tmp_path / "small"}").eval()'
    again = eval(done.loads, {"transformers": transformers})
    with torch.no_grad():
        assert torch.equal(again(**example).logits, small.model(**example).logits)
    assert sorted(file.name for file in (tmp_path / "small").iterdir()) == [
        "config.json", "generation_config.json", "model.safetensors"]  # fmt: skip


def test_weights_that_are_shared_are_not_removable() -> None:
    """ALBERT calls one layer again and again: it is needed more than once."""
    case = made("AlbertModel", "AlbertConfig", "encoder.albert_layer_groups", **SMALL, embedding_size=16)
    assert not find_blocks(case[0], case[1]).removable


def test_the_outputs_of_a_backbone_follow() -> None:
    fields = {"n": 4, "stage_names": ["stem", "a", "b", "c", "d"], "out_indices": [2, 4], "out_features": ["b", "d"]}
    found = next(candidates(fields, ("n",), Removal(layers=4, removed=(0, 3)), common=frozenset())).spec
    assert found == {"n": 2, "stage_names": ["stem", "a", "b"], "out_indices": [1, 2], "out_features": ["a", "b"]}


@pytest.mark.slow
def test_a_swin_loses_pairs_of_blocks_and_one_only_where_the_windows_still_alternate(tmp_path: Path) -> None:
    """Every second block shifts its windows: `depths` can only say how many there are."""
    case = made("SwinModel", "SwinConfig", "encoder.layers.0.blocks", image_size=32, patch_size=4, embed_dim=8,
                depths=[4, 2], num_heads=[2, 2], window_size=4)  # fmt: skip
    case = (case[0], {"pixel_values": torch.randn(2, 3, 32, 32)}, case[2])
    found = remove(case, 1, 2)
    assert found.changed == ("depths.0: 4 -> 2",)
    saved(case, found, tmp_path / "small")
    with pytest.raises(NotExpressed, match=r"shift_size would be 2, not 0"):
        remove(case, 1)


def test_what_lies_beside_the_weights_comes_along(tmp_path: Path) -> None:
    """Tokenizer, normalization and license are those of the folder that the intact model was loaded from."""
    case = llama(name_or_path="")
    case[0].generation_config.update(do_sample=True, temperature=0.25, eos_token_id=[2, 7])
    case[0].save_pretrained(tmp_path / "intact")
    beside = {"tokenizer.json": "{}", "tokenizer_config.json": '{"a": 1}', "preprocessor_config.json": '{"b": 1}',
              "chat_template.jinja": "x", "LICENSE": "MIT", "merges.txt": "a b"}  # fmt: skip
    for name, text in {**beside, "optimizer.pt": "not a model's", "modeling_own.py": "never run"}.items():
        (tmp_path / "intact" / name).write_text(text)
    model = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "intact").eval()
    small = cut(model, [1], example=case[1])
    notes = small.save(tmp_path / "small").notes
    assert {name: (tmp_path / "small" / name).read_text() for name in beside} == beside
    assert {file.name for file in (tmp_path / "small").iterdir()} == {
        *beside,
        "config.json",
        "generation_config.json",
        "model.safetensors",
    }
    assert notes[-1].startswith("copied from the intact model's folder: LICENSE, chat_template.jinja, merges.txt")
    # A healed model is trained in one that was made of the config alone.
    fresh = transformers.LlamaForCausalLM(small.model.config)
    fresh.save_pretrained(tmp_path / "run" / "model")
    copied_texts(tmp_path / "run" / "model", small.model, tmp_path / "out" / "model")
    for folder in ("small", "out/model"):
        again = transformers.LlamaForCausalLM.from_pretrained(tmp_path / folder).generation_config
        assert (again.temperature, again.eos_token_id) == (0.25, [2, 7])
    assert (tmp_path / "out" / "model" / "LICENSE").read_text() == "MIT"


@pytest.mark.parametrize(
    ("heads", "left"),
    [([[0, 1], [2, 3]], [[0, 1], [1, 3]]), ([[1, 0], [2, 2], [2, 3]], [[1, 2], [1, 3]]), ([[1, 0], [1, 2]], None)],
)
def test_heads_that_time_stamps_are_read_from_keep_their_layers(
    heads: list[list[int]], left: list[list[int]] | None, tmp_path: Path
) -> None:
    """Layer 1 of 3 of the decoder goes: layer 2 is then layer 1, and pairs of layer 1 go with it."""
    model, example, _ = made(
        "WhisperForConditionalGeneration", "WhisperConfig", "model.decoder.layers", vocab_size=99, d_model=32,
        encoder_layers=3, decoder_layers=3, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48,
        decoder_ffn_dim=48, num_mel_bins=8, max_source_positions=20, max_target_positions=20, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    example = {"input_features": torch.randn(2, 8, 40), "decoder_input_ids": torch.tensor([[1, 5, 7]] * 2)}
    model.generation_config = transformers.GenerationConfig(alignment_heads=copy.deepcopy(heads))
    small = cut(model, ["model.decoder.layers.1"], example=example)
    small.save(tmp_path / "small")
    again = transformers.GenerationConfig.from_pretrained(tmp_path / "small")
    assert getattr(again, "alignment_heads", None) == left
    assert any("alignment_heads" in note for note in small.notes)
    assert model.generation_config.alignment_heads == heads
    encoder = cut(model, ["model.encoder.layers.1"], example=example)
    assert encoder.model.generation_config.alignment_heads == heads  # type: ignore[union-attr]


def test_kinds_of_layers_that_are_stored_as_runs_become_shorter_too(tmp_path: Path) -> None:
    """GPT-Neo keeps them twice; a loader that takes the runs would build other windows."""
    case = made("GPTNeoForCausalLM", "GPTNeoConfig", "transformer.h", vocab_size=99, hidden_size=32, num_layers=4,
                num_heads=4, attention_types=[[["global", "local"], 2]], window_size=4, bos_token_id=1,
                eos_token_id=2)  # fmt: skip
    small = cut(case[0], [1], example=case[1])
    assert small.form == "transformers"
    config = small.model.config
    assert config.attention_layers == ["global", "global", "local"]  # type: ignore[union-attr]
    assert config.attention_types == [[["global"], 2], [["local"], 1]]  # type: ignore[union-attr]
    small.save(tmp_path / "small")
