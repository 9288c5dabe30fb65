"""charlm: train a recurrent language model on a text file, sample, score, measure, look inside.

>>> import charlm
>>> model = charlm.load("checkpoints/cats.safetensors")  # doctest: +SKIP
>>> print(model.sample(prompt="The cat", length=60))  # doctest: +SKIP

The names below are imported on first use (PEP 562): importing charlm imports neither torch nor
NumPy.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlm.api import Model as Model
    from charlm.api import load as load
    from charlm.config import ModelConfig as ModelConfig
    from charlm.config import TrainConfig as TrainConfig
    from charlm.errors import CharlmError as CharlmError

__version__ = "0.1.0"

# Read by OpenMP when torch is loaded: waiting threads sleep early. On a machine that does anything
# else the default, spinning, makes training ten times slower and more.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_HOMES = {
    "CharlmError": "charlm.errors",
    "Model": "charlm.api",
    "ModelConfig": "charlm.config",
    "TrainConfig": "charlm.config",
    "load": "charlm.api",
}
__all__ = ["CharlmError", "Model", "ModelConfig", "TrainConfig", "__version__", "load"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'charlm' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
