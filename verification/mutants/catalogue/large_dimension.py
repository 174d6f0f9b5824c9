"""Wrong lines in the modules of large d and of estimates."""

from verification.mutants.mutation import mutations

LARGE = "tests/curvcore/test_large_dimension.py"
CONTRACTED = "tests/curvcore/test_contracted.py"
ESTIMATES = "tests/curvcore/test_hutchinson.py tests/curvcore/test_estimated_geometry.py"

TANGENT = mutations(
    "tangent.py",
    f"{LARGE} {ESTIMATES} tests/curvcore/test_tangent.py tests/curvcore/test_lost_digits.py",
    (
        "return lengths, scale @ correction, failed",
        "return lengths, scale, failed",
        "frames are orthonormal to κ eps",
    ),
    (
        "for _ in range(2):  # once",
        "for _ in range(0):  # once",
        "planes are spanned by vectors that are not orthogonal",
        CONTRACTED,
    ),
    (
        "vectors = of_order_one(vectors)",
        "vectors = vectors + 0",
        "planes depend on the unit of Ψ",
        CONTRACTED,
    ),
    (
        "if not len(again):",
        "if True:",
        "normal parts keep √κ eps of the tangential ones",
    ),
    (
        "if not len(again):",
        "if len(again) < len(x):",
        "vectors are projected again only where all are hardly normal",
    ),
    (
        "return _factor(self.vectors)[:2]",
        "return lengths, factor",
        "degenerate points make NaN of gradients",
    ),
    (
        "return solved / lengths[..., None]",
        "return solved",
        "frames are orthonormal in scaled coordinates",
    ),
    (
        "vectors @ x.mT / lengths[..., None]",
        "vectors @ x.mT",
        "projections miss a scale",
    ),
    (
        "(factor.diagonal(dim1=-2, dim2=-1).log() + lengths.log())",
        "(factor.diagonal(dim1=-2, dim2=-1).log() - lengths.log())",
        "the volume has the wrong units",
    ),
    (
        "(factor @ tensor @ factor.mT)",
        "(factor.mT @ tensor @ factor)",
        "tensors come back into other coordinates",
    ),
    (
        "return (factor.mT @ (lengths",
        "return (factor @ (lengths",
        "components of vectors are those in another frame",
    ),
    (
        "torch.where(failed | small, torch.inf, condition)",
        "torch.where(small, torch.inf, condition)",
        "metrics without a factorisation count as regular",
    ),
    (
        "torch.where(failed | small, torch.inf, condition)",
        "torch.where(failed, torch.inf, condition)",
        "lengths whose squares have lost digits count as regular",
    ),
)

SUMS = mutations(
    "frame_sums.py",
    LARGE,
    (
        "of_square.append(float(counts * (1 + (a != b))))",
        "of_square.append(float(counts))",
        "pairs count once in |II|²",
    ),
    (
        "block_of[a] != block_of[b] or within[a]",
        "block_of[a] != block_of[b] or True",
        "blocks count as often as they are met",
    ),
    (
        "seen.update(pair)",
        "seen.update(pair[:1])",
        "some blocks count twice",
    ),
    (
        "return _along(_trace(form), form) - rows @ rows.mT",
        "return _along(_trace(form), form) + rows @ rows.mT",
        "Ricci with the wrong sign of |II|²",
    ),
    (
        "(first * last).sum(-1) - mixed.square().sum(-1)",
        "(first * last).sum(-1)",
        "planes miss the mixed term",
    ),
)

UNITS = mutations(
    "hidden_units.py",
    f"{LARGE} {CONTRACTED}",
    (
        "along, x, 2 * second)",
        "along, x, second)",
        "mixed moments count once",
    ),
    (
        "slope = first * weight",
        "slope = weight",
        "moments go through layers without their slopes",
    ),
    (
        "curved + first * (weight @ trace)",
        "curved + weight @ trace",
        "traces go through layers without their slopes",
    ),
    (
        "torch.baddbmm(curved, first * weight, cross)",
        "torch.baddbmm(curved, weight, cross)",
        "cross moments go through layers without their slopes",
    ),
    (
        "tangential.mT, tangential, alpha=-1",
        "tangential.mT, tangential, alpha=0",
        "|II|² keeps the tangential part",
    ),
    (
        "return tangent.normal((slopes.readout @ _trace(slopes, along)).mT)[:, 0], tangent",
        "return (slopes.readout @ _trace(slopes, along))[..., 0], tangent",
        "H through units has a tangential part",
    ),
    (
        "along = [x / size for x in along]",
        "along, size = along, torch.ones_like(size)",
        "moments leave the range of float32",
    ),
    (
        "(a.mT @ b).square()",
        "(a.mT @ b).abs()",
        "products of slopes are not squared",
    ),
)

RECORDER = mutations(
    "providers/fused/recorder.py",
    LARGE,
    (
        "return bool(((value - expected).abs() <= allowed).all())",
        "return True",
        "what was recorded is believed",
    ),
)

CONTRACTIONS = mutations(
    "large_dimension.py",
    CONTRACTED,
    (
        "trace = second.unflatten(0, (-1, d)).sum(1)",
        "trace = second.unflatten(0, (-1, d)).mean(1)",
        "H is divided by d",
    ),
    (
        "return tangent.normal(trace)[:, 0], tangent",
        "return trace[:, 0], tangent",
        "H has a tangential part",
    ),
    (
        "identity(width, z.dtype, z.device) if stack.last is None else stack.last.weight",
        "_readout(stack, width, z)",
        "H is not in R^D itself",
    ),
)

ROWS = mutations(
    "frame_sums.py",
    CONTRACTED,
    (
        "return tangent.covariant(torch.cat(columns, 2) - square)",
        "return tangent.covariant(torch.cat(columns, 2) + square)",
        "Ric in blocks with the wrong sign of |II|²",
    ),
    (
        "return whole[:, : len(a), -len(b) :]",
        "return whole[:, : len(a), : len(b)]",
        "blocks of the wrong pairs",
    ),
    (
        "trace = sum(_trace(form(a, a)) for a in blocks)",
        "trace = _trace(form(blocks[0], blocks[0]))",
        "H of one block",
    ),
)

HUTCHINSON = mutations(
    "hutchinson.py",
    ESTIMATES,
    (
        "value = total / (k * (k - 1))",
        "value = total / k**2",
        "U counts pairs of a probe with itself",
    ),
    (
        "(sums.square() - q.square().sum(1)).sum(1)",
        "sums.square().sum(1)",
        "|∂ log √det g|² from a probe with itself",
    ),
    (
        "triples - 2 * (sums * slopes)",
        "triples - (sums * slopes)",
        "the product with the slope counts once",
    ),
    (
        "total.square() - 4 * rows.square().sum(1) + 2 * h.square()",
        "total.square() - 4 * rows.square().sum(1) + h.square()",
        "R² from pairs that are not disjoint",
    ),
    (
        "of_rest / (k - 2)",
        "of_rest / (k - 1)",
        "the variance of Ric(u, u) is biased",
    ),
    (
        ".mul_(2).sub_(1)",
        ".mul_(3).sub_(1)",
        "signs have no mean zero",
    ),
    (
        "generator.device.type != z.device.type",
        "False",
        "generators of other devices are torch's to refuse",
    ),
)

MATRIX_FREE = mutations(
    "matrix_free.py",
    "tests/curvcore/test_matrix_free.py",
    (
        "gradient + _quotient(square, before) * direction",
        "gradient",
        "steepest descent",
    ),
    (
        "x + length * direction, rest - length * image",
        "x + length * direction, rest + length * image",
        "residuals grow",
    ),
    (
        "found[pair] = solutions(second[:, place])[1]",
        "found[pair] = second[:, place]",
        "second derivatives keep their tangential part",
    ),
    (
        "self.residual = residual.clamp(min=self.residual)",
        "self.residual = residual",
        "only the last residual is reported",
    ),
)

MUTATIONS = [*TANGENT, *SUMS, *UNITS, *RECORDER, *CONTRACTIONS, *ROWS, *HUTCHINSON, *MATRIX_FREE]
