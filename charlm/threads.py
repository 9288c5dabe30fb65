"""How many threads NumPy's products take. Knows nothing about models."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

SMALL = 2**19  # parameters of a network whose products are too small to be shared


def threads_for(parameters: int) -> AbstractContextManager[object]:
    """Within it, if the network is small, each product of matrices is computed by one thread.

    OpenBLAS shares out all but the smallest products, and then each waits for the second thread,
    for a hundred times as long as it computes where other programs have the cores. Does nothing
    where NumPy has another library.
    """
    if parameters > SMALL:
        return nullcontext()
    limited: AbstractContextManager[object] = _openblas().limit(limits=1)
    return limited


@cache
def _openblas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(internal_api="openblas")
