"""The house's rules, held by reading the source: who may import whom, how long a file may be, who may print."""

import ast
from collections.abc import Container, Iterator
from functools import partial
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "reslab"
FILES = sorted(SOURCE.rglob("*.py"))

FLOORS: dict[int, tuple[str, ...]] = {  # the house: a room imports from the floors below it
    7: ("cli",),
    6: ("ship",),
    5: ("study", "slim", "subject"),
    4: ("images", "qa", "tables", "launch"),
    3: ("train",),
    2: ("nets", "report"),
    1: ("errors", "version", "lazy", "extras", "stored", "progress", "blocks", "run", "statistics", "look"),
}
MAY: dict[str, str] = {  # what each floor may import, in the words of the table in CONTRIBUTING.md
    "cli": "all",
    "ship": "5 and below",
    "study": "the wings and below; study may use slim and subject",
    "images": "train and below; tables/vectors alone uses qa's encoders",
    "train": "nets, look, blocks, run, statistics, stored, progress",
    "nets": "blocks, run, statistics, stored (nets also the graph of look; report neither torch nor blocks)",
    "errors": "errors and version; run also stored; look imports errors and extras",
}
GROUND = {"errors", "version", "lazy", "extras"}
WINGS = {"images", "qa", "tables"}
BASEMENT = GROUND | {"stored", "progress", "blocks", "run", "statistics"}
MAY_IMPORT: dict[str, set[str]] = {  # every room may import itself
    "errors": set(),
    "version": set(),
    "lazy": set(),
    "extras": {"errors"},
    "look": {"errors", "extras"},
    "stored": GROUND,
    **dict.fromkeys(("progress", "blocks", "statistics"), GROUND),
    "run": GROUND | {"stored"},
    "nets": BASEMENT | {"look"},
    "report": GROUND | {"stored", "run", "statistics"},
    "train": BASEMENT | {"nets", "look"},
    **dict.fromkeys(WINGS, BASEMENT | {"nets", "look", "train"}),
    "launch": GROUND | {"train"},
    "subject": BASEMENT | {"nets", "look", "train", "report"} | WINGS,
    "slim": BASEMENT | {"nets", "look", "train"} | WINGS,
    "study": BASEMENT | {"nets", "look", "train", "launch", "report", "slim", "subject"} | WINGS,
    "ship": {room for floor, rooms in FLOORS.items() if floor <= 5 for room in rooms},
    "cli": {room for rooms in FLOORS.values() for room in rooms},
    "__main__": {"cli"},
    "__init__": {
        "errors",
        "version",
        "lazy",
        "nets",
        "look",
        "images",
        "qa",
        "tables",
        "slim",
        "subject",
        "ship",
    },  # the public names
}
EXTRA = {"tables/vectors.py": {"qa"}}  # texts in a table are read by the encoders of questions


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


def module_of(names: Container[str], imported: str) -> str | None:
    """The module that an imported name is, or that has it; None where it is not ours."""
    return next((name for name in (imported, imported.rpartition(".")[0]) if name in names), None)


def rooms(path: Path) -> set[str]:
    """The rooms of ours that a file imports; the root's own names count as `version`."""
    ours = [name.split(".") for name in imports(path) if name.split(".")[0] == "reslab"]
    return {"version" if len(parts) == 1 or parts[1] == "__version__" else parts[1] for parts in ours}


def test_the_table_knows_every_room() -> None:
    assert {room(path) for path in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    here = room(path)
    allowed = {here} | MAY_IMPORT[here] | EXTRA.get(path.relative_to(SOURCE).as_posix(), set())
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
        if room(path) in ("stored", "run", "cli", "__main__", "__init__"):
            top = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Import)]
            assert "torch" not in {alias.name.partition(".")[0] for node in top for alias in node.names}, path


def test_no_room_imports_in_a_circle() -> None:
    """An arrow goes to a room of a lower floor, but on floor 1 and for study, so no way leads back."""
    arrows = {room(path): set() for path in FILES} | {}
    for path in FILES:
        arrows[room(path)] |= rooms(path) - {room(path)}
    done: list[str] = []
    while free := [name for name, to in arrows.items() if name not in done and to <= set(done)]:
        done += free
    assert sorted(arrows) == sorted(done), "these rooms import each other"


def test_no_file_imports_in_a_circle() -> None:
    """Imports anywhere in a file: one inside a function can close a circle, too."""
    names = {".".join(("reslab", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
             for path in FILES}  # fmt: skip
    arrows = {name: {to for to in map(partial(module_of, names), imports(path)) if to not in (None, name)}
              for name, path in names.items()}  # fmt: skip
    done: set[str] = set()
    while free := {name for name, to in arrows.items() if name not in done and to <= done}:
        done |= free
    assert set(arrows) - done == set()


def test_contributing_shows_these_floors() -> None:
    lines = ["| floor | rooms | may import |", "|---|---|---|"]
    lines += [f"| {floor} | {', '.join(rooms)} | {MAY[rooms[0]]} |" for floor, rooms in FLOORS.items()]
    assert "\n".join(lines) in (SOURCE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 260


def test_only_the_command_line_and_progress_print() -> None:
    printing = {
        path.relative_to(SOURCE).as_posix()
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {name for name in printing if not name.startswith(("cli/", "progress/"))} <= {"study/jobs.py"}


def test_the_contract_sees_an_import_inside_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    file = tmp_path / "nets" / "bad.py"
    file.parent.mkdir()
    file.write_text(
        "def f():\n    from ..cli import main\n    import reslab.report\n    from reslab import study, blocks\n"
    )
    assert rooms(file) == {"cli", "report", "study", "blocks"}
