"""Where a network runs: the device that an option names, if this machine has it.

Knows torch; knows nothing about networks.
"""

import torch

from charlm.errors import OptionError


def device_of(name: str) -> str:
    """The device of this name; "auto" is a GPU where there is one, else the CPU.

    Raises OptionError for cuda and mps where torch has none.
    """
    cuda = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if cuda else "cpu"
    missing = {"cuda": not cuda, "mps": not torch.backends.mps.is_available()}
    if missing.get(name):
        raise OptionError(f"--device {name}: torch finds none here; give --device auto or cpu")
    return name
