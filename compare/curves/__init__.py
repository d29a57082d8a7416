"""Curves as they come: series of a table and their keys, averages over seeds, published values, printed numbers."""
