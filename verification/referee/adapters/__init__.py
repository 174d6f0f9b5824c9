"""One file for each peer, of at most 60 lines, so that anyone can add theirs.

``Peer(function, weights, dtype, (d, D))`` takes Ψ(xp, weights, z) of
:mod:`verification.referee.plain` and numpy weights; ``array`` and ``numpy`` convert; every other
method is a quantity, B points first, in the conventions of curvcore: ``jacobian`` (B, D, d),
``hessian`` (B, D, d, d), ``metric``, ``christoffel`` Γ^k_ij as k, i, j, ``riemann`` R_ijkl all
lower with R_ijij > 0 on spheres, ``ricci``, ``scalar``, ``gradient_z(z)`` = ∂(mean R²)/∂z,
``gradient_weights(z)`` = ∂(mean R²)/∂W of ``weights[0]``, ``exponential(z, v)`` and
``distance(z, w)`` of B pairs. A method returns when the numbers are there. What there is no method
for is not offered; :mod:`verification.referee.peers`, where the library gets an entry, says why.
An adapter calls the public names of its library, and imports nothing of curvcore.
"""
