"""What measures charlm's speed and quality; `python -m benchmarks` runs it."""

import charlm as charlm  # first: it says how OpenMP's threads wait, which torch reads when loaded
