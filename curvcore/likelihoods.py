"""Fisher and Rao's metric of what a decoder says of data: coordinates of families of distributions.

The metric of a product of distributions is the sum of theirs. In coordinates x of each it is a
diagonal; of families of one parameter, and of categorical ones, the Euclidean metric itself.

=================================  ==============================================  ================
family                             coordinates x                                   metric
=================================  ==============================================  ================
bernoulli, logits ℓ                2 arcsin √p                                     dx²
categorical, logits ℓ              2 √p, on a sphere of radius 2                   Σ dx²
poisson, rate λ                    2 √λ                                            dx²
gaussian, mean μ, scale σ          μ, s = log σ                                    dμ²/σ² + 2 ds²
negative binomial, mean μ,         2 √θ asinh √(μ/θ)                               dx²
dispersion θ
zero-inflated negative binomial,   α = 2 arcsin √P(X>0), λ = log μ, log θ          dα² + w dλ² + …
mean μ, dispersion θ, logits ζ
=================================  ==============================================  ================

Classes are the last axis of logits: of images (B, C, H, W), output=lambda x: x.movedim(1, -1).
Of a Gaussian this is hyperbolic, of curvature R = −1 in the two dimensions of one. With dispersion
θ, counts have variance μ + μ²/θ; θ must not depend on z. With zero inflation P(X = 0) = q is
π + (1 − π) p₀, π = σ(ζ), p₀ = (1 + μ/θ)^{−θ}; other counts are as without zeros, so that the metric
is dq²/(q(1 − q)) + (1 − q) I dμ², and w = μ² sin²(α/2) I, where

    I = (b/μ) (1 − bμ/(e^E − 1)) / (1 − p₀),   b = θ/(μ + θ),   E = θ log(1 + μ/θ) = −log p₀,

is the Fisher information of counts that are not zero. Reference: Amari, *Information Geometry and
Its Applications*, ch. 2–3; Arvanitidis et al., *Pulling back information geometry*, AISTATS 2022;
parameters of counts are those of scvi-tools.
"""

import math
import warnings
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import distributions

from curvcore.errors import DecoderError, InputError, frames_inside_curvcore
from curvcore.providers.differences import fixed_random
from curvcore.providers.structured import chosen
from curvcore.validation import list_points

_SERIES = 20  # terms: the next one is 1/21! < eps/10⁴ of their sum
_AT_ONCE, _FEW = 4096, 8  # points of which parameters are looked at
_LOGS_OF_VARIANCE = "logvar", "log_var", "log_variance"  # as autoencoders call them

# What a decoder returns, where it is no torch distribution of this kind: tensors in this order, or
# a dict, by name.
PARAMETERS = {
    "bernoulli": ("logits",),
    "categorical": ("logits",),
    "poisson": ("rate",),
    "gaussian": ("mean", "scale"),
    "negative_binomial": ("mean", "dispersion"),
    "zero_inflated_negative_binomial": ("mean", "dispersion", "zero_logits"),
}
LIKELIHOODS = tuple(PARAMETERS)


class Coordinates:
    """What a decoder returns -> coordinates x of its distributions, (B, D)."""

    def __init__(self, likelihood, output):
        self._name, self._output = likelihood, output

    def __call__(self, returned):
        return _COORDINATES[self._name](*self.parameters(returned))

    def parameters(self, returned):
        """The parameters of the distributions."""
        return _parameters(self._name, chosen(returned, self._output))

    def check(self, decoder, z, lenient):
        """Raise an InputError unless the parameters at z are in their range, or if ``lenient``.

        And where a dispersion depends on z: its Fisher information is no elementary function.
        """
        names = PARAMETERS[self._name]
        as_probabilities = names == ("logits",) and len(z) > 0 and not lenient
        for start in range(0, 0 if lenient else len(z), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            with torch.no_grad():
                parts = self.parameters(decoder.of_rows(rows).returned(z[rows].detach().clone()))
            for name, part in zip(names, parts, strict=True):
                self._check_range(name, part.flatten(1))
            as_probabilities = as_probabilities and _are_in_the_unit_interval(parts[0])
        if as_probabilities:
            self._warn_of_probabilities()
        if "dispersion" in names and len(z):
            self._check_constant(decoder.of_rows(slice(0, _FEW)), z[:_FEW])

    def _check_range(self, name, parameter):
        is_any = "logits" in name or (self._name, name) == ("gaussian", "mean")
        good = (parameter.isfinite() & (is_any | (parameter > 0))).all(1)
        if not good.all():
            raise InputError(
                f"likelihood={self._name!r}: {name} must be {'finite' if is_any else 'positive'}; "
                f"it is not at {list_points(~good)}."
            )

    def _warn_of_probabilities(self):
        inverse = "logit" if self._name == "bernoulli" else "log"
        warnings.warn(
            f"likelihood={self._name!r} takes logits; these lie between 0 and 1 at all points, as "
            f"probabilities do. Of probabilities write output=torch.{inverse}.",
            stacklevel=frames_inside_curvcore() + 1,
        )

    def _check_constant(self, decoder, z):
        size = z.detach().abs().amax(0)
        beside = fixed_random(z.numel(), z).reshape(z.shape) * torch.where(size > 0, size, 1) / 8
        for points in (z, z + beside):  # a slope may vanish at single points
            if self._moves_dispersion(decoder, points):
                raise InputError(
                    f"likelihood={self._name!r}: dispersion depends on z. Bind a decoder whose "
                    "dispersions are parameters, as of dispersion='gene' in scvi-tools."
                )

    def _moves_dispersion(self, decoder, z):
        """Whether a combination of dispersions has a slope at any of the points."""
        with torch.inference_mode(False), torch.enable_grad():
            z = z.detach().clone().requires_grad_()
            dispersion = self.parameters(decoder.returned(z))[1]
            if not dispersion.requires_grad:
                return False
            weights = fixed_random(dispersion.numel(), z).reshape(dispersion.shape)
            slope = torch.autograd.grad((weights * dispersion).sum(), z, allow_unused=True)[0]
        return slope is not None and bool(slope.any())


def _are_in_the_unit_interval(x):
    return bool(((x >= 0) & (x <= 1)).all())


def parameters_of(likelihood, output):
    """What to make of a decoder's output, and the metric of that: a diagonal, or None.

    Raises:
        InputError: there is no such likelihood.
    """
    if likelihood not in LIKELIHOODS:
        listed = ", ".join(repr(name) for name in LIKELIHOODS)
        raise InputError(f"likelihood must be one of {listed}; got {likelihood!r}.")
    return Coordinates(likelihood, output), _METRICS.get(likelihood)


def _parameters(name, returned):
    """The parameters, flattened but for the classes of a categorical distribution."""
    names = PARAMETERS[name]
    if isinstance(returned, distributions.Distribution):
        parts = _of_distribution(name, returned)
    elif isinstance(returned, Mapping):
        parts = [returned.get(key) for key in names]
    elif isinstance(returned, (tuple, list)):
        parts = list(returned)
    else:
        parts = [returned]
    if len(parts) != len(names) or any(not hasattr(part, "shape") for part in parts):
        raise DecoderError(
            f"likelihood={name!r} needs {', '.join(names)}: a dict with these keys, tensors in "
            f"this order{_or_distribution(name)}; got {_described(returned)}. Choose or make them "
            f"by output=, as in output=lambda output: {_suggested(names, returned)}."
        )
    shape = torch.broadcast_shapes(*(part.shape for part in parts))
    parts = [part.expand(shape) for part in parts]
    return parts if name == "categorical" else [part.flatten(1) for part in parts]


def _suggested(names, returned):
    """How to make the parameters from what was returned."""
    listed = [
        f"output[{name!r}]" if isinstance(returned, Mapping) and name in returned else "..."
        for name in names
    ]
    log = next((k for k in _LOGS_OF_VARIANCE if isinstance(returned, Mapping) and k in returned), 0)
    if log and "scale" in names:
        listed[names.index("scale")] = f"(output[{log!r}] / 2).exp()"
    return f"({', '.join(listed)})" if len(listed) > 1 else listed[0]


def _or_distribution(name):
    kind = _DISTRIBUTIONS.get(name, ((),))[0]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return "".join(f", or torch.distributions.{kind.__name__}" for kind in kinds)


def _described(returned):
    kind = type(returned).__name__
    if isinstance(returned, Mapping):
        return f"a {kind} of {', '.join(map(repr, returned))}"
    if isinstance(returned, (tuple, list)):
        return f"a {kind} of {', '.join(type(part).__name__ for part in returned)}"
    return kind


def _of_distribution(name, distribution):
    while isinstance(distribution, distributions.Independent):
        distribution = distribution.base_dist
    kind, parts = _DISTRIBUTIONS.get(name, (None, None))
    if kind is None or not isinstance(distribution, kind):
        return []
    return parts(distribution)


def _mean_and_dispersion(distribution):
    return distribution.total_count * distribution.logits.exp(), distribution.total_count


_DISTRIBUTIONS = {
    "bernoulli": (distributions.Bernoulli, lambda p: [p.logits]),
    "categorical": (
        (distributions.Categorical, distributions.OneHotCategorical),
        lambda p: [p.logits],
    ),
    "poisson": (distributions.Poisson, lambda p: [p.rate]),
    "gaussian": (distributions.Normal, lambda p: [p.loc, p.scale]),
    "negative_binomial": (distributions.NegativeBinomial, _mean_and_dispersion),
}


def _bernoulli(logits):
    return 2 * torch.atan(torch.tanh(logits / 4))  # 2 arcsin √p less π/2, without rounding p


def _categorical(logits):
    """Of the class that has nearly all, p = 1 − Σ of the others: its derivatives are theirs."""
    p = F.softmax(logits, -1)
    most = p > 1 / 2
    others = torch.where(most, 0, p).sum(-1, keepdim=True)
    rest = torch.sqrt(torch.where(most, 1 - others, 1))
    return (2 * torch.where(most, rest, torch.exp(F.log_softmax(logits, -1) / 2))).flatten(1)


def _poisson(rate):
    return 2 * torch.sqrt(rate)


def _gaussian(mean, scale):
    return torch.cat([mean, torch.log(scale)], 1)


def _negative_binomial(mean, dispersion):
    return 2 * torch.sqrt(dispersion) * torch.asinh(torch.sqrt(mean / dispersion))


def _zero_inflated(mean, dispersion, zero_logits):
    exponent = dispersion * torch.log1p(mean / dispersion)
    others = torch.sigmoid(-zero_logits) * -torch.expm1(-exponent)  # 1 − q
    zeros = torch.sigmoid(zero_logits) + torch.sigmoid(-zero_logits) * torch.exp(-exponent)
    zeros = torch.where(others < 1 / 2, 1 - others, zeros)  # whose derivatives are those of others
    angle = 2 * torch.atan(torch.sqrt(others / zeros))
    return torch.cat([angle, torch.log(mean), torch.log(dispersion)], 1)


_COORDINATES = {
    "bernoulli": _bernoulli,
    "categorical": _categorical,
    "poisson": _poisson,
    "gaussian": _gaussian,
    "negative_binomial": _negative_binomial,
    "zero_inflated_negative_binomial": _zero_inflated,
}


def _metric_of_gaussians(x):
    log_scale = x[:, x.shape[1] // 2 :]
    return torch.cat([torch.exp(-2 * log_scale), torch.full_like(log_scale, 2)], 1)


def _metric_of_zero_inflated(x):
    angle, log_mean, log_dispersion = x.chunk(3, 1)
    mean, dispersion = torch.exp(log_mean), torch.exp(log_dispersion)
    ratio = torch.log1p(mean / dispersion)
    exponent = dispersion * ratio
    above = -torch.expm1(-exponent)  # 1 − p₀
    share = mean * torch.exp(-ratio)  # bμ
    # 1 − bμ/(e^E − 1); where that cancels, as bμ = θ (1 − e^{−E/θ}), by h(x) = e^x − 1 − x.
    of_many = 1 - share * torch.exp(-exponent) / above
    few = torch.where(exponent < 1, exponent, 1)
    of_few = (_beyond_linear(few) + dispersion * _beyond_linear(-ratio)) / torch.expm1(few)
    information = share * torch.where(exponent < 1, of_few, of_many) / above
    one = torch.ones_like(information)
    return torch.cat([one, torch.sin(angle / 2) ** 2 * information, one], 1)


def _beyond_linear(x):
    """e^x − 1 − x, by its series where |x| < 1."""
    small = torch.abs(x) < 1
    near = torch.where(small, x, 0)
    series = torch.full_like(near, 1 / math.factorial(_SERIES))
    for n in reversed(range(2, _SERIES)):
        series = series * near + 1 / math.factorial(n)
    return torch.where(small, near**2 * series, torch.expm1(x) - x)


_METRICS = {
    "gaussian": _metric_of_gaussians,
    "zero_inflated_negative_binomial": _metric_of_zero_inflated,
}
