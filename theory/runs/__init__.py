"""Curves of the simple model over P and seeds, and the folder that keeps what is finished."""
