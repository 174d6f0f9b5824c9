"""Rules for functions that put entries of one tensor into another: linear in both together."""

import torch

from curvcore.errors import MissingRuleError
from curvcore.providers.fused.linear import jointly_linear
from curvcore.providers.fused.registry import composite, is_jet, named, over_channels


def _put(function, x, source):
    """The jet of function(x, source), of which one may be constant."""
    like = x if is_jet(x) else source
    pair = [
        t if is_jet(t) else torch.as_tensor(t, dtype=like.dtype, device=like.device)
        for t in (x, source)
    ]
    return jointly_linear(lambda pair: function(*pair))(pair)


@composite(*named("index_add"))
def _index_add(x, dim, index, source, *, alpha=1):
    return _put(lambda x, source: torch.index_add(x, dim, index, source, alpha=alpha), x, source)


@composite(*named("index_copy"))
def _index_copy(x, dim, index, source):
    return _put(lambda x, source: torch.index_copy(x, dim, index, source), x, source)


@composite(*named("index_fill"))
def _index_fill(x, dim, index, value):
    fill = over_channels(lambda channel: torch.index_fill(channel, dim, index, 0))
    filled = torch.index_fill(x.value, dim, index, value)
    return x.like(filled, fill(x.channels_at_every_point()))


@composite(*named("scatter"))
def _scatter(x, dim, index, src=None, *, value=None, reduce=None):
    if reduce is not None:
        raise _missing("scatter", reduce)
    source = value if src is None else src
    if not is_jet(source) and not isinstance(source, torch.Tensor):
        source = torch.full(index.shape, source, device=index.device)
    return _put(lambda x, source: torch.scatter(x, dim, index, source), x, _seen(source, index))


@composite(*named("scatter_add"))
def _scatter_add(x, dim, index, src):
    return _put(lambda x, src: torch.scatter_add(x, dim, index, src), x, _seen(src, index))


@composite(*named("scatter_reduce"))
def _scatter_reduce(x, dim, index, src, reduce, *, include_self=True):
    if reduce not in ("sum", "mean"):
        raise _missing("scatter_reduce", reduce)
    options = {"reduce": reduce, "include_self": include_self}
    return _put(
        lambda x, src: torch.scatter_reduce(x, dim, index, src, **options), x, _seen(src, index)
    )


def _seen(source, index):
    """Those entries of ``source`` that are scattered: torch has no gradient if there are others."""
    return source[tuple(slice(size) for size in index.shape)]


def _missing(name, reduce):
    return MissingRuleError(
        f"derivatives='fused' has no rule for {name} with reduce={reduce!r}. Write "
        "derivatives='autodiff', or what it does by functions that have one."
    )


@composite(*named("masked_fill"))
def _masked_fill(x, mask, value):
    return torch.where(mask, value, x)


@composite(*named("masked_scatter"))
def _masked_scatter(x, mask, source):
    return _put(lambda x, source: torch.masked_scatter(x, mask, source), x, source)


@composite(*named("slice_scatter"))
def _slice_scatter(x, src, dim=0, start=None, end=None, step=1):
    return _put(lambda x, src: torch.slice_scatter(x, src, dim, start, end, step), x, src)


@composite(*named("diagonal_scatter"))
def _diagonal_scatter(x, src, offset=0, dim1=0, dim2=1):
    return _put(lambda x, src: torch.diagonal_scatter(x, src, offset, dim1, dim2), x, src)
