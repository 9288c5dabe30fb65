"""NumPy computes a small network's products on one thread, and others on all."""

import numpy as np
from threadpoolctl import threadpool_info

from charlm.threads import SMALL, threads_for


def openblas_threads() -> list[int]:
    assert np.ones(1).size  # which brings the library
    return [one["num_threads"] for one in threadpool_info() if one["internal_api"] == "openblas"]


def test_one_thread_serves_a_small_network() -> None:
    before = openblas_threads()  # none where NumPy has another library
    with threads_for(SMALL):
        assert set(openblas_threads()) <= {1}
    with threads_for(SMALL + 1):
        assert openblas_threads() == before
    assert openblas_threads() == before
