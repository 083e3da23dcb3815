"""The house's rules, held by reading the source: who may import whom, how long a file may be, who may print."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "reslab"
FILES = sorted(SOURCE.rglob("*.py"))

FLOOR_3 = {"nets", "look", "data", "blocks", "run"}
MAY_IMPORT = {  # design.md, "Who may import whom"; every room may import itself and errors
    "errors": set(),
    "blocks": set(),
    "data": set(),
    "run": {"version"},  # env.json says which reslab made the run
    "nets": {"blocks", "run"},
    "look": {"blocks", "run"},
    "report": {"run"},
    "train": FLOOR_3,
    "slim": FLOOR_3,
    "ship": FLOOR_3,
    "study": FLOOR_3 | {"train", "slim", "ship", "report"},
    "qa": FLOOR_3 | {"train", "report"},  # floor 4, beside study
    "tables": FLOOR_3 | {"train", "report"},
}
EVERYTHING = set(MAY_IMPORT) | {"cli", "version"}
MAY_IMPORT |= {"cli": EVERYTHING, "__main__": {"cli"}, "__init__": {"nets", "look", "qa", "tables"}}  # the public names
EXTRA = {"slim/heal.py": {"train"}}  # healing is training


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, absolute: reslab.nets.catalog."""
    package = ("reslab", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*up, node.module] if node.module else up)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def rooms(path: Path) -> set[str]:
    """The rooms of ours that a file imports; the root's own names count as `version`."""
    ours = [name.split(".") for name in imports(path) if name.split(".")[0] == "reslab"]
    return {"version" if len(parts) == 1 or parts[1] == "__version__" else parts[1] for parts in ours}


def test_the_table_knows_every_room() -> None:
    assert {room(path) for path in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    here = room(path)
    allowed = {here, "errors"} | MAY_IMPORT[here] | EXTRA.get(path.relative_to(SOURCE).as_posix(), set())
    assert rooms(path) - allowed == set()


def test_nothing_imports_the_command_line() -> None:
    users = {room(path) for path in FILES if "cli" in rooms(path)}
    assert users <= {"cli", "__main__"}


def test_the_report_never_needs_torch() -> None:
    for path in FILES:
        if room(path) in ("report", "errors"):
            assert "torch" not in {name.partition(".")[0] for name in imports(path)}, path


def test_run_and_the_command_line_import_torch_late() -> None:
    """`reslab --help` answers at once: at the top of these files there is no torch."""
    for path in FILES:
        if room(path) in ("run", "cli", "__main__", "__init__"):
            top = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Import)]
            assert "torch" not in {alias.name.partition(".")[0] for node in top for alias in node.names}, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 260


def test_only_the_command_line_and_the_progress_of_training_print() -> None:
    printing = {
        path.relative_to(SOURCE).as_posix()
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {name for name in printing if not name.startswith("cli/")} <= {"train/progress.py", "train/parallel.py"}


def test_the_contract_sees_an_import_inside_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    file = tmp_path / "nets" / "bad.py"
    file.parent.mkdir()
    file.write_text(
        "def f():\n    from ..cli import main\n    import reslab.report\n    from reslab import study, blocks\n"
    )
    assert rooms(file) == {"cli", "report", "study", "blocks"}
