"""Curves as they come: series of a table, averages over seeds, published values."""
