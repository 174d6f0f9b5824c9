"""Geodesics proved to exist near numerical ones, their lengths and their conjugate points.

=====================  ============================================================================
module                 what is in it
=====================  ============================================================================
``collocation``        the flow over short segments in floating point, which proofs begin with
``equations``          geodesics and Jacobi fields on Taylor models
``flow``               solutions enclosed by Picard's iteration
``segments``           flows over all segments, and their derivatives
``shooting``           multiple shooting, and Krawczyk's test
``index``              Morse's index, and conjugate points
``certificate``        ``certify_geodesic``
=====================  ============================================================================
"""
