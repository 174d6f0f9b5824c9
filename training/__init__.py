"""Curvature-regularised autoencoders, built on curvcore: ``python -m training``, see README."""
