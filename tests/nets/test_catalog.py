"""Names to specs, specs to JSON and back, and the errors for unknown names and options."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

import reslab
from reslab.errors import UsageError
from reslab.nets import ResNetSpec, VGGSpec, build, from_dict, names, spec, to_dict


def test_the_first_lines_of_the_documentation() -> None:
    found = reslab.net("resnet56", classes=10, shortcut="A").spec
    assert found == ResNetSpec(name="resnet56", stages=(9, 9, 9), widths=(16, 32, 64), shortcut="A", classes=10)
    assert found.depth == 56


def test_import_reslab_is_light() -> None:
    code = "import reslab, sys; print([m for m in ('torch', 'numpy', 'cyclopts', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", names())
def test_every_name_survives_json(name: str) -> None:
    found = spec(name)
    assert found.name == name
    again = from_dict(json.loads(json.dumps(to_dict(found))))
    assert again == found
    assert hash(again) == hash(found)
    digits = int(re.search(r"\d+", name)[0])
    assert found.depth == (digits - 2 if name.startswith("cifar_vgg") else digits)


def test_names_are_all_different() -> None:
    assert len(set(names())) == len(names())


def test_what_a_name_says() -> None:
    assert spec("resnet50").stride_on == "1x1"
    assert spec("resnet50_v1.5") == replace(spec("resnet50"), name="resnet50_v1.5", stride_on="3x3")
    assert spec("resnet29_v1.5", block="bottleneck").stride_on == "3x3"
    assert spec("resnet50_v2").activation == "pre"
    assert spec("plain50") == replace(spec("resnet50"), name="plain50", shortcut="none")
    assert spec("plain20") == replace(spec("resnet20"), name="plain20", shortcut="none")
    assert (spec("cifar_resnet50").stages, spec("cifar_resnet50").stem) == ((8, 8, 8), "cifar")
    assert (spec("resnet50").stages, spec("resnet50").classes, spec("resnet50").size) == ((3, 4, 6, 3), 1000, 224)
    assert (spec("cifar_vgg16_bn").classes, spec("cifar_vgg16_bn").size) == (10, 32)


def test_any_depth_of_the_two_rules() -> None:
    for n in (1, 2, 6, 27):
        assert spec(f"resnet{6 * n + 2}").stages == (n, n, n)
        bottleneck = spec(f"cifar_resnet{9 * n + 2}", block="bottleneck")
        assert (bottleneck.stages, bottleneck.block, bottleneck.depth) == ((n, n, n), "bottleneck", 9 * n + 2)
    assert spec("resnet164", block="bottleneck").stages == (18, 18, 18)  # 2016, Table 3


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resnet57", {}, "152; CIFAR depths are 6n+2, such as resnet56 and resnet62"),
        ("resnet57", {"block": "bottleneck"}, "CIFAR depths are 9n+2, such as resnet56 and resnet65"),
        ("resnet2", {}, "such as resnet8 and resnet14"),
        ("resnet0", {}, "such as resnet8 and resnet14"),
        ("plain51", {}, "such as cifar_plain50 and plain56"),
        ("resnext50", {}, "no net named 'resnext50': reslab's own are ResNets, their plain twins and VGGs"),
        ("wide_resnet50_2", {}, "is named timm:wide_resnet50_2 or torchvision:wide_resnet50_2"),
        ("renset50", {}, "no net named 'renset50'; did you mean 'resnet50'?"),
        ("resnet50_v3", {}, "did you mean 'resnet50_v2'?"),
        ("", {}, "no net named ''"),
        ("vgg12", {}, "VGG depths are 11, 13, 16, 19"),
        ("resnet20", {"clases": 5}, "resnet20 has no option 'clases'; did you mean 'classes'?"),
        ("vgg11", {"shortcut": "A"}, "vgg11 has no option 'shortcut'"),
        ("resnet20", {"shortcut": "D"}, "shortcut must be one of A, A-both, B, C, none, got 'D'"),
        ("resnet20", {"stem": "mnist"}, "stem must be one of imagenet, cifar, got 'mnist'"),
        ("resnet20", {"classes": 0}, "classes must be a positive whole number, got 0"),
        ("resnet20", {"channels": 1.5}, "channels must be a positive whole number, got 1.5"),
        ("resnet20", {"init": "hee"}, "got 'hee'"),
        ("resnet20", {"init": "he:"}, "got 'he:'"),
        ("resnet20", {"init": "normal"}, "got 'normal'"),
        ("resnet20", {"init": "normal:-1"}, "got 'normal:-1'"),
        ("resnet20", {"init": "normal:nan"}, "got 'normal:nan'"),
        ("resnet20", {"stages": (3, 3)}, "stages and widths must have the same length, got (3, 3) and (16, 32, 64)"),
        ("resnet20", {"stages": (3, 0, 3)}, "stages must be positive whole numbers, got (3, 0, 3)"),
        ("resnet20", {"stages": 3}, "stages must be positive whole numbers, got 3"),
        ("resnet20", {"init": None}, "init must be he, he-in, xavier, orthogonal, torch or normal:STD, got None"),
        ("resnet2000000", {}, "resnet2000000 has 2,000,000 layers; the limit is 100,000"),
        ("resnet20", {"widths": (64, 32, 16)}, "shortcut A cannot reduce channels"),
        ("resnet20", {"zero_last_norm": True, "norm": False}, "zero_last_norm needs"),
        ("resnet20_v2", {"zero_last_norm": True}, "zero_last_norm needs"),
        ("plain20", {"zero_last_norm": True}, "zero_last_norm needs"),
        ("vgg16", {"size": 31}, "vgg16 halves 5 times: size must be at least 32, got 31"),
    ],
)
def test_errors_name_what_is_wrong(name: str, options: dict, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec(name, **options)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "vit"}, "a net's spec cannot have the family 'vit'; known: resnet, vgg"),
        ({"shortcuts": "A"}, "unknown field 'shortcuts'; did you mean 'shortcut'?"),
        ({"shortcut": "D"}, "shortcut must be one of"),  # would have built option A, silently
        ({"block": "wide"}, "block must be one of basic, bottleneck"),
        ({"classes": "ten"}, "classes must be a positive whole number, got 'ten'"),
    ],
)
def test_a_spec_read_from_a_file_is_checked_too(change: dict, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_dict({**to_dict(spec("resnet20")), **change})
    assert said in str(caught.value)


def test_an_incomplete_spec() -> None:
    data = to_dict(spec("resnet20"))
    del data["stages"]
    with pytest.raises(UsageError, match=r"incomplete.*stages"):
        from_dict(data)


def test_lists_become_tuples() -> None:
    assert spec("resnet20", stages=[1, 1, 1]) == spec("resnet20", stages=(1, 1, 1))


@pytest.mark.parametrize("name", [20, None, spec("resnet20")])
def test_a_name_is_a_text_and_a_spec_is_none(name: object) -> None:
    with pytest.raises(
        UsageError, match=r"a net's name must be a string such as .*, got .*; to build a spec, use reslab\.build"
    ):
        reslab.net(name)


@pytest.mark.parametrize("wrong", ["resnet20", None])
def test_build_takes_a_spec(wrong: object) -> None:
    with pytest.raises(UsageError, match=rf"expected a spec, got {wrong!r}; to build a net by name, use reslab\.net"):
        build(wrong)


def test_a_stem_that_misfits_the_size_warns_and_says_the_size() -> None:
    with pytest.warns(UserWarning, match="32-pixel images shrink to 1x1") as caught:
        reslab.net("resnet18", size=32, classes=10)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=r"224-pixel images cost 49 times as much; stem=\"imagenet\""):
        reslab.net("resnet8", size=224)


def test_a_stem_that_fits_does_not_warn() -> None:
    reslab.net("resnet18", size=65, classes=2)  # 3x3 in the last stage; warnings are errors in these tests
    reslab.net("resnet8", size=96)


def test_build_is_the_net_function_of_the_spec() -> None:
    torch.manual_seed(0)
    one = reslab.net("resnet8").state_dict()
    torch.manual_seed(0)
    two = build(spec("resnet8")).state_dict()
    assert list(one) == list(two)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_to_dict_is_the_fields_and_the_family() -> None:
    found = VGGSpec(name="v", stages=(1, 1, 2, 2, 2))
    assert to_dict(found) == {"family": "vgg", **asdict(found)}
