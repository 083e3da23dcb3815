"""What `--vary` means: keys told apart, values converted, mistakes explained before anything is trained."""

from dataclasses import fields
from typing import Any

import pytest

from reslab.errors import UsageError
from reslab.study.grid.keys import Key, is_plain, options_of_nets, read_keys, with_depth
from reslab.train.recipe import Recipe


@pytest.mark.parametrize(
    ("word", "kind", "values"),
    [
        ("lr=0.1,0.01", "recipe", (0.1, 0.01)),
        ("lr=1", "recipe", (1.0,)),
        ("--weight-decay=1e-4, 0", "recipe", (1e-4, 0.0)),
        ("epochs=2,5", "recipe", (2.0, 5.0)),
        ("flip=true,False", "recipe", (True, False)),
        ("optimizer=sgd,adamw", "recipe", ("sgd", "adamw")),
        ("drops=0.5+0.75,0.9", "recipe", ((0.5, 0.75), (0.9,))),
        ("shortcut=A,B", "net", ("A", "B")),
        ("init=he,normal:0.02", "net", ("he", "normal:0.02")),
        ("norm=true,false", "net", (True, False)),
        ("widths=8+16+32,16+32+64", "net", ((8, 16, 32), (16, 32, 64))),
        ("depth=20,56", "depth", (20, 56)),
    ],
)
def test_a_key_and_its_values(word: str, kind: Any, values: tuple[Any, ...]) -> None:
    name = word.partition("=")[0].removeprefix("--").replace("-", "_")
    (key,) = read_keys([word])
    assert key == Key(name=name, kind=kind, values=values)
    assert list(map(type, key.values)) == list(map(type, values))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["shortcu=A"], "'shortcu' is neither an option of a net nor a key of a recipe; did you mean 'shortcut'?"),
        (["batchs=8"], "'batchs' is neither an option of a net nor a key of a recipe; did you mean 'batch'?"),
        (["nonsense=8"], "'nonsense' is neither an option of a net nor a key of a recipe"),
        (["lr"], "'lr' does not say which values to try; write it as vary=\"lr=0.1,0.01\""),
        (["lr=0.1,"], "'lr=0.1,' does not say which values to try; write it as vary=\"lr=0.1,0.01\""),
        (["lr=0.1,a"], "lr must be a number, got 'a'"),
        (["optimizer=sdg"], "optimizer must be one of sgd, adamw, got 'sdg'"),
        (["lr=0.1,0.10"], "lr has a value twice: 0.1,0.10"),
        (["lr=0.1", "lr=0.2"], "lr is varied twice; give all of its values at once, separated by commas"),
        (["seed=0,1"], "every combination is trained from the same seeds: set how many with seeds=3"),
        (["net=a,b"], "name several nets with net, given once for each"),
        (["classes=2,3"], "classes follows from the data and cannot be varied"),
        (["depth=0"], "depth must be a number of layers, got '0'"),
        (["depth=deep"], "depth must be a number of layers, got 'deep'"),
    ],
)
def test_mistakes(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_keys(words)
    assert str(caught.value) == sentence


def test_no_name_is_an_option_and_a_key() -> None:
    assert options_of_nets() & {field.name for field in fields(Recipe)} == set()


@pytest.mark.parametrize(
    ("net", "depth", "name"),
    [
        ("resnet20", 56, "resnet56"),
        ("resnet", 56, "resnet56"),
        ("resnet20", None, "resnet20"),
        ("plain20", 50, "cifar_plain50"),  # plain50 is ImageNet's
        ("resnet18", 50, "resnet50"),
        ("resnet20_v2", 110, "resnet110_v2"),
        ("cifar_vgg11_bn", 16, "cifar_vgg16_bn"),
    ],
)
def test_a_net_at_another_depth(net: str, depth: int | None, name: str) -> None:
    assert with_depth(net, depth) == name


def test_a_net_without_depth() -> None:
    with pytest.raises(UsageError, match="the depth of 'timm:vit_tiny' cannot be varied"):
        with_depth("timm:vit_tiny", 12)


def test_plain_nets() -> None:
    assert [is_plain(net) for net in ("plain20", "cifar_plain50", "net:plain8", "resnet20", "vgg11")] == [
        True, True, True, False, False]  # fmt: skip
