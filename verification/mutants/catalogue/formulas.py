"""Mutations of tensor formulas, frames and the arithmetic below them."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"

ARITHMETIC = mutations(
    "arithmetic.py",
    f"{T}/test_arithmetic.py",
    (
        "return scale.prod(-1).square() * _determinant_of_correlation(correlation)",
        "return scale.prod(-1) * _determinant_of_correlation(correlation)",
        "det g is scaled back by √(g_11 g_22 ...) only",
    ),
    (
        "torch.where(regular, condition, torch.inf)",
        "torch.where(regular, condition, 1.0)",
        "a singular metric has the best condition number",
    ),
    (
        "offset = correlation[..., 0, -1].abs() * (d - 1)",
        "offset = correlation[..., 0, -1] * (d - 1)",
        "κ < 1 where the two coordinate directions meet at an obtuse angle",
    ),
    (
        "return torch.where(finite, eigenvalues[..., 0], torch.nan), eigenvalues[..., -1]",
        "return eigenvalues[..., 0], eigenvalues[..., -1]",
        "a metric of d ≥ 3 that is not finite has κ = 1",
    ),
    (
        "return inverted.mT / scale[..., :, None], factor.mT * scale[..., None, :]",
        "return inverted.mT / scale[..., None, :], factor.mT * scale[..., None, :]",
        "the frame's lengths are those of the other index",
        f"{T}/test_frames.py",
    ),
    (
        "sine = ((1 - cosine) * (1 + cosine)).sqrt()",
        "sine = ((1 - cosine) * (1 - cosine)).sqrt()",
        "the frame of a surface is not orthonormal",
        f"{T}/test_frames.py",
    ),
    (
        "inverted = torch.stack([one, zero, -cosine / sine, 1 / sine], -1)",
        "inverted = torch.stack([one, zero, cosine / sine, 1 / sine], -1)",
        "E and F are no longer inverse for d = 2",
        f"{T}/test_frames.py",
    ),
    (
        "return factor, torch.linalg.solve_triangular(factor, one, upper=False)",
        "return factor, factor.mT",
        "E is Fᵀ instead of F⁻¹ for d ≥ 3",
        f"{T}/test_frames.py",
    ),
    (
        "return adjugate / (first * last - offset * offset)[..., None, None]",
        "return adjugate / (first * last + offset * offset)[..., None, None]",
        "g⁻¹ of a surface is divided by g_11 g_22 + g_12²",
    ),
    (
        "return torch.diagonal(factor, dim1=-2, dim2=-1).prod(-1).square()",
        "return torch.diagonal(factor, dim1=-2, dim2=-1).prod(-1)",
        "det g = det L for d ≥ 3, where it is (det L)²",
    ),
    (
        'term = product - _times_identity(einsum("...ii->...", product) / k, one)',
        'term = product - _times_identity(einsum("...ii->...", product), one)',
        "the adjugate of exact matrices forgets to divide by k",
        f"{T}/test_arithmetic.py::test_inverse_of_fractions_is_exact",
    ),
    (
        "sign = (-1) ** (d - 1)",
        "sign = (-1) ** d",
        "adj A and det A have the other sign",
    ),
    (
        "HALF_PRECISION = (torch.float16, torch.bfloat16)",
        "HALF_PRECISION = (torch.float16,)",
        "factorisations are asked for in bfloat16, which torch has not",
    ),
)

METRICS = mutations(
    "metrics.py",
    f"{T}/test_formulas.py",
    (
        'return first + einsum("...jik->...ijk", first)',
        'return first + einsum("...ijk->...ijk", first)',
        "∂_k g_ij = 2 B_i,jk, not symmetric in ij",
    ),
    (
        '+ einsum("...ikjl->...ijkl", second)',
        '- einsum("...ikjl->...ijkl", second)',
        "∂∂g has a sign wrong in C",
    ),
    (
        '+ einsum("...jikl->...ijkl", third)',
        '+ einsum("...ijkl->...ijkl", third)',
        "∂∂g takes T_i,jkl twice",
    ),
    (
        '- einsum("...ijm->...mij", metric_derivative)',
        '+ einsum("...ijm->...mij", metric_derivative)',
        "Γ_m,ij adds ∂_m g_ij",
    ),
    (
        'return einsum("...ak,...aij->...kij", jacobian, hessian)',
        'return einsum("...ai,...akj->...kij", jacobian, hessian)',
        "B_k,ij has the index of ∇Ψ in the wrong place",
    ),
    (
        'return einsum("...al,...aijk->...lijk", jacobian, third)',
        'return einsum("...al,...aijk->...ijkl", jacobian, third)',
        "T has the index of ∇Ψ last",
    ),
    (
        "return sqrt(determinant(metric))",
        "return determinant(metric)",
        "the volume density is det g",
    ),
    (
        'return einsum("...km,...mij->...kij", inverse_metric, first_kind)',
        'return einsum("...im,...mkj->...kij", inverse_metric, first_kind)',
        "Γ raises another index",
    ),
)

RIEMANN = mutations(
    "riemann.py",
    f"{T}/test_closed_forms.py",
    (
        "return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]",
        "return matrix[..., 0, 0] * matrix[..., 1, 1] + matrix[..., 0, 1] * matrix[..., 1, 0]",
        "R of a surface is multiplied by another number than det g⁻¹",
        f"{T}/test_packing.py",
    ),
    (
        'return hessian - einsum("...kij,...ak->...aij", christoffel, jacobian)',
        'return hessian + einsum("...kij,...ak->...aij", christoffel, jacobian)',
        "II adds the tangential part",
    ),
    (
        'einsum("...iljk->...ijkl", normal_products)',
        'einsum("...ilkj->...ijkl", normal_products)',
        "equal, as S_il,jk = S_il,kj",
        "",
        "II_jk is symmetric, so S_il,jk = S_il,kj to the last bit",
    ),
    (
        'return einsum("...ikjl->...ijkl", normal_products) -',
        'return einsum("...ijkl->...ijkl", normal_products) -',
        "R_ijkl = S_ij,kl − S_il,jk",
    ),
    (
        'return einsum("...ik,...ijkl->...jl", inverse_metric, riemann)',
        'return einsum("...il,...ijkl->...jk", inverse_metric, riemann)',
        "Ricci is traced over the other pair: its sign",
    ),
    (
        'return einsum("...ij,...aij->...a", inverse_metric, second_fundamental_form)',
        'return einsum("...ii,...aii->...a", inverse_metric, second_fundamental_form)',
        "H leaves out II_12: right in an orthonormal frame to the last digits only",
        f"{T}/test_frames.py",
    ),
    (
        "trace = pack(inverse_metric, 2) * twice",
        "trace = pack(inverse_metric, 2)",
        "pairs i < j are counted once in tr S",
        f"{T}/test_packing.py",
    ),
    (
        "- symmetric_square(inverse_metric) * twice",
        "- symmetric_square(inverse_metric)",
        "pairs k < l are counted once in |II|²",
        f"{T}/test_packing.py",
    ),
    (
        'return einsum("...i,...j->...ij", u, v) -',
        'return einsum("...i,...j->...ij", u, v) +',
        "u ∧ v is symmetric",
    ),
    (
        'return einsum("...ij,...ij->...", lowered, bivector) / 2',
        'return einsum("...ij,...ij->...", lowered, bivector)',
        "|u ∧ v|² is twice the area squared",
    ),
    (
        'return einsum("...ijkl,...ij,...kl->...", riemann, bivector, bivector) / 4',
        'return einsum("...ikjl,...ij,...kl->...", riemann, bivector, bivector) / 4',
        "K contracts u ∧ v with R_ikjl",
    ),
)

INTRINSIC = mutations(
    "intrinsic.py",
    f"{T}/test_formulas.py",
    (
        "inverse_metric, first_kind - correction)",
        "inverse_metric, first_kind + correction)",
        "∂g⁻¹ has the wrong sign",
    ),
    (
        'first_kind = einsum("...lmij->...mijl", first_kind)',
        'first_kind = einsum("...lmij->...lijm", first_kind)',
        "∂_l Γ_m,ij takes l for m",
    ),
    (
        'correction = einsum("...mnl,...nij->...mijl", metric_derivative, christoffel)',
        'correction = einsum("...mln,...nij->...mijl", metric_derivative, christoffel)',
        "∂_l g_mn takes l for n",
    ),
    (
        'derivative = einsum("...klji->...kjil", christoffel_derivative)',
        'derivative = einsum("...kjil->...kjil", christoffel_derivative)',
        "Riemann differentiates Γ^k_ji in l and subtracts its own transposition",
    ),
    (
        'product = einsum("...kim,...mlj->...kjil", christoffel, christoffel)',
        'product = einsum("...klm,...mij->...kjil", christoffel, christoffel)',
        "ΓΓ has the wrong sign in Riemann",
    ),
    (
        'return half - einsum("...kjli->...kjil", half)',
        'return half + einsum("...kjli->...kjil", half)',
        "Riemann is symmetric in the last pair",
    ),
    (
        'return einsum("...km,...mjil->...kjil", metric, mixed)',
        'return einsum("...jm,...mkil->...kjil", metric, mixed)',
        "the lowered index comes second: the sign of R",
    ),
)

FORMULAS = mutations(
    "formulas.py",
    f"{T}/test_numbers.py",
    (
        "return riemann.scalar(self.inverse_metric, self.ricci)",
        "return riemann.scalar(self.metric, self.ricci)",
        "R is traced with g: right in an orthonormal frame to the last digits only",
    ),
    (
        'return self._unpacked(arithmetic.einsum("...pqkl->...klpq", half))',
        'return arithmetic.einsum("...pqkl->...klpq", self._unpacked(half[..., :1]))',
        "S_ij,kl of the first pair kl stands for all",
        f"{T}/test_closed_forms.py",
    ),
    (
        "if jet.order < order:",
        "if jet.order < order - 1:",
        "a jet of too low an order is let through",
        f"{T}/test_input_errors.py::test_a_jet_of_too_low_order",
    ),
    (
        "return metrics.volume_density(self.metric)",
        "return 1 / metrics.volume_density(self.metric)",
        "√det g of the frame is turned upside down: 1 on tensors up to rounding",
        f"{T}/test_numbers.py::test_volume_is_a_ball_around_the_float",
    ),
)

FRAMES = mutations(
    "frames.py",
    f"{T}/test_frames.py",
    (
        "bases.append(symmetric_square(self.basis))",
        "bases.append(symmetric_square(self.dual_basis))",
        "∂_a∂_bΨ is formed with F for E",
    ),
    (
        "for axis in (2, 3, 4):",
        "for axis in (2, 3):",
        "the last index of ∇³Ψ stays in latent coordinates",
    ),
    (
        'return torch.einsum("...ai,...i->...a", self.dual_basis, vector)',
        'return torch.einsum("...ia,...i->...a", self.dual_basis, vector)',
        "v^a is formed with Fᵀ",
        f"{T}/test_geometry.py::test_scalar_curvature_is_the_sum_of_sectional_curvatures",
    ),
    (
        "return _contract(tensor, self.dual_basis, rank)",
        "return _contract(tensor, self.dual_basis.mT, rank)",
        "T_ij is formed with Fᵀ",
    ),
    (
        "return _contract(tensor, self.basis.mT, rank)",
        "return _contract(tensor, self.basis, rank)",
        "g^ij is formed with Eᵀ",
    ),
    (
        'return torch.einsum("bkc,bcij->bkij", self.basis, self.covariant(christoffel, 2))',
        'return torch.einsum("bck,bcij->bkij", self.basis, self.covariant(christoffel, 2))',
        "Γ^k is formed with Eᵀ",
    ),
    (
        "return (basis.mT @ level.mT).mT",
        "return (basis @ level.mT).mT",
        "∂_aΨ is formed with Eᵀ",
    ),
    (
        "tensor = contracted.reshape(tensor.shape).movedim(-1, -rank)",
        "tensor = contracted.reshape(tensor.shape)",
        "only the last index is changed, as often as the tensor has indices",
    ),
    (
        "return torch.diagonal(self.dual_basis, dim1=-2, dim2=-1).prod(-1)",
        "return torch.diagonal(self.basis, dim1=-2, dim2=-1).prod(-1)",
        "√det g comes out as its reciprocal",
        f"{T}/test_closed_forms.py",
    ),
    (
        "return cls(*almost_orthonormal(metric.detach()))",
        "return cls(*(factor.detach() for factor in almost_orthonormal(metric)))",
        "the frame is held constant later",
        "",
        "no gradient flows through E either way; it would only cost time to record it",
    ),
)

PACKING = mutations(
    "packing.py",
    f"{T}/test_packing.py",
    (
        "return comb(d + rank - 1, rank)",
        "return comb(d + rank - 1, rank - 1)",
        "the number of entries is that of another rank: right where d = rank + 1",
    ),
    (
        "row_major = [place[tuple(sorted(entry))] for entry in",
        "row_major = [place[tuple(sorted(entry))] * (d < 5) for entry in",
        "unpacking repeats the first entry from d = 5 on",
    ),
    (
        "+ _take(lower, first) * _take(upper, second)",
        "+ _take(upper, second) * _take(lower, first) * 0",
        "Sym² E leaves out E^j_a E^i_b",
    ),
    (
        "return twice / (3 - multiplicities(matrix))[:, None]",
        "return twice / (3 - multiplicities(matrix))",
        "diagonal pairs are halved in the wrong index",
    ),
    (
        "counts = [2 - (i == j) for i, j in",
        "counts = [2 for i, j in",
        "diagonal entries count twice",
    ),
    (
        "return _take(tensor.reshape(*tensor.shape[:-rank], d**rank), positions)",
        "return _take(tensor.reshape(*tensor.shape[:-rank], d**rank), sorted(positions)[::-1])",
        "packed entries stand in the reverse order",
    ),
)

MUTATIONS = [
    *ARITHMETIC, *METRICS, *RIEMANN, *INTRINSIC, *FORMULAS, *FRAMES, *PACKING,
]  # fmt: skip
