"""Rules for writing in place: assignment to entries, and what has no form that returns anew.

Of all other functions whose name ends in an underscore the rule is that without it, written to what
they were given (:class:`curvcore.providers.fused.jet_tensor.Rules`).
"""

import torch

from curvcore.providers.fused.jet_tensor import ConstantWrittenError
from curvcore.providers.fused.registry import composite, is_jet, named
from curvcore.providers.fused.views import places_of, replaced


def _filled(x, places, value):
    """x with ``value``, a jet or a constant that broadcasts, in these places."""
    if not is_jet(value):
        value = x.constant(torch.as_tensor(value, dtype=x.dtype, device=x.device))
    while value.ndim > places.ndim and value.shape[0] == 1:
        value = value[0]
    value = value if value.dtype == x.dtype else value.to(x.dtype)
    return replaced(x, places, value.expand(places.shape))


@composite(torch.Tensor.__setitem__)
def _set(x, index, value):
    if not is_jet(x):
        raise ConstantWrittenError
    x.become(_filled(x, places_of(x)[index], value))


@composite(*named("index_put"))
def _index_put(x, indices, values, accumulate=False):
    places = places_of(x)[tuple(indices)]
    if not is_jet(x):
        raise ConstantWrittenError
    if not accumulate:
        return _filled(x, places, values)
    added = values if is_jet(values) else x.constant(values.to(x.value))
    added = added.expand(places.shape).reshape(-1)
    return x.reshape(-1).index_add(0, places.reshape(-1), added).reshape(x.shape)


@composite(torch.Tensor.copy_)
def _copy(x, source, non_blocking=False):
    if not is_jet(x):
        raise ConstantWrittenError
    return x.become(source)


@composite(torch.Tensor.fill_, torch.fill_)
def _fill(x, value):
    return _copy(x, value)


@composite(torch.Tensor.zero_, torch.zero_)
def _zero(x):
    return x.become(0)
