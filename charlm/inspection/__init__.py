"""Looking inside a model while it reads a text: what surprises it, and what its cells do.

Each view is a module; all of them know engines, weights and tokens, none knows a terminal or
torch. `passage` is the text as tokens, `activations` what the cells do while it is read.
"""
