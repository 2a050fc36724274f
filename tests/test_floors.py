"""Imports run downhill: no room imports a higher floor, and some rooms stay free of torch, cv2 and the console.

The table is also the shortest architecture document of the project. Moving a room is a one-line change here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS = (  # ground first; a room may import its own floor and those below
    ("utils.errors", "utils.atomic", "utils.wording"),
    ("utils.darknet",),
    ("utils.pruning",),
    ("utils.layers", "utils.detection", "utils.datasets"),
    ("models",),
    ("utils.sparsity", "utils.distillation", "utils.deploy"),
    ("utils.training",),
    ("utils.reports",),
    ("utils.cli",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# One more floor up are the commands, every script at the top and in data/: they may import all rooms, none imports them.

TORCH, CV2 = frozenset({"torch", "torchvision"}), frozenset({"cv2"})
CONSOLE = frozenset({"argparse", "tqdm"})
FILES = frozenset({"glob", "io", "os", "pathlib", "shutil", "tempfile"})
FORBIDDEN = {  # third-party and standard packages that a room must do without, inside functions too
    "utils.errors": TORCH | CV2 | CONSOLE | {"numpy"},
    "utils.atomic": TORCH | CV2 | CONSOLE | {"numpy"},
    "utils.wording": TORCH | CV2 | CONSOLE | FILES | {"numpy"},
    "utils.darknet": TORCH | CV2 | CONSOLE,
    "utils.pruning": TORCH | CV2 | CONSOLE | FILES,
    "utils.layers": CV2 | CONSOLE,
    "utils.detection": CV2 | CONSOLE | FILES,
    "utils.datasets": CONSOLE,
    "models": CV2 | CONSOLE,
    "utils.sparsity": CV2 | CONSOLE | FILES,
    "utils.distillation": CV2 | CONSOLE,
    "utils.deploy": CONSOLE,
    "utils.training": CONSOLE,
    "utils.reports": TORCH | CONSOLE,
}
NOT_BESIDE = {  # rooms on one floor that still keep apart: the design says what never enters them
    "utils.layers": {"utils.pruning"},
    "utils.detection": {"utils.darknet"},
    "utils.datasets": {"utils.layers"},
}


def files_of(room: str) -> list[Path]:
    """The files of a room, whether it is a folder or a single file."""
    place = ROOT.joinpath(*room.split("."))
    single = place.with_suffix(".py")
    return [single] if single.is_file() else sorted(place.rglob("*.py"))


def existing_rooms() -> list[str]:
    return [room for room in FLOOR_OF if files_of(room)]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, full module name) for everything that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(level=level) if level:
                package = path.relative_to(ROOT).parts[: -level]
                base = ".".join((*package, node.module) if node.module else package)
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            case ast.ImportFrom(module="utils"):
                yield from ((node.lineno, f"utils.{alias.name}") for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield node.lineno, module
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="__import__"),
                          args=[ast.Constant(value=str(module)), *_]):
                yield node.lineno, module


def room_of(module: str) -> str | None:
    """The room that a module belongs to; None for packages that are not ours."""
    parts = module.split(".")
    for length in (2, 1):
        room = ".".join(parts[:length])
        if room in FLOOR_OF:
            return room
    return None


def test_every_folder_under_utils_has_a_floor():
    rooms = {f"utils.{path.stem}" for path in (ROOT / "utils").iterdir()
             if (path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))) and path.stem != "__init__"}
    homeless = sorted(rooms - set(FLOOR_OF))
    assert not homeless, f"give these rooms a floor in FLOORS: {homeless}"


@pytest.mark.parametrize("room", existing_rooms())
def test_no_room_imports_a_higher_floor(room):
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {room} (floor {FLOOR_OF[room]}) imports {module} (floor {FLOOR_OF[target]})"
        for path in files_of(room)
        for line, module in imported(path)
        if (target := room_of(module)) and FLOOR_OF[target] > FLOOR_OF[room]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", existing_rooms())
def test_a_room_does_without_what_never_enters_it(room):
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {room} imports {module}"
        for path in files_of(room)
        for line, module in imported(path)
        if module.split(".")[0] in FORBIDDEN.get(room, ()) or room_of(module) in NOT_BESIDE.get(room, ())
    ]
    assert not wrong, "\n".join(wrong)


def test_what_a_room_must_do_without_names_rooms_only():
    assert set(FORBIDDEN) | set(NOT_BESIDE) | set().union(*NOT_BESIDE.values()) <= set(FLOOR_OF)


def scripts() -> list[Path]:
    """The commands and what lies beside them: the top, data/ and benchmarks/."""
    return [path for folder in (ROOT, ROOT / "data", ROOT / "benchmarks") for path in sorted(folder.glob("*.py"))
            if path.name != "models.py"]


@pytest.mark.parametrize("room", existing_rooms())
def test_no_room_imports_a_command(room):
    commands = {path.stem for path in scripts()}
    wrong = [f"{path.relative_to(ROOT)}:{line}: {room} imports the command {module}"
             for path in files_of(room) for line, module in imported(path)
             if module.split(".")[0] in commands | {"data", "benchmarks", "tests"}]
    assert not wrong, "\n".join(wrong)


def test_no_command_imports_another():
    commands = {path.stem for path in scripts() if path.parent.name != "benchmarks"}
    wrong = [f"{path.relative_to(ROOT)}:{line}: imports the command {module}"
             for path in scripts() if path.parent.name != "benchmarks"
             for line, module in imported(path) if module.split(".")[0] in commands]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", [room for room in existing_rooms() if FLOOR_OF[room] < FLOOR_OF["utils.cli"]])
def test_the_library_prints_nothing_and_never_exits(room):
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:60]}"
        for path in files_of(room)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "exit", "quit", "sys.exit", "os._exit")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", existing_rooms())
def test_no_room_imports_everything_from_anywhere(room):
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files_of(room)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_check_itself_sees_an_import_inside_a_function(tmp_path):
    source = tmp_path / "probe.py"
    source.write_text("def f():\n    from utils import cli\n    import utils.reports.tables\n    import torch\n")
    assert [module for _, module in imported(source)] == ["utils.cli", "utils.reports.tables", "torch"]
    assert [room_of(module) for _, module in imported(source)] == ["utils.cli", "utils.reports", None]
