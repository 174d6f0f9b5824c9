"""What is right: values of Ψ in balls of 640 bits, central differences, textbook formulas.

Nothing of curvcore is used, nor any automatic differentiation: with steps h = 2⁻¹⁰⁰ differences are
off by O(h²), 60 digits, and balls know what rounding adds. Where there are closed forms, they must
agree; for networks, :func:`verification.certify`'s enclosures of g and R must. Both are asked every
time (``confirmed``).

    g_ij = ⟨Ψ_i, Ψ_j⟩,  Γ^k_ij = g^{km} ⟨Ψ_m, Ψ_ij⟩,  II_ij = Ψ_ij − Γ^k_ij Ψ_k,
    R_ijkl = ⟨II_ik, II_jl⟩ − ⟨II_il, II_jk⟩,  Ric_jl = g^{ik} R_ijkl,  R = g^{jl} Ric_jl

(Lee, *Introduction to Riemannian Manifolds*, 2nd ed., Thm 8.5.)
"""

import flint
import numpy as np
import torch

from verification import certify

BITS, STEP_BITS, OUTER_STEP_BITS = 640, 100, 60
AGREEMENT = 1e-12  # closed forms are evaluated in float64


class TruthError(Exception):
    """Two ways to what is right disagree."""


class Balls:
    """The functions that a decoder needs, on object arrays of balls."""

    sin, cos, tanh, exp, sqrt = (
        staticmethod(np.frompyfunc(lambda x, name=name: getattr(x, name)(), 1, 1))
        for name in ("sin", "cos", "tanh", "exp", "sqrt")
    )
    stack, mean = staticmethod(np.stack), staticmethod(np.mean)


def balls(array):
    """Exact balls of an array of floats."""
    return np.frompyfunc(lambda x: flint.arb(float(x)), 1, 1)(np.asarray(array)).astype(object)


def floats(array):
    """The middles of balls."""
    return np.frompyfunc(lambda x: float(x.mid()), 1, 1)(array).astype(np.float64)


def decoder_of(case, weights=None):
    """z -> Ψ(z) on balls."""
    weights = [balls(w) for w in case.weights] if weights is None else weights
    return lambda z: case.function(Balls, weights, z)


def known(case):
    """name -> float64 array of what is right, and name -> (B,) or () of the unit of its errors.

    The unit of a tensor at a point is its Frobenius norm, or that of the terms of which it is the
    difference, if that is more.
    """
    with flint.ctx.workprec(BITS):
        z = balls(case.points)
        found = geometry(decoder_of(case), z)
        _confirm(case, found)
        units = {name: _norms(found[name]) for name in ("jacobian", "hessian", "metric")}
        units["christoffel"] = _norms(found["christoffel"])
        for name in ("riemann", "ricci", "scalar"):
            units[name] = np.maximum(_norms(found[name]), _norms(found.pop(f"{name}_terms")))
        if "gradient_z" in case.quantities:
            found["gradient_z"] = _gradient_z(case, z)
            units["gradient_z"] = _norms(found["gradient_z"][None])[0]
        if "gradient_weights" in case.quantities:
            found["gradient_weights"] = _gradient_weights(case, z)
            units["gradient_weights"] = _norms(found["gradient_weights"][None])[0]
        return {name: floats(array) for name, array in found.items()}, units


def geometry(psi, z):
    """name -> balls, of Ψ at points z (B, d)."""
    jacobian, hessian = differences(psi, z)
    metric = np.einsum("bai,baj->bij", jacobian, jacobian)
    inverse = np.stack([_inverse(g) for g in metric])
    christoffel = np.einsum("bkm,bam,baij->bkij", inverse, jacobian, hessian, optimize=True)
    second = hessian - np.einsum("bak,bkij->baij", jacobian, christoffel)
    terms = np.einsum("baik,bajl->bijkl", second, second)
    riemann = terms - np.einsum("bijlk->bijkl", terms)
    ricci_terms = np.einsum("bik,baij,bakl->bjl", inverse, second, second, optimize=True)
    ricci = np.einsum("bik,bijkl->bjl", inverse, riemann)
    return {
        "jacobian": jacobian,
        "hessian": hessian,
        "metric": metric,
        "christoffel": christoffel,
        "riemann": riemann,
        "riemann_terms": terms,
        "ricci": ricci,
        "ricci_terms": ricci_terms,
        "scalar": np.einsum("bjl,bjl->b", inverse, ricci),
        "scalar_terms": np.einsum("bjl,bjl->b", inverse, ricci_terms),
    }


def differences(psi, z, step_bits=STEP_BITS):
    """∂Ψ (B, D, d) and ∂²Ψ (B, D, d, d) by central differences with step 2^−step_bits."""
    step = flint.arb(2) ** -step_bits
    d = z.shape[1]
    unit = step * balls(np.eye(d))
    here = psi(z)
    up, down = ([psi(z + sign * unit[i]) for i in range(d)] for sign in (1, -1))
    hessian = np.empty((*here.shape, d, d), dtype=object)
    for i in range(d):
        hessian[..., i, i] = (up[i] - 2 * here + down[i]) / step**2
        for j in range(i):
            plus = psi(z + unit[i] + unit[j]) + psi(z - unit[i] - unit[j])
            minus = psi(z + unit[i] - unit[j]) + psi(z - unit[i] + unit[j])
            hessian[..., i, j] = hessian[..., j, i] = (plus - minus) / (4 * step**2)
    jacobian = np.stack([(a - b) / (2 * step) for a, b in zip(up, down, strict=True)], -1)
    return jacobian, hessian


def _gradient_z(case, z):
    """∂(mean R²)/∂z, (B, d)."""
    psi, step = decoder_of(case), flint.arb(2) ** -OUTER_STEP_BITS
    unit = step * balls(np.eye(case.dimension))
    columns = []
    for direction in unit:
        up, down = (geometry(psi, z + sign * direction)["scalar"] for sign in (1, -1))
        columns.append((up**2 - down**2) / (2 * step * len(z)))
    return np.stack(columns, -1)


def _gradient_weights(case, z):
    """∂(mean R²)/∂W of the first layer."""
    step = flint.arb(2) ** -OUTER_STEP_BITS
    first, *others = [balls(w) for w in case.weights]
    gradient = np.empty_like(first)
    for index in np.ndindex(first.shape):
        means = []
        for sign in (1, -1):
            moved = first.copy()
            moved[index] = moved[index] + sign * step
            scalar = geometry(decoder_of(case, [moved, *others]), z)["scalar"]
            means.append(np.mean(scalar**2))
        gradient[index] = (means[0] - means[1]) / (2 * step)
    return gradient


# --- the other way --------------------------------------------------------------------------------


def _confirm(case, found):
    """Raise TruthError unless closed forms, or else certificates, agree."""
    manifold = case.closed_forms()
    if manifold is None:
        return _confirm_by_certificates(case, found)
    z = torch.tensor(case.points)
    for name in ("metric", "ricci", "scalar"):
        if (form := getattr(manifold, name)) is not None:
            expected = manifold.closed_form(form, z).numpy()
            off = np.abs(floats(found[name]) - expected).max()
            if not off <= AGREEMENT * np.abs(expected).max():
                raise TruthError(f"{case.name}: {name} is off its closed form by {off:.1e}")


def _confirm_by_certificates(case, found):
    weights = [torch.tensor(w) for w in case.weights]
    enclosed = certify(lambda z: case.function(torch, weights, z), torch.tensor(case.points))
    for name in ("metric", "scalar"):
        pairs = zip(found[name].flat, getattr(enclosed, name).flat, strict=True)
        if not all(ours.overlaps(theirs) or _near(ours, theirs) for ours, theirs in pairs):
            raise TruthError(f"{case.name}: {name} is not what certificates enclose")


def _near(a, b):
    """Whether two balls differ by no more than differences are off, and eps = 1e-5 is rounded."""
    return abs(a - b).upper() <= 1e-24 * (abs(a).upper() + abs(b).upper())


def _inverse(matrix):
    return np.array(flint.arb_mat(matrix.tolist()).inv().tolist(), dtype=object)


def _norms(array):
    """Frobenius norms at each point, floats (B,)."""
    return np.sqrt((floats(array).reshape(len(array), -1) ** 2).sum(1))
