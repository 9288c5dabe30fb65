"""What measures charlm's speed and quality; `python -m benchmarks` runs it."""
