"""The house stands as designed: imports go down the floors, modules are small and described."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import charlm

PACKAGE = Path(charlm.__file__).parent

# The floor of each module, or package, of charlm: it imports from its own floor and from below.
# A new module is put here, as low as it can stand.
FLOORS = {
    "": 0,  # charlm itself: its version; the public names are imported on first use
    "errors": 0,
    "config": 0,
    "figures": 0,
    "memory": 0,
    "threads": 0,
    "devices": 1,
    "sources": 1,
    "streams": 1,
    "text": 1,
    "tokenizers": 1,
    "cells": 1,
    "scans": 1,
    "steps": 1,
    "atomic": 1,
    "foreign": 1,
    "logs": 1,
    "container": 1,
    "pairs": 1,
    "progress": 1,
    "replay": 1,
    "baselines": 2,
    "clipping": 2,
    "corpus": 2,
    "windows": 2,
    "model": 2,
    "checkpoint": 2,
    "inference": 3,
    "bulk": 3,
    "drawing": 3,
    "adapting": 4,
    "sampling": 3,
    "sequences": 3,
    "scoring": 3,
    "beam": 3,
    "gradients": 3,
    "novelty": 3,
    "optimiser": 3,
    "origin": 3,
    "validation": 3,
    "planning": 3,
    "probing": 3,
    "stepping": 3,
    "summary": 3,
    "training": 3,
    "api": 4,
    "run": 4,
    "inspection": 4,
    "extras": 5,
    "cli": 6,
    "__main__": 7,
}
HEAVY = {"torch", "numpy", "rich", "sentencepiece", "safetensors"}
WITHOUT_TORCH = ("api", "checkpoint", "corpus", "inference", "sampling", "scoring", "text")
SHOWING = ("cli", "extras", "__main__")  # what may print


def module_name(path: Path) -> str:
    """`charlm/cli/train.py` → `cli.train`; a package's `__init__` is the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
every_module = pytest.mark.parametrize("module", MODULES)


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def floor(module: str) -> int:
    top = module.split(".")[0]
    assert top in FLOORS, f"say in FLOORS on which floor charlm.{top} stands"
    return FLOORS[top]


def imported(node: ast.AST) -> Iterator[str]:
    """Full names that an import statement makes known: modules, or names within modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_module(name: str) -> str | None:
    """The module of charlm that an imported name is, or lies in."""
    if name.split(".")[0] != "charlm":
        return None
    short = name.removeprefix("charlm").removeprefix(".")
    return short if short in MODULES else short.rpartition(".")[0]


def neighbours(nodes: Iterator[ast.AST]) -> set[str]:
    """The modules of charlm that some statements import."""
    found = (own_module(name) for node in nodes for name in imported(node))
    return {module for module in found if module is not None}


def at_import(module: str) -> Iterator[ast.AST]:
    """The statements that run when a module is imported: not functions, nor for types alone."""
    waiting: list[ast.AST] = list(tree(module).body)
    for node in waiting:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


@cache
def packages_loaded(module: str) -> frozenset[str]:
    """The top names of all packages that importing a module of charlm imports in turn."""
    seen, waiting, loaded = {module}, [module], set()
    while waiting:
        current = waiting.pop()
        parents = {current.rpartition(".")[0]} if current else set()
        names = [name for node in at_import(current) for name in imported(node)]
        loaded |= {name.split(".")[0] for name in names}
        new = (neighbours(at_import(current)) | parents) - seen
        seen |= new
        waiting += new
    return frozenset(loaded)


@every_module
def test_imports_only_go_down_the_floors(module: str) -> None:
    if not module:
        return  # charlm/__init__.py re-exports from above, for type checkers alone
    for other in neighbours(ast.walk(tree(module))):
        assert floor(other) <= floor(module), f"{module} imports {other}, which stands higher"


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: neighbours(ast.walk(tree(module))) for module in MODULES if module}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


def test_tokenizers_know_no_files_and_samplers_no_paths() -> None:
    for module in MODULES:
        if module.startswith("tokenizers"):
            assert not {"text", "sources"} & neighbours(ast.walk(tree(module)))
    for module in ("sampling", "scoring", "sequences", "inference"):
        names = {name for node in ast.walk(tree(module)) for name in imported(node)}
        assert not {"os", "pathlib", "charlm.checkpoint", "charlm.text"} & {
            part for name in names for part in (name, name.rpartition(".")[0])
        }


@every_module
def test_cli_modules_load_nothing_heavy(module: str) -> None:
    if module.split(".")[0] in ("", "cli", "errors", "config"):
        assert not HEAVY & packages_loaded(module)


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_what_one_stream_needs_loads_no_torch(module: str) -> None:
    assert "torch" not in packages_loaded(module)


@every_module
def test_only_the_terminal_knows_rich(module: str) -> None:
    names = {name.split(".")[0] for node in ast.walk(tree(module)) for name in imported(node)}
    assert module == "cli.terminal" or "rich" not in names


@every_module
def test_nothing_is_unpickled_or_executed(module: str) -> None:
    for node in ast.walk(tree(module)):
        names = {name.split(".")[0] for name in imported(node)}
        assert not names & {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "compile", "__import__", "torch.load"}
            assert not {"allow_pickle", "weights_only"} & {word.arg for word in node.keywords}


@every_module
def test_only_commands_and_extras_print(module: str) -> None:
    if module.split(".")[0] not in SHOWING:
        calls = [node for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
        assert "print" not in {ast.unparse(call.func) for call in calls}


@every_module
def test_modules_are_short_and_named_for_what_they_hold(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{module} has {lines} lines"
    assert module.split(".")[-1] not in {"utils", "util", "helpers", "common", "misc"}


@every_module
def test_modules_functions_and_classes_are_described(module: str) -> None:
    public = [
        node
        for node in tree(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    for node in [tree(module), *public]:
        assert ast.get_docstring(node), f"{getattr(node, 'name', module)} has no docstring"


@pytest.mark.parametrize("module", ["charlm", "charlm.cli"])
def test_importing_charlm_imports_neither_torch_nor_numpy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
