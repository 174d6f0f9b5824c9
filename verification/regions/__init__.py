"""Curvature on whole boxes of latent space, not at points: enclosures by Taylor models.

=====================  ============================================================================
module                 what is in it
=====================  ============================================================================
``monomials``          x^α up to a total degree
``models``             arrays of Taylor models, with bounds of all that rounding does
``numpy_functions``    how numpy's functions reach them
``intervals``          elementary functions of intervals, from IEEE's arithmetic alone
``elementary``         elementary functions of Taylor models
``numbers``            Taylor models in the place of tensors
``isometric``          a last linear layer with fewer outputs and the same inner products
``geometry``           R and √det g on boxes, by the rules and formulas that run on tensors
``cells``              boxes, what is known of them, and integrals
``region``             ``certify_region``: boxes halved until bounds are as close as asked
=====================  ============================================================================
"""
