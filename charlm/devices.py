"""Where a network runs, and in which precision it can: what an option names, if it is here.

Knows torch; knows nothing about networks.
"""

import torch

from charlm.errors import OptionError

torch.backends.cudnn.allow_tf32 = False  # torch's default rounds float32 on a GPU


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


def has_bfloat16(device: str) -> bool:
    """Whether torch's networks run in it there: not on an x86 processor without AVX-512."""
    lstm = torch.nn.LSTM(1, 1, device=device)
    try:
        with torch.autocast(device, torch.bfloat16):
            lstm(torch.zeros(1, 1, 1, device=device))
    except RuntimeError:
        return False
    return True
