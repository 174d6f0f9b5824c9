"""Exact arithmetic: fields where zero is decidable, tensors of balls, and certificates."""
