"""The README's tour, run for real: every command in a `console` block, in order, in one folder.

`tests/console.py` has the rule of comparison. `python tests/cli/test_readme.py` (with `tests` in
PYTHONPATH) writes the outputs of this machine into the README.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from console import ROOT, check, commands, prepare, run, same, write

README = ROOT / "README.md"


def test_every_command_of_the_readme_prints_what_is_shown(tmp_path: Path) -> None:
    prepare(tmp_path)
    shown = commands(README.read_text(encoding="utf-8"))
    assert len(shown) > 8
    check(shown, lambda command: run(command, tmp_path))


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        (["ln P  -12.5 nats"], ["ln P   -9.25 nats"], True),
        (["ln P  -12.5 nats"], ["ln P   -9.25 bits"], False),
        (["a", "…", "z 1"], ["a", "b", "c", "z 2"], True),
        (["a", "…", "z"], ["a", "b"], False),
        (["a"], ["a", "b"], False),
        (["P  4.9e-17"], ["P  10^-57.3"], True),
        (["curve  █▅▁"], ["curve  █▇▅▁▁"], True),
        (["1 to 2 ██▏ 30 %"], ["1 to 2  0 %"], True),
        ([" 10^1 ┤aa"], [" 10^1 ┤bb"], True),
        (["l  0.3 1.7  1"], ["o  0.4 1.3  1"], True),
        (["l  0.9 0.2  1"], ["o  0.9 0.2  1"], False),
        (["30 steps, about 9 s"], ["30 steps, about 1:05"], True),
    ],
)
def test_the_rule_of_comparison(shown: list[str], printed: list[str], agree: bool) -> None:
    assert same(shown, printed) is agree


def test_python_in_the_readme_runs(tmp_path: Path) -> None:
    """The blocks of Python, in one module, beside the checkpoint that they name."""
    from conftest import random_checkpoint

    from charlm.checkpoint import save

    (tmp_path / "cats.txt").write_text("The cat was full.\n" * 30, encoding="utf-8")
    save(tmp_path / "cats.safetensors", random_checkpoint())
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, check=True)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        write(README, Path(name))
