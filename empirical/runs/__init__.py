"""Grids of runs: experiment files, the store, the sweep, what it costs."""
