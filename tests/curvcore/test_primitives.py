"""Each torch function that is swapped for primitives keeps its value, whatever its arguments."""

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import resolve_name

from curvcore.providers import primitives
from tests.support import recurrent
from tests.support.immersions import random_rotation, tensor
from tests.support.tolerance import assert_close

linalg = torch.linalg


X, Y = tensor(4, 6), tensor(4, 6, seed=1)
IMAGE = tensor(2, 4, 3, 5)
WEIGHT, BIAS = tensor(6, seed=2), tensor(6, seed=3)
CHANNELS = tensor(4, seed=4), tensor(4, seed=5)
STATISTICS = tensor(4, seed=6), tensor(4, seed=7, positive=True)
SQUARE = tensor(3, 4, 4, seed=8)  # determinants of either sign
POSITIVE = SQUARE @ SQUARE.mT + torch.eye(4, dtype=torch.float64)
FACTOR = linalg.cholesky(POSITIVE)
HERMITIAN = torch.complex(SQUARE + SQUARE.mT, SQUARE - SQUARE.mT)
COMPLEX = torch.complex(SQUARE, tensor(3, 4, 4, seed=9))
COMPLEX_FACTOR = linalg.cholesky(COMPLEX @ COMPLEX.mH + torch.eye(4))
ROTATION = random_rotation(0, 4)

CALLS = {
    "layer_norm": lambda: F.layer_norm(X, (6,)),
    "layer_norm_affine": lambda: F.layer_norm(X, (6,), WEIGHT, BIAS, 1e-3),
    "layer_norm_weight_only": lambda: F.layer_norm(X, (6,), WEIGHT),
    "layer_norm_two_axes": lambda: F.layer_norm(IMAGE, (3, 5)),
    "layer_norm_of_torch": lambda: torch.layer_norm(X, (6,), WEIGHT, BIAS, 1e-3, False),
    "group_norm": lambda: F.group_norm(IMAGE, 2, *CHANNELS),
    "instance_norm": lambda: F.instance_norm(IMAGE, eps=1e-3),
    "instance_norm_affine": lambda: F.instance_norm(IMAGE, weight=CHANNELS[0], bias=CHANNELS[1]),
    "instance_norm_one_axis": lambda: F.instance_norm(IMAGE.flatten(2)),
    "instance_norm_statistics": lambda: F.instance_norm(
        IMAGE, *STATISTICS, *CHANNELS, use_input_stats=False
    ),
    "rms_norm": lambda: F.rms_norm(X, (6,), WEIGHT),
    "rms_norm_of_halves": lambda: F.rms_norm((X / 100).half(), (6,)),
    "rsqrt": lambda: X.square().rsqrt(),
    "roots": lambda: X.abs() ** 0.3,
    "negative_powers": lambda: X**-3,
    "powers_of_integers": lambda: torch.arange(5) ** 2.5,
    "integer_powers": lambda: X**3,
    "complex_powers": lambda: torch.view_as_real(torch.complex(X, Y) ** -1.5),
    "powers_that_are_tensors": lambda: X.abs() ** Y,
    "powers_at_zero": lambda: torch.tensor([0.0, 1.0]) ** 0.5,
    "silu": lambda: F.silu(X),
    "silu_in_place": lambda: F.silu(X.clone(), inplace=True),
    "mish": lambda: F.mish(30 * X),
    "glu": lambda: F.glu(X),
    "glu_axis": lambda: F.glu(IMAGE, dim=1),
    "logit": lambda: torch.logit(X.sigmoid()),
    "logit_eps": lambda: torch.logit(tensor(50, positive=True), eps=0.2),
    "logit_method": lambda: X.sigmoid().logit(),
    "det": lambda: linalg.det(SQUARE),
    "det_method": lambda: SQUARE[0].det(),
    "det_one": lambda: torch.det(SQUARE[:, :1, :1]),
    "det_rotation": lambda: linalg.det(ROTATION),
    "slogdet_sign": lambda: linalg.slogdet(SQUARE).sign,
    "slogdet_logarithm": lambda: linalg.slogdet(SQUARE).logabsdet,
    "slogdet_unpacked": lambda: torch.stack([*torch.slogdet(SQUARE)]),
    "slogdet_method": lambda: SQUARE.slogdet()[1],
    "logdet": lambda: torch.logdet(POSITIVE),
    "logdet_method": lambda: POSITIVE[0].logdet(),
    "solve_vector": lambda: linalg.solve(SQUARE[0], SQUARE[1, 0]),
    "solve_vectors": lambda: linalg.solve(SQUARE, SQUARE[:, 0]),
    "solve_matrix": lambda: linalg.solve(SQUARE, SQUARE[:, :, :2]),
    "solve_square_matrix": lambda: linalg.solve(SQUARE, SQUARE.mT),
    "solve_one_matrix_for_all": lambda: linalg.solve(SQUARE, ROTATION),
    "solve_right": lambda: linalg.solve(SQUARE, SQUARE[:, :2], left=False),
    "polar": lambda: torch.view_as_real(torch.polar(X, Y)),
    "cholesky_reads_one_triangle": lambda: linalg.cholesky(POSITIVE + SQUARE.triu(1)),
    "cholesky_reads_the_upper": lambda: linalg.cholesky(POSITIVE + SQUARE.tril(-1), upper=True),
    "cholesky_inverse": lambda: torch.cholesky_inverse(FACTOR),
    "cholesky_inverse_upper": lambda: torch.cholesky_inverse(FACTOR.mT, upper=True),
    "cholesky_inverse_reads_one_triangle": lambda: torch.cholesky_inverse(
        FACTOR + torch.ones(4, 4, dtype=torch.float64).triu(1)
    ),
    "cdist": lambda: torch.cdist(X, Y),
    "cdist_batch": lambda: torch.cdist(IMAGE, IMAGE[:, :1, :2] + 1),
    "cdist_1": lambda: torch.cdist(X, Y, p=1.0),
    "cdist_3": lambda: torch.cdist(X, Y, p=3.0),
    "cdist_infinity": lambda: torch.cdist(X, Y, p=torch.inf),
    "norm": lambda: X.norm(),
    "norm_axis": lambda: X.norm(dim=1),
    "norm_keepdim": lambda: torch.norm(X, dim=-1, keepdim=True),
    "norm_axes": lambda: IMAGE.norm(dim=(2, 3)),
    "norm_1": lambda: X.norm(p=1, dim=0),
    "norm_3": lambda: torch.norm(X, 3, 1),
    "norm_infinity": lambda: X.norm(p=float("inf"), dim=1),
    "norm_dtype": lambda: X.float().norm(2, 1, False, torch.float64),
    "norm_nuclear": lambda: SQUARE[0].norm(p="nuc"),
    "norm_frobenius": lambda: SQUARE.norm(p="fro", dim=(1, 2)),
    "linalg_norm": lambda: linalg.norm(X, dim=1),
    "linalg_norm_all": lambda: linalg.norm(IMAGE),
    "linalg_norm_vector_2": lambda: linalg.norm(WEIGHT, 2),
    "linalg_norm_spectral": lambda: linalg.norm(SQUARE[0], 2),
    "linalg_norm_row_sums": lambda: linalg.norm(SQUARE, 1, dim=(1, 2)),
    "vector_norm": lambda: linalg.vector_norm(X, dim=1),
    "vector_norm_all": lambda: linalg.vector_norm(IMAGE),
    "vector_norm_axes": lambda: linalg.vector_norm(IMAGE, 3, dim=(1, 2), keepdim=True),
    "vector_norm_0": lambda: linalg.vector_norm(X, 0, dim=1),
    "vector_norm_minus_infinity": lambda: linalg.vector_norm(X, -torch.inf, dim=1),
    "matrix_norm": lambda: linalg.matrix_norm(SQUARE),
    "matrix_norm_keepdim": lambda: linalg.matrix_norm(IMAGE, dim=(1, 3), keepdim=True),
    "matrix_norm_nuclear": lambda: linalg.matrix_norm(SQUARE, "nuc"),
    "eigenvalues": lambda: linalg.eigh(POSITIVE).eigenvalues,
    "eigenvectors": lambda: linalg.eigh(POSITIVE)[1],
    "eigh_reads_one_triangle": lambda: linalg.eigvalsh(SQUARE),
    "eigvalsh_of_nothing": lambda: linalg.eigvalsh(SQUARE[:, :0, :0]),
    "eigh_reads_the_upper": lambda: linalg.eigvalsh(SQUARE, UPLO="U"),
    "slogdet_complex": lambda: torch.view_as_real(linalg.slogdet(COMPLEX).sign),
    "slogdet_complex_singular": lambda: torch.view_as_real(
        linalg.slogdet(torch.stack([COMPLEX[0], 0 * COMPLEX[0]])).sign
    ),
    "logdet_complex": lambda: torch.view_as_real(torch.logdet(COMPLEX).exp()),
    "cholesky_inverse_complex": lambda: torch.view_as_real(torch.cholesky_inverse(COMPLEX_FACTOR)),
    "cholesky_inverse_complex_upper": lambda: torch.view_as_real(
        torch.cholesky_inverse(COMPLEX_FACTOR.mH, True)
    ),
    "vector_norm_complex": lambda: linalg.vector_norm(COMPLEX, dim=-1),
    "matrix_norm_complex": lambda: linalg.matrix_norm(COMPLEX),
    "norm_complex": lambda: COMPLEX.norm(),
    "pairwise_distance_complex": lambda: F.pairwise_distance(COMPLEX, HERMITIAN),
    "eigvalsh_complex": lambda: linalg.eigvalsh(HERMITIAN),
    "eigvalsh_complex_upper": lambda: linalg.eigvalsh(HERMITIAN + HERMITIAN.tril(-1), UPLO="U"),
    "sinc": lambda: torch.sinc(X / 3),
    "sinc_zero": lambda: torch.special.sinc(0 * X),
    "prod": lambda: X.prod(),
    "prod_axis": lambda: torch.prod(IMAGE, 1, keepdim=True),
    "prod_last": lambda: IMAGE.prod(-1),
    "prod_one": lambda: X[:, :1].prod(1),
    "prod_none": lambda: X[:, :0].prod(1),
    "prod_scalar": lambda: X[0, 0].prod(),
    "prod_dtype": lambda: X.float().prod(0, dtype=torch.float64),
    "prod_in_order": lambda: torch.tensor([1e20, 1e-20, 1e20, 1e-20, 1e20]).prod(),
    "prod_by_names_of_numpy": lambda: torch.prod(x=X, axis=1, keepdims=True),
    "cumprod": lambda: X.cumprod(1),
    "cumprod_of_numbers": lambda: torch.vmap(torch.vmap(lambda x: x.cumprod(0)))(X),
    "cumprod_of_nothing": lambda: X[:, :0].cumprod(1),
    "cumprod_first": lambda: torch.cumprod(IMAGE, dim=0),
    "cumprod_scalar": lambda: X[0, 0].cumprod(0),
    "std": lambda: X.std(),
    "std_axis": lambda: X.std(1),
    "std_biased": lambda: torch.std(X, 1, False),
    "std_by_position": lambda: torch.std(X, 1, False, True),
    "std_correction": lambda: torch.std(X, dim=(0, 1), correction=0, keepdim=True),
    "std_mean": lambda: torch.stack([*torch.std_mean(X, 1)]),
    "renorm": lambda: X.renorm(2, 0, 2.5),
    "renorm_axis": lambda: torch.renorm(IMAGE, 1, -2, 3.0),
    "normalize": lambda: F.normalize(X),
    "normalize_axis": lambda: F.normalize(IMAGE, dim=-1),
    "normalize_1": lambda: F.normalize(X, p=1.0, dim=0),
    "normalize_eps": lambda: F.normalize(1e-3 * X, eps=1.0),
    "cosine_similarity": lambda: F.cosine_similarity(X, Y),
    "cosine_similarity_broadcast": lambda: F.cosine_similarity(X[:, None], Y[None], dim=-1),
    "cosine_similarity_one_vector": lambda: F.cosine_similarity(X, WEIGHT),
    "cosine_similarity_one_column": lambda: F.cosine_similarity(X[:, :1], Y),
    "cosine_similarity_long": lambda: F.cosine_similarity(1e100 * X, 1e100 * Y, -1, 1e140),
    "pairwise_distance": lambda: F.pairwise_distance(X, Y),
    "pairwise_distance_1": lambda: F.pairwise_distance(X, Y, p=1.0, keepdim=True),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_value_is_that_of_torch(call):
    expected = call()
    with primitives.PrimitiveOperations():
        actual = call()
    # These matrices have condition numbers of some hundreds, and two algorithms round differently.
    assert_close(actual, expected, factor=1e4)


NORM = {"dim": (-2, -1), "keepdim": True, "dtype": torch.float64}
PAIR = {"x1": X, "x2": Y}
BY_KEYWORDS = {
    **recurrent.BY_KEYWORDS,
    F.layer_norm: {
        "input": X, "normalized_shape": (6,), "weight": WEIGHT, "bias": BIAS, "eps": 1e-3
    },
    torch.layer_norm: {"input": X, "normalized_shape": (6,), "eps": 1e-3, "cudnn_enable": False},
    F.instance_norm: {
        "input": IMAGE, "running_mean": None, "running_var": None, "weight": CHANNELS[0],
        "bias": CHANNELS[1], "use_input_stats": True, "momentum": 0.2, "eps": 1e-3,
    },
    F.group_norm: {
        "input": IMAGE, "num_groups": 2, "weight": CHANNELS[0], "bias": CHANNELS[1], "eps": 1e-3
    },
    torch.group_norm: {"input": IMAGE, "num_groups": 2, "eps": 1e-3, "cudnn_enabled": False},
    F.rms_norm: {"input": X, "normalized_shape": (6,), "weight": WEIGHT, "eps": 1e-3},
    torch.rms_norm: {"input": X, "normalized_shape": (6,)},
    F.silu: {"input": X, "inplace": False},
    F.mish: {"input": X, "inplace": False},
    F.glu: {"input": X, "dim": 0},
    F.celu: {"input": X, "alpha": 0.7, "inplace": False},
    torch.celu: {"input": X, "alpha": 0.7},
    torch.logit: {"input": X.sigmoid(), "eps": 0.2},
    torch.special.logit: {"input": X.sigmoid(), "eps": 0.2},
    torch.rsqrt: {"input": X.square()},
    torch.pow: {"input": X.abs(), "exponent": -0.7},
    torch.polar: {"abs": X, "angle": Y},
    torch.select_scatter: {"input": X, "src": Y[:, 0], "dim": 1, "index": -2},
    torch.sinc: {"input": X},
    torch.special.sinc: {"input": X},
    torch.nan_to_num: {"input": X / X.clamp_min(0), "nan": 1.0, "posinf": 2.0, "neginf": -3.0},
    F.one_hot: {"input": torch.tensor([[0, 3], [2, 1]]), "num_classes": 5},
    torch.equal: {"input": X, "other": X.clone()},
    torch.prod: {"input": X.float(), "dim": 1, "keepdim": True, "dtype": torch.float64},
    torch.cumprod: {"input": X.float(), "dim": 1, "dtype": torch.float64},
    linalg.matrix_norm: {"input": SQUARE.float(), "ord": "fro", **NORM},
    linalg.norm: {"input": SQUARE.float(), "ord": "fro", **NORM},
    linalg.vector_norm: {"input": SQUARE.float(), "ord": 3, **NORM},
    torch.norm: {"input": SQUARE.float(), "p": 3, **NORM},
    torch.cdist: {**PAIR, "p": 3.0, "compute_mode": "donot_use_mm_for_euclid_dist"},
    torch.std: {"input": X, "dim": 1, "correction": 0, "keepdim": True},
    torch.std_mean: {"input": X, "dim": 1, "correction": 0, "keepdim": True},
    torch.renorm: {"input": X, "p": 2, "dim": 0, "maxnorm": 2.0},
    F.normalize: {"input": X, "p": 3.0, "dim": 0, "eps": 1e-3},
    F.cosine_similarity: {**PAIR, "dim": 0, "eps": 1e-3},
    F.pairwise_distance: {**PAIR, "p": 3.0, "eps": 1e-3, "keepdim": True},
    torch.det: {"input": SQUARE},
    linalg.det: {"A": SQUARE},
    torch.slogdet: {"input": SQUARE},
    linalg.slogdet: {"A": SQUARE},
    torch.logdet: {"input": POSITIVE},
    linalg.solve: {"A": SQUARE, "B": SQUARE[:, :2], "left": False},
    linalg.inv: {"A": SQUARE},
    torch.inverse: {"input": SQUARE},
    linalg.cholesky: {"input": POSITIVE, "upper": True},
    torch.cholesky_inverse: {"input": FACTOR.mT, "upper": True},
    F.grid_sample: {
        "input": IMAGE, "grid": IMAGE[:, :2].movedim(1, -1), "mode": "bicubic",
        "padding_mode": "border", "align_corners": True,
    },
    linalg.eigh: {"input": SQUARE, "UPLO": "U"},
    linalg.eigvalsh: {"input": SQUARE, "UPLO": "U"},
}  # fmt: skip


def parts(result):
    results = result if isinstance(result, tuple) else (torch.as_tensor(result),)
    return [_as_real(x) for x in results]


def _as_real(x):
    if x.is_complex():
        return torch.view_as_real(x)
    return x if x.is_floating_point() else x.double()


@pytest.mark.parametrize("function", primitives.PRIMITIVES, ids=resolve_name)
def test_arguments_have_the_names_of_torch(function):
    """All of them by name, but the tensor of which a function is a method."""
    _, _, method = resolve_name(function).partition("Tensor.")
    args, kwargs = (), BY_KEYWORDS[getattr(torch, method.strip("_")) if method else function]
    if method:
        args, kwargs = (kwargs["input"],), {k: v for k, v in kwargs.items() if k != "input"}
    with primitives.PrimitiveOperations():
        actual = function(*args, **kwargs)
    for one, other in zip(parts(actual), parts(function(*args, **kwargs)), strict=True):
        assert_close(one, other, factor=1e4)


IN_PLACE = {
    "sinc_": lambda x: x.sinc_(),
    "torch.sinc_": lambda x: torch.sinc_(x),
    "logit_": lambda x: x.logit_(0.2),
    "torch.logit_": lambda x: torch.logit_(input=x, eps=0.2),
    "cumprod_": lambda x: x.cumprod_(dim=1),
    "renorm_": lambda x: x.renorm_(2, 0, 2.0),
    "celu_": lambda x: F.celu_(x, 0.7),
    "view": lambda x: x[:, 1:3].sinc_(),
}


@pytest.mark.parametrize("call", IN_PLACE.values(), ids=IN_PLACE)
def test_what_works_in_place_writes(call):
    expected, actual = X.clone(), X.clone()
    returned = call(expected)
    with primitives.PrimitiveOperations():
        assert_close(call(actual), returned)
    assert_close(actual, expected)


@pytest.mark.parametrize(
    "function",
    [
        lambda factor: torch.cholesky_inverse(factor),
        lambda factor: torch.cholesky_inverse(factor.mT, upper=True),
        lambda matrix: linalg.inv(matrix),
        lambda matrix: linalg.solve(matrix, SQUARE),
        lambda matrix: linalg.solve(matrix, SQUARE[:, 0]),
    ],
)
def test_what_has_no_inverse_is_not_finite_alone(function):
    zero_in_one_row = torch.ones(3, 4, 1, dtype=torch.float64)
    zero_in_one_row[1, 2] = 0
    with primitives.PrimitiveOperations():
        actual = function(FACTOR * zero_in_one_row)
    assert not actual[1].isfinite().all()
    assert_close(actual[::2], function(FACTOR)[::2], factor=1e4)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32])
@pytest.mark.parametrize(
    "product",
    [torch.prod, lambda x: x.prod(0), lambda x: torch.prod(x[0], 0), lambda x: x.cumprod(0)],
)
def test_products_of_integers_are_widened(product, dtype):
    """As torch does: 4^20 has no place in 32 bits."""
    constant = torch.full((20,), 4).to(dtype)
    with primitives.PrimitiveOperations():
        actual = product(constant)
    expected = product(constant)
    assert actual.dtype == expected.dtype
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("upper", [False, True])
def test_the_inverse_of_a_cholesky_factor_has_its_condition_number(upper):
    """1/δ; that of F Fᴴ is 1/δ², of which float32 would keep a digit."""
    delta = 1e-3
    factor = torch.tensor([[1, 0], [1, delta]])
    factor = factor.mT if upper else factor
    with primitives.PrimitiveOperations():
        actual = torch.cholesky_inverse(factor, upper=upper)
    expected = torch.cholesky_inverse(factor.double(), upper=upper)
    assert_close(actual, expected.float(), scale=expected.abs().max() / delta, factor=10)


def test_logdet_of_a_negative_determinant_is_nan():
    negative = SQUARE[linalg.det(SQUARE) < 0]
    with primitives.PrimitiveOperations():
        assert torch.logdet(negative).isnan().all()
        assert torch.logdet(negative * torch.nan).isnan().all()
        assert (torch.logdet(0 * negative) == -torch.inf).all()


def test_the_context_leaves_torch_as_it_was():
    mode = primitives.PrimitiveOperations()
    with mode:
        torch.relu(X)
        assert mode.operation == "torch.relu"
    assert F.layer_norm is torch.nn.functional.layer_norm
    torch.tanh(X)
    assert mode.operation == "torch.relu"
