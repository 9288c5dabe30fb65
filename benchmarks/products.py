"""The rate of a matrix product: what arithmetic of that shape and precision can reach here.

On some CPUs torch.mm (MKL in float32) is far slower than oneDNN with its weights packed once, so
both are measured and the better one is the reference. A GPU has torch.mm alone.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from benchmarks.harness import Spread, seconds

TIMES = 10  # products in one measurement
Rate = Callable[[], float]


def ways(
    rows: int, inputs: int, outputs: int, precision: str, device: str = "cpu", times: int = TIMES
) -> list[Rate]:
    """Functions that measure (rows, inputs) × (inputs, outputs), in operations a second."""
    dtype = getattr(torch, precision)
    left = torch.randn(rows, inputs).to(device, dtype)
    weight = torch.randn(outputs, inputs).to(device, dtype)
    work = 2.0 * rows * inputs * outputs * times
    products = [lambda: left @ weight.T]
    if device == "cpu" and (packed := _packed(left, weight)):
        products.append(packed)

    def rate(product: Callable[[], torch.Tensor]) -> float:
        with torch.inference_mode():
            spent = seconds(lambda: _repeat(product, times, device))
        return work / spent

    return [partial(rate, product) for product in products]


def _repeat(product: Callable[[], torch.Tensor], times: int, device: str) -> None:
    for _ in range(times):
        product()
    if device == "cuda":
        torch.cuda.synchronize()


def _packed(left: torch.Tensor, weight: torch.Tensor) -> Callable[[], torch.Tensor] | None:
    """The same product by oneDNN, its weight in oneDNN's own order; None where torch lacks it."""
    try:
        operations = torch.ops.mkldnn
        packed = operations._reorder_linear_weight(weight, len(left))

        def product() -> torch.Tensor:
            found: torch.Tensor = operations._linear_pointwise(left, packed, None, "none", [], "")
            return found

        product()
    except (AttributeError, RuntimeError):
        return None
    return product


def best(rates: Sequence[Spread]) -> Spread:
    """The reference: the way with the highest median."""
    return max(rates, key=lambda rate: rate.median)
