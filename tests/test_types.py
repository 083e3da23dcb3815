"""The types that an editor uses: what mypy tells the author of a script that imports reslab, and what it refuses."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import pytest

import reslab.nets
from reslab.nets import ResNetSpec, VGGSpec, names
from reslab.nets.options import NetOptions, ResNetName, ResNetOptions, VGGName, VGGOptions

FILES = Path(__file__).parent / "typing"


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    """mypy's lines about both files. The settings are the project's, so that its cache from `make check` serves."""
    pytest.importorskip("mypy")
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "mypy", "--hide-error-context", "--no-error-summary"]
    done = subprocess.run([*command, str(FILES / "good.py"), str(FILES / "bad.py")], cwd=root,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_a_users_script_has_the_types_that_it_asserts(complaints: list[str]) -> None:
    assert [line for line in complaints if "good.py" in line and ": error:" in line] == []


def test_a_users_mistakes_are_found(complaints: list[str]) -> None:
    lines = (FILES / "bad.py").read_text(encoding="utf-8").splitlines()
    expected = {(n, line.rpartition("# ")[2]) for n, line in enumerate(lines, start=1) if "  # " in line}
    found = {
        (int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]"))
        for line in complaints if "bad.py" in line and ": error:" in line
    }  # fmt: skip
    assert found == expected


def test_the_names_are_the_catalogs() -> None:
    assert {*get_args(ResNetName), *get_args(VGGName)} == set(names())
    assert all("vgg" in name for name in get_args(VGGName))


@pytest.mark.parametrize(("options", "kind"), [(ResNetOptions, ResNetSpec), (VGGOptions, VGGSpec)])
def test_the_options_are_the_fields_of_the_spec(options: type, kind: type) -> None:
    """Every field but the name, of the same type; where the spec has a tuple any sequence is taken."""
    taken, held = get_type_hints(options), get_type_hints(kind)
    assert set(taken) == {field.name for field in fields(kind)} - {"name"}
    for key in set(taken) - {"stages", "widths", "bare"}:
        assert taken[key] == held[key], key
    assert set(taken) <= set(get_type_hints(NetOptions))


@pytest.mark.parametrize("room", [reslab, reslab.look, reslab.nets])
def test_completion_offers_the_public_names_alone(room: ModuleType) -> None:
    """What an editor or a notebook shows after a dot: no internal module among the names."""
    assert sorted(dir(room)) == sorted(room.__all__)
