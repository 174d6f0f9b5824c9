"""Curvature-regularised autoencoders, built on curvcore (under construction)."""
