"""Folders and files that may not be used, for whoever runs the tests: root too."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

DROP_FROM_BOUNDING_SET = 24  # of prctl
OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what puts root above permissions


def submit() -> None:
    """In a child, before it executes a program: permissions are to hold for that program."""
    libc = ctypes.CDLL(None)
    for capability in OVERRIDES:
        libc.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)  # fails where there is none


def run(arguments: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """`charlm` with these arguments in the folder, subject to permissions."""
    return subprocess.run(
        [sys.executable, "-m", "charlm", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=submit,
    )


def hold(folder: Path) -> bool:
    """Whether permissions can be made to hold here; leaves a folder that may not be written to."""
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    touch = ["touch", str(closed / "file")]
    return subprocess.run(touch, capture_output=True, preexec_fn=submit).returncode != 0


def small_disk(folder: Path, size: str, script: str) -> "subprocess.CompletedProcess[str] | None":
    """Runs a shell script while a file system so small lies on `folder`/disk; None if it cannot.

    The mount is in a name space of its own and ends with it.
    """
    disk = folder / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={size} tmpfs {disk}"
    if not shutil.which("unshare"):
        return None
    tried = subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True)
    if tried.returncode:
        return None
    python = f"{sys.executable} -m charlm"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{mount}; {script.replace('charlm', python)}"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
