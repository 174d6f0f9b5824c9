"""Which operations of a decoder change their formula from point to point.

A kink can be written in a hundred ways: ``relu(h)``, ``h.clamp_(min=0)``, ``where(h > 0, h, 0)``,
``h * (h > 0)``, ``max(h, dim=1)``, ``sort``, ``masked_fill``, inside TorchScript or a custom
``autograd.Function``. Below torch's Python interface they are a few: comparisons, and what else
makes whole numbers of real ones, and the operations listed here. So they are looked for there,
among the operations that the decoder runs at a few points on what depends on z.
"""

import math

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from curvcore.providers.primitives import call_plainly

_OUTSIDE = "code outside torch"
_LEAVING = {
    getattr(torch.Tensor, name)
    for name in ("numpy", "__array__", "__dlpack__", "data_ptr", "tolist")
}


def operations_of(decoder, z):
    """What decoder(z) runs: a :class:`Switches`."""
    switches = Switches()
    with torch.no_grad(), _Exits(switches), switches:
        output = call_plainly(decoder, switches.followed(z))
        if isinstance(output, torch.Tensor):
            switches.check(output)
    return switches


class Switches(TorchDispatchMode):
    """Within this context, operations that switch between formulas are remembered.

    Attributes:
        kinked: names of activations and poolings that are made of pieces, whatever they are given.
        switching: names of operations that can switch, and did not do the same to all entries: a
            guard against zero that nothing meets is not among them. Whether a kink results is for
            :mod:`curvcore.providers.jumps` to say. Operations unknown to torch belong here too.
    """

    def __init__(self):
        super().__init__()
        self.kinked, self.switching = set(), set()
        self._storages = {}  # of what depends on z, by address; held, so that none is used twice
        self._follow = self._is_followed = False

    def followed(self, z):
        """A copy of z, from which on what depends on it is looked at."""
        # By an operation, since under a transform of torch.func z itself has no memory.
        self._follow = True
        copy = z.detach().clone()
        self._follow = False
        return copy

    def check(self, output):
        """See whether ``output`` depends on z; else something between cannot be seen from here."""
        self._is_followed = False
        output.clone()
        if not self._is_followed:
            self.switching.add(_OUTSIDE)

    def note_exit(self, tensor):
        """See whether what ``tensor`` holds, which code outside torch is given, depends on z."""
        if self._depends(tensor):
            self.switching.add(_OUTSIDE)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = list(_tensors((args, kwargs)))
        self._is_followed = any(map(self._depends, given))
        if not (self._is_followed or self._follow):
            return function(*args, **kwargs)
        before = args
        if function._schema.is_mutable:  # in place: what was there is gone afterwards
            before = tuple(self._copy(x) if isinstance(x, torch.Tensor) else x for x in args)
        output = function(*args, **kwargs)
        made = list(_tensors(output))
        for tensor in made:
            self._remember(tensor)
        if self._is_followed:
            self._look_at(function, before, kwargs, given, made)
        return output

    def _depends(self, tensor):
        return tensor.untyped_storage()._cdata in self._storages

    def _remember(self, tensor):
        """That it depends on z, and so all views of its memory."""
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = storage

    def _copy(self, tensor):
        copy = tensor.clone()
        if self._depends(tensor):
            self._remember(copy)
        return copy

    def _look_at(self, function, args, kwargs, given, made):
        namespace, _, name = function.name().partition("::")
        name = name.partition(".")[0].strip("_")
        output = made[0] if made else None
        if name in _KINKED and _KINKED[name](output, *args, **kwargs):
            self.kinked.add(_LABELS.get(name, name))
        elif namespace != "aten":
            self.switching.add(function.name())
        elif (
            (name in _SWITCHING and _SWITCHING[name](output, *args, **kwargs))
            or _is_singular_nearby(name, output, *map(self._varying, args), **kwargs)
            or _makes_whole_numbers(name, given, made)
        ):
            self.switching.add(_LABELS.get(name, name))

    def _varying(self, x):
        """x, or ones in place of a tensor that does not depend on z: nor will it then vanish."""
        constant = isinstance(x, torch.Tensor) and not self._depends(x)
        return torch.ones_like(x) if constant else x


class _Exits(TorchFunctionMode):
    """Within this context tensors that are handed to numpy, to kernels or to C are noted."""

    def __init__(self, switches):
        super().__init__()
        self.switches = switches

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in _LEAVING:
            self.switches.note_exit(args[0])
        return function(*args, **(kwargs or {}))


def _tensors(arguments):
    """The tensors in nested arguments."""
    if isinstance(arguments, torch.Tensor):
        yield arguments
    elif isinstance(arguments, (tuple, list)):
        for argument in arguments:
            yield from _tensors(argument)
    elif isinstance(arguments, dict):
        yield from _tensors(tuple(arguments.values()))


def _differ(tensor):
    """Whether not all entries are equal."""
    return bool((tensor != tensor.flatten()[:1]).any())


def _is_whole(tensor):
    """Whether it holds whole numbers."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def _makes_whole_numbers(name, given, made):
    """Whether it makes whole numbers of real ones, and not one and the same number of all."""
    return (
        not name.startswith(_INTEGERS_ASIDE)
        and any(x.is_floating_point() for x in given)
        and any(_differ(x) for x in made if _is_whole(x))
    )


# --- pieces, whatever they are given ------------------------------------------------------------


def _always(*args, **kwargs):
    return True


def _of_both_signs(output, x, *args):
    return not x.is_complex() and _differ(x > 0)


def _has_two_slopes(output, x, alpha=1, scale=1, input_scale=1):
    """ELU has the slope ``scale`` on the right of zero, scale · alpha · input_scale on its left."""
    return not math.isclose(alpha * input_scale, 1)


_KINKED = {"relu": _of_both_signs, "elu": _has_two_slopes} | dict.fromkeys(
    (
        "leaky_relu", "prelu_kernel", "rrelu_with_noise", "rrelu_with_noise_functional",
        "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "threshold",
        "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices",
        "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d",
        "fractional_max_pool2d", "fractional_max_pool3d",
    ),
    _always,
)  # fmt: skip

# --- did it switch? -----------------------------------------------------------------------------


def _changed(output, x, *args, **kwargs):
    """Whether a bound was met."""
    return bool(((output != x) & ~(output.isnan() & x.isnan())).any())


def _of_both(output, a, b):
    return _differ(a > b)


def _copied_sign(output, x, sign):
    return _differ(sign > 0)


def _rounded(output, x, y, rounding_mode=None):
    return rounding_mode is not None


def _norm(output, x, ord=2, *args, **kwargs):
    return ord not in (2, None)


def _distance(output, a, b, p, *args):
    return p != 2


_SWITCHING = {
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max", "nan_to_num"), _changed),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), _of_both),
    **dict.fromkeys(("sign", "sgn", "heaviside", "abs", "special_i0e"), _of_both_signs),
    **dict.fromkeys(
        (
            "relu", "max", "min", "amax", "amin", "aminmax", "median", "nanmedian",
            "floor", "ceil", "round", "trunc", "frac", "fmod", "remainder", "floor_divide",
            "renorm", "grid_sampler_2d", "grid_sampler_3d",
            "cudnn_grid_sampler", "multi_margin_loss",
            "asin", "acos", "atan2", "angle", "linalg_qr", "linalg_eigh", "linalg_svd",
            "linalg_pinv", "linalg_lstsq",
        ),
        _always,
    ),
    "copysign": _copied_sign,
    "div": _rounded,
    "linalg_vector_norm": _norm,
    "norm": _norm,
    "cdist_forward": _distance,
}  # fmt: skip

# --- is it singular close by? -------------------------------------------------------------------


def _near_zero(x):
    """√x² and log x² have their kink where x vanishes: is that far from here?"""
    size = x.abs()
    return bool(size.min() < size.max() / 10)


def _crosses_zero(x):
    """Whether a denominator does: 1 + exp(−x) does not, though it is large here and there."""
    size = x.abs()
    return _of_both_signs(x, x) or bool(size.min() < size.median() / 10)


def _output(output, *args, **kwargs):
    return output


def _first(output, a, *args, **kwargs):
    return a


def _second(output, a, b, *args, **kwargs):
    return b


def _base(output, x, exponent):
    whole = not isinstance(exponent, torch.Tensor) and float(exponent).is_integer()
    return None if whole and exponent >= 0 else x


def _determinant(output, a, *args, **kwargs):
    return torch.linalg.det(a)


def _of_triangular(output, a, *args, **kwargs):
    return a.diagonal(dim1=-2, dim2=-1).prod(-1)


# What vanishes where the operation is singular, and whether it does so close by.
_SINGULAR = {
    _near_zero: {
        **dict.fromkeys(
            (
                "sqrt", "hypot", "std", "std_mean", "acosh", "linalg_cholesky_ex",
                "linalg_vector_norm", "norm", "cdist_forward",
            ),
            _output,
        ),
        **dict.fromkeys(("log", "log2", "log10", "rsqrt"), _first),
        "abs": lambda output, x: output if x.is_complex() else None,
        "xlogy": _second,
        "log1p": lambda output, x: 1 + x,
        "special_xlog1py": lambda output, factor, x: 1 + x,
        "logit": lambda output, x, *eps: x * (1 - x),
    },
    _crosses_zero: {
        **dict.fromkeys(("reciprocal", "lgamma", "digamma"), _first),
        "div": _second,
        "addcdiv": lambda output, summand, a, b, **kwargs: b,
        "pow": _base,
        "tan": lambda output, x: x.cos(),
        **dict.fromkeys(("linalg_inv_ex", "linalg_solve_ex", "linalg_slogdet"), _determinant),
        **dict.fromkeys(("linalg_lu_solve", "linalg_solve_triangular"), _of_triangular),
        "cholesky_solve": lambda output, b, a, *upper: _of_triangular(output, a),
    },
}  # fmt: skip


def _is_singular_nearby(name, *args, **kwargs):
    for comes_close, vanishing in _SINGULAR.items():
        x = vanishing[name](*args, **kwargs) if name in vanishing else None
        if isinstance(x, torch.Tensor) and not _is_whole(x) and comes_close(x):
            return True
    return False


_LABELS = {
    "elu": "selu, or elu with alpha ≠ 1",
    "prelu_kernel": "prelu",
    "rrelu_with_noise": "rrelu",
    "cdist_forward": "cdist",
    "linalg_vector_norm": "norm",
}

# They tell of pivots, or of the state of a library.
_INTEGERS_ASIDE = ("linalg", "lu", "cudnn", "miopen", "scaled_dot_product")
