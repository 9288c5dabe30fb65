"""Trials by the thousand: what `make torture` counts, and CI runs a small share of.

Each function here makes a number of trials from a seed and gives the failures, one line each.
"""
