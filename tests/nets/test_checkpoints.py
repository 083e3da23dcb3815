"""Strangers' checkpoints: which weights of a file are taken, which nets they fit, and what shapes cannot show."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import reslab
from reslab.errors import ReslabError, ReslabWarning, UsageError
from reslab.nets import match, net, read_state, spec, to_dict
from reslab.nets.checkpoints import common_prefix, read_checkpoint
from reslab.nets.words import load as load_word

State = dict[str, torch.Tensor]


def akamaster(before: str = "") -> State:
    """Tensors of resnet8 under akamaster's names: layer1.0.conv1.weight, ..., linear.bias."""
    names = {}
    for name, value in net("resnet8").state_dict().items():
        name = name.replace("stem.conv", "conv1").replace("stem.norm", "bn1").replace("head", "linear")
        for stage in range(3):
            name = name.replace(f"stages.{stage}.", f"layer{stage + 1}.")
        names[before + name.replace("branch.norm", "bn").replace("branch.", "")] = value
    return names


def torchvisions(before: str = "") -> State:
    with torch.device("meta"):
        own = net("resnet50", init="torch").state_dict()
    return {before + name.replace("stages.0.0.branch.conv", "layer1.0.conv"): value for name, value in own.items()}


@pytest.mark.parametrize("before", ["", "net.", "backbone.", "resnet.", "encoder.resnet.", "lightning.model.resnet."])
def test_prefixes_hide_no_names(before: str) -> None:
    with torch.device("meta"):
        paper, small = net("resnet50", init="torch"), net("resnet8", init="torch")
    assert "whose stride is on the 3x3" in str(match(paper, torchvisions(before)).warning)
    assert "whose shortcut A pads on both sides" in str(match(small, akamaster(before)).warning)
    ours = {before + name: value for name, value in small.state_dict().items()}
    found = match(small, ours)
    assert (found.how, found.warning, len(found.pairs)) == ("by name", None, 37)


def test_other_names_leave_a_doubt_which_is_reported() -> None:
    """Nobody's names: where the stride is and what a shortcut without weights carries cannot be seen."""
    with torch.device("meta"):
        for name, options, doubt in [
            ("resnet50", {}, 'stride_on="3x3"'),
            ("resnet50", {"stride_on": "3x3"}, 'stride_on="1x1"'),
            ("resnet8", {}, 'shortcut="A-both" or shortcut="none"'),
            ("resnet8", {"shortcut": "A-both"}, 'shortcut="A" or shortcut="none"'),
            ("plain8", {}, 'shortcut="A" or shortcut="A-both"'),
        ]:
            made = net(name, init="torch", **options)
            renamed = {f"x{k}": v for k, v in enumerate(made.state_dict().values())}
            kinds = [key.rpartition(".")[2] for key in made.state_dict()]
            renamed = {f"{x}.{kind}": v for (x, v), kind in zip(renamed.items(), kinds, strict=True)}
            warning = str(match(made, renamed).warning)
            assert warning.endswith(doubt)
        sure = net("resnet8", init="torch", shortcut="B")
        renamed = {f"x{k}.{key.rpartition('.')[2]}": v for k, (key, v) in enumerate(sure.state_dict().items())}
        assert match(sure, renamed).warning is None
    assert match(net("resnet8", shortcut="A-both"), akamaster()).warning is None


def test_a_net_within_a_larger_module() -> None:
    state = {**akamaster("resnet."), "criterion.weight": torch.ones(10), "teacher.weight": torch.ones(3)}
    found = match(net("resnet8"), state)
    assert len(found.pairs) == 37
    assert found.unused == ("criterion.weight", "teacher.weight")
    both = {**akamaster("student."), **akamaster("teacher.")}
    with pytest.raises(UsageError, match=r"several nets of this shape, 'student', 'teacher'; .*key=\"student\""):
        match(net("resnet8"), both)
    found = match(net("resnet8"), {**akamaster("ema_model."), **akamaster("net.")})
    assert all(theirs.startswith("net.") for _, theirs in found.pairs)
    assert len(found.unused) == 37


@pytest.mark.parametrize(
    "wrapper",
    ["state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "anything"],
)
def test_one_set_is_found_under_any_key(wrapper: str, tmp_path: Path) -> None:
    file, state = tmp_path / "w.pt", akamaster("module.")
    momenta = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}
    torch.save({"epoch": 3, "optimizer": momenta, "lr_scheduler": {"x": torch.ones(1)}, wrapper: state}, file)
    found = read_checkpoint(file)
    assert (list(found.state), found.note) == (list(akamaster()), "")


@pytest.mark.parametrize("copy", ["state_dict_ema", "model_ema", "ema", "ema_weights", "swa_state_dict", "shadow"])
def test_the_weights_are_taken_and_their_averaged_copy_is_named(copy: str, tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    averaged = {name: value + 1 for name, value in akamaster().items()}
    torch.save({copy: averaged, "state_dict": akamaster()}, file)
    found = read_checkpoint(file)
    assert found.note.startswith(f"the weights under 'state_dict'; the file also holds '{copy}' (")
    assert torch.equal(read_checkpoint(file, copy).state["linear.bias"], averaged["linear.bias"])
    with pytest.warns(ReslabWarning, match=f"the file also holds '{copy}'"):
        loaded = reslab.load(file, "resnet8", shortcut="A-both")
    assert (
        f"37 tensors matched by order and shape; the weights under 'state_dict'; the file also holds '{copy}'"
        in str(loaded.match)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = reslab.load(file, "resnet8", shortcut="A-both", key=copy)
    assert torch.equal(other.head.bias, loaded.head.bias + 1)


@pytest.mark.parametrize("before", ["", "module.", "trainer.model."])
def test_an_averaged_copy_in_the_same_set_is_named(before: str, tmp_path: Path) -> None:
    file, averaged = tmp_path / "w.ckpt", {name: value + 1 for name, value in akamaster().items()}
    parts = {"net": akamaster(), "net_ema": averaged}
    flat = {f"{before}{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
    torch.save({"state_dict": {**flat, f"{before}loss.weight": torch.ones(10)}}, file)
    with pytest.warns(ReslabWarning, match=r"weights under '.*net'; the file also holds '.*net_ema', which key takes"):
        loaded = reslab.load(file, "resnet8", shortcut="A-both")
    other = reslab.load(file, "resnet8", shortcut="A-both", key=f"{before}net_ema")
    assert torch.equal(other.head.bias, loaded.head.bias + 1)
    assert "the file also holds" in str(loaded.match)


def test_the_parts_that_a_sentence_names_can_be_taken(tmp_path: Path) -> None:
    file = tmp_path / "w.ckpt"
    torch.save({"state_dict": {**akamaster("model.student."), **akamaster("model.teacher.")}}, file)
    with pytest.raises(UsageError, match=r"several nets of this shape, .*name one, such as key=\"student\""):
        reslab.load(file, "resnet8", shortcut="A-both")
    for key in ("student", "model.student"):
        assert reslab.load(file, "resnet8", shortcut="A-both", key=key).match.how == "by order and shape"


@pytest.mark.parametrize("beside", [{"best_acc1": torch.tensor(93.2)}, {"mean": torch.ones(1, 3, 1, 1)},
                                    {"torch_rng_state": torch.get_rng_state()},
                                    {"metrics": {"acc": torch.ones(2)}}])  # fmt: skip
def test_numbers_beside_the_weights_are_no_weights(beside: dict, tmp_path: Path) -> None:
    torch.save({"epoch": 90, "state_dict": akamaster("module."), **beside}, tmp_path / "w.pt")
    found = read_checkpoint(tmp_path / "w.pt")
    assert (list(found.state), found.note) == (list(akamaster()), "")


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool])
def test_weights_in_whole_numbers_are_refused(dtype: torch.dtype) -> None:
    whole = {name: value.to(dtype) for name, value in net("resnet8").state_dict().items()}
    with pytest.raises(UsageError, match=r"stem\.conv\.weight is \w+: weights in whole numbers have lost their scale"):
        match(net("resnet8"), whole)


def test_several_sets_without_a_usual_name(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({"teacher": akamaster(), "student": {"net": akamaster()}}, file)
    with pytest.raises(UsageError, match=r"'student\.net' \(44 tensors\), 'teacher' \(44 tensors\); name one, .*key="):
        read_state(file)
    assert read_checkpoint(file, "teacher").note == "the weights under 'teacher'"
    assert list(read_checkpoint(file, "student.net").state) == list(akamaster())
    with pytest.raises(UsageError, match=r"has no weights under 'ema'; it has 'student\.net', 'teacher'"):
        read_checkpoint(file, "ema")
    torch.save({**akamaster("a."), **akamaster("b.")}, file)
    assert list(read_checkpoint(file, "b").state) == list(akamaster())
    assert load_word(str(file), net="resnet8", key="a", options={"shortcut": "A-both"}).spec.classes == 10
    with pytest.raises(UsageError, match="key names weights inside a checkpoint file, and net:resnet8 is none"):
        reslab.model("net:resnet8", key="a")


def test_a_missing_head_and_other_classes_are_named() -> None:
    state = akamaster()
    headless = {name: value for name, value in state.items() if not name.startswith("linear")}
    with pytest.raises(UsageError, match=r"has no head: it holds all of the net but head\.weight 10x64, head\.bias 10"):
        match(net("resnet8"), headless)
    with pytest.raises(UsageError, match=r"linear\.weight 10x64, .* in the place of head\.weight 3x64, .*classes=10"):
        match(net("resnet8", classes=3), state)


def test_sizes_do_not_depend_on_the_order_of_the_tensors(tmp_path: Path) -> None:
    """safetensors sorts by type and name, so that the stem comes last."""
    own = net("resnet8", channels=1, classes=7)
    save_file(own.state_dict(), tmp_path / "w.safetensors")
    assert list(read_state(tmp_path / "w.safetensors"))[-1].startswith("stem")
    found = load_word(str(tmp_path / "w.safetensors"), net="resnet8")
    assert (found.spec.channels, found.spec.classes) == (1, 7)


def test_a_file_with_its_own_spec_is_no_other_net(tmp_path: Path) -> None:
    """plain8 has the very tensors of resnet8."""
    own = net("plain8")
    save_file(own.state_dict(), tmp_path / "w.safetensors", metadata={"reslab": json.dumps(to_dict(own.spec))})
    with pytest.raises(UsageError, match="holds its own net, plain8 \\(shortcut 'none', not 'A'\\); leave out the net"):
        reslab.load(tmp_path / "w.safetensors", "resnet8")
    assert reslab.load(tmp_path / "w.safetensors", "plain8").spec.shortcut == "none"


@pytest.mark.parametrize("width", [10**7, 2**31 - 1])
def test_a_few_bytes_of_a_spec_ask_for_no_memory(width: int, tmp_path: Path) -> None:
    """resnet8 of width 10^7 has 64 * 10^7 * 9 weights in one layer alone; the file has 10 numbers."""
    data = {**to_dict(spec("resnet8")), "widths": [width, width, width]}
    numbers = {f"a{k}": torch.ones(1) for k in range(10)}
    save_file(numbers, tmp_path / "w.safetensors", metadata={"reslab": json.dumps(data)})
    with pytest.raises(ReslabError, match=r"not of this net|cannot be built"):
        reslab.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("stages", [[16000, 16000, 16000], [2] * 20000])
def test_a_few_bytes_of_a_spec_ask_for_no_layers(stages: list[int], tmp_path: Path) -> None:
    """2 layers a block, the stem and the head: refused before any is built, which would take minutes."""
    data = {**to_dict(spec("resnet8")), "stages": stages, "widths": [16] * len(stages)}
    save_file({"a": torch.ones(10)}, tmp_path / "w.safetensors", metadata={"reslab": json.dumps(data)})
    with pytest.raises(ReslabError, match=f"has {2 * sum(stages) + 2:,} layers, and it holds only 1 tensors"):
        reslab.load(tmp_path / "w.safetensors")


def test_prefixes() -> None:
    assert common_prefix(["a.b.c", "a.b.d"]) == "a.b."
    assert common_prefix(["a.x.c", "b.x.c"]) == ""
    assert common_prefix(["weight"]) == ""
    assert common_prefix([]) == ""


def test_the_only_weights_may_be_averaged_which_is_told(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict_ema": akamaster()}, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.pt").note == "the averaged weights under 'state_dict_ema', the only ones"
