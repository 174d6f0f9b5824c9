"""Bad decoders: what is wrong, what was got, what to do; and nothing else happens."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import curvcore
from curvcore import (
    DecoderError,
    PiecewiseLinearWarning,
    RowsNotIndependentError,
    UnsupportedOperationError,
)
from tests.support.immersions import random_points, stereographic_round_trip
from tests.support.parametrisation import every_formula
from tests.support.tolerance import assert_close

Z = random_points(5, 2, 4)


def with_z(function):
    """z ↦ (z, f(z))."""
    return lambda z: torch.cat([z, function(z)], 1)


OUTPUTS = {
    "no_batch_axis": (lambda z: z.sum(0), r"\([14], 2\) gave \(2,\)\. Keep the batch axis first"),
    "one_number_each": (lambda z: z.sum(1), r"z \([14], 2\) gave \([14],\)\. Keep the batch axis"),
    "batch_axis_last": (lambda z: torch.cat([z, z], 1).T, r"gave \(4, 1\)\. Keep the batch axis"),
    "tuple": (
        lambda z: (z, z),
        r"one tensor \(B, \.\.\.\); got tuple\. Choose a part of it: output=0",
    ),
    "dictionary": (
        lambda z: {"x": z},
        r"one tensor \(B, \.\.\.\); got dict\. Choose a part of it: output='x'",
    ),
    "nothing": (lambda z: None, r"one tensor \(B, \.\.\.\); got NoneType"),
    "complex": (lambda z: z.cfloat(), r"real floating point; got torch.complex64"),
    "integer": (lambda z: z.long(), r"real floating point; got torch.int64"),
    "too_few_outputs": (lambda z: z[:, :1], r"D = 1 outputs cannot immerse d = 2 .* D ≥ d"),
}


@every_formula
@pytest.mark.parametrize(("decoder", "message"), OUTPUTS.values(), ids=OUTPUTS)
def test_bad_outputs(decoder, message, formula):
    with pytest.raises(DecoderError, match=message):
        curvcore.pullback(decoder, Z, formula=formula)


@pytest.mark.parametrize("decoder", [None, 3, torch.zeros(2, 2)])
def test_a_decoder_must_be_callable(decoder):
    with pytest.raises(curvcore.CurvatureError, match="callable"):
        curvcore.metric(decoder, Z)


def test_parameters_of_another_dtype():
    with pytest.raises(DecoderError, match=r"float32 and z is torch.float64\. Convert one: z.to"):
        curvcore.metric(nn.Linear(2, 3), Z)


def test_output_of_another_dtype_is_named_or_works():
    """A decoder may compute in float64 on float32 points; if not, the dtypes are the message."""
    try:
        metric = curvcore.metric(with_z(lambda z: z.double().square()), Z.float())
    except DecoderError as error:
        assert "float64" in str(error)  # noqa: PT017
    else:
        assert torch.isfinite(metric).all()


def test_an_error_of_the_decoder_is_passed_on():
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        curvcore.metric(nn.Linear(3, 5).double(), Z)


# --- rows that depend on each other ---------------------------------------------------------------


def network(*layers):
    return nn.Sequential(nn.Linear(2, 8), *layers, nn.Tanh(), nn.Linear(8, 5)).double()


def attention_over_the_batch():
    attention = nn.MultiheadAttention(2, 1).double().eval()
    return with_z(lambda z: attention(z, z, z)[0])


def attention_with_dropout():
    attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True).double().train()
    return with_z(lambda z: attention(*3 * [z.repeat(1, 6).reshape(-1, 3, 4)])[0].flatten(1))


EVAL = r"[Cc]all decoder.eval\(\)"
MIXING = {
    "batch_norm": (lambda: network(nn.BatchNorm1d(8)), f"BatchNorm1d '1' is in train mode.*{EVAL}"),
    "batch_norm_no_statistics": (
        lambda: network(nn.BatchNorm1d(8, track_running_stats=False)).eval(),
        "batch_norm uses the statistics of the batch.*GroupNorm",
    ),
    "functional_batch_norm": (
        lambda: with_z(lambda z: F.batch_norm(z, None, None, training=True)),
        "batch_norm uses the statistics of the batch",
    ),
    "dropout": (lambda: network(nn.Dropout(0.3)).train(), f"dropout with p = 0.3.*{EVAL}"),
    "alpha_dropout": (lambda: network(nn.AlphaDropout(0.3)).train(), f"dropout.*{EVAL}"),
    "functional_dropout": (lambda: with_z(lambda z: F.dropout(z, 0.1)), f"p = 0.1.*{EVAL}"),
    "attention_dropout": (attention_with_dropout, f"is random.*{EVAL}"),
    "batch_mean": (lambda: with_z(lambda z: z * z.mean(0)), f"other points in the batch.*{EVAL}"),
    "batch_softmax": (lambda: with_z(lambda z: z.softmax(0)), "other points in the batch"),
    "batch_attention": (attention_over_the_batch, "other points in the batch"),
    "noise": (lambda: with_z(torch.randn_like), r"other points in the batch|is random"),
    "faint_noise": (
        lambda: with_z(lambda z: z.square() + 1e-14 * torch.randn_like(z)),
        r"is random: it calls torch.randn_like.*draw it once",
    ),
}


@every_formula
@pytest.mark.parametrize(("build", "message"), MIXING.values(), ids=MIXING)
def test_rows_that_are_not_independent(build, message, formula):
    decoder = build()
    buffers = [b.clone() for b in decoder.buffers()] if isinstance(decoder, nn.Module) else []
    with pytest.raises(RowsNotIndependentError, match=message):
        curvcore.scalar_curvature(decoder, Z, formula=formula)
    for buffer, before in zip(getattr(decoder, "buffers", list)(), buffers, strict=True):
        assert torch.equal(buffer, before)


@pytest.mark.parametrize("name", ["batch_mean", "batch_softmax", "batch_attention", "batch_norm"])
def test_coupled_rows_are_seen_at_one_point_and_at_equal_points(name):
    """With z_1 = z_2, or a single z, the first rows alone tell nothing."""
    for z in (Z[:1], Z[[0, 0, 1]], Z[:1].expand(3, 2), torch.zeros(2, 2).double()):
        with pytest.raises(RowsNotIndependentError):
            curvcore.scalar_curvature(MIXING[name][0](), z)


@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
@pytest.mark.parametrize("unit", range(3))
def test_a_first_row_that_decides_for_all_is_seen(derivatives, unit):
    """Though it decides the same for all rows near it."""
    first, last = network()[0], network()[-1]

    def decoder(z):
        h = first(z)
        return last(torch.where(h[:1, unit : unit + 1] > first.bias[unit], h.sin(), h.tanh()))

    with pytest.raises(RowsNotIndependentError):
        curvcore.scalar_curvature(decoder, Z[:4] / 100 + 1, derivatives=derivatives)


def test_a_batch_that_makes_nan_is_seen():
    def decoder(z):
        return torch.cat([z, z.square()], 1) * (1.0 if len(z) == 1 else torch.nan)

    with pytest.raises(RowsNotIndependentError):
        curvcore.jet(decoder, Z)


def test_a_decoder_may_refuse_points_far_away():
    plain = network()

    def decoder(z):
        if (z < 0.5).any():
            raise ValueError("not there")
        return plain(z)

    assert curvcore.jet(decoder, Z[:4] / 100 + 1).value.isfinite().all()


def test_dropout_of_nothing_and_dropout_in_eval_mode_are_harmless():
    plain = network()
    for layer in (nn.Dropout(0.0).train(), nn.Dropout(0.5).eval()):
        decoder = nn.Sequential(plain[0], layer, *plain[1:])
        assert_close(curvcore.metric(decoder, Z), curvcore.metric(plain, Z))


# --- piecewise linear decoders --------------------------------------------------------------------

KINKED = {
    "ReLU": nn.ReLU,
    "ReLU_in_place": lambda: nn.ReLU(inplace=True),
    "LeakyReLU": nn.LeakyReLU,
    "LeakyReLU_in_place": lambda: nn.LeakyReLU(inplace=True),
    "PReLU": nn.PReLU,
    "ReLU6": nn.ReLU6,
    "Hardtanh": nn.Hardtanh,
    "Hardswish": nn.Hardswish,
    "MaxPool1d": lambda: nn.Sequential(nn.Unflatten(1, (2, 4)), nn.MaxPool1d(1), nn.Flatten()),
}


@every_formula
@pytest.mark.parametrize("build", KINKED.values(), ids=KINKED)
def test_piecewise_decoders_warn_once(build, formula):
    torch.manual_seed(1)
    decoder = nn.Sequential(nn.Linear(2, 8), build(), nn.Linear(8, 5)).double()
    with pytest.warns(
        PiecewiseLinearWarning, match=r"R = 0 almost everywhere.*Use a smooth act"
    ) as seen:
        curvcore.scalar_curvature(decoder, Z, formula=formula, on_degenerate="nan")
    assert [w.category for w in seen].count(PiecewiseLinearWarning) == 1


@pytest.mark.parametrize("entry", [curvcore.scalar_curvature, curvcore.pullback, curvcore.metric])
def test_one_warning_for_all_chunks_and_it_points_at_the_caller(entry):
    decoder = with_z(torch.relu)
    with pytest.warns(PiecewiseLinearWarning, match="relu") as seen:
        entry(decoder, Z, chunk_size=1)
    assert len(seen) == 1
    assert seen[0].filename == __file__


def test_smooth_decoders_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curvcore.scalar_curvature(with_z(F.normalize), Z + 3)
        curvcore.scalar_curvature(network(nn.SiLU(), nn.LayerNorm(8)), Z)


# --- operations without, or with wrong, derivatives -----------------------------------------------


class Square(torch.autograd.Function):
    """A custom function of the old style: torch.func refuses it."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient * ctx.saved_tensors[0]


class ReverseOnly(torch.autograd.Function):
    """A custom function without jvp: no forward mode."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient * ctx.saved_tensors[0]


class WrongTangent(ReverseOnly):
    """Its jvp and its backward contradict each other (though not in order 3, where both are 0)."""

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx, tangent):
        return 3 * tangent * ctx.saved_tensors[0]


def zeta(z):
    return torch.special.zeta(z.square() + 2, z.square() + 1)


def through_numpy(z):
    return torch.from_numpy(z.detach().numpy() ** 2)


REFUSED = {
    "zeta": (zeta, r"zeta"),
    "numpy": (through_numpy, r"numpy"),
    "old_function": (Square.apply, r"Square|setup_context"),
    "reverse_only_function": (ReverseOnly.apply, r"ReverseOnly|jvp"),
    "branch_on_values": (lambda z: z**2 if (z.sum(1) > -9).all() else z, r"control flow|__bool__"),
}


@every_formula
@pytest.mark.parametrize(("function", "name"), REFUSED.values(), ids=REFUSED)
def test_an_operation_that_refuses_forward_mode_is_named(function, name, formula):
    with pytest.raises(UnsupportedOperationError, match=name) as caught:
        curvcore.scalar_curvature(with_z(function), Z, formula=formula, derivatives="autodiff")
    assert "Write that operation" in str(caught.value)


@every_formula
def test_a_wrong_derivative_formula_is_found_out(formula):
    with pytest.raises(UnsupportedOperationError, match="wrong derivative formula"):
        curvcore.scalar_curvature(
            with_z(WrongTangent.apply), Z, formula=formula, derivatives="autodiff"
        )


@every_formula
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_layer_norm_hidden_in_torchscript_is_found_out(formula):
    """No function mode sees inside: only the comparison of two kinds of derivatives does."""
    layer = nn.Linear(2, 8).double()
    hidden = torch.jit.script(nn.LayerNorm(8).double())
    with pytest.raises(UnsupportedOperationError, match="TorchScript"):
        curvcore.scalar_curvature(
            with_z(lambda z: hidden(layer(z)).tanh()), Z, formula=formula, derivatives="autodiff"
        )


@every_formula
def test_rounding_is_not_taken_for_a_wrong_derivative(formula):
    """Where the highest derivative vanishes, two routes to it differ by all of its digits."""
    scalar = curvcore.scalar_curvature(
        stereographic_round_trip, Z, formula=formula, derivatives="autodiff"
    )
    assert_close(scalar, 0, scale=1.0, factor=1e4)


def test_the_message_gives_the_words_of_torch():
    with pytest.raises(UnsupportedOperationError, match=r"torch says: .*forward AD") as caught:
        curvcore.metric(with_z(zeta), Z, derivatives="autodiff")
    assert isinstance(caught.value.__cause__, RuntimeError)
