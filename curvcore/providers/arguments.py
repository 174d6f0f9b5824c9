"""Arguments of torch's functions, however a decoder writes them."""

from torch.overrides import resolve_name

_FIRST = ("condition", "input", "A", "x", "x1")  # torch's names of first arguments
_LIKE_NUMPY = {"axis": "dim", "keepdims": "keepdim"}


def by_position(function, args, kwargs):
    """``args`` and ``kwargs``, the first argument by position, the others by torch's own names.

    Functions that are not torch's keep theirs.
    """
    if not kwargs:
        return args, kwargs
    names = [name for name in (*_FIRST, *_LIKE_NUMPY) if name in kwargs]
    if not names or resolve_name(function) is None:
        return args, kwargs
    kwargs = {_LIKE_NUMPY.get(name, name): value for name, value in kwargs.items()}
    if not args and names[0] in _FIRST:
        args = (kwargs.pop(names[0]),)
    return args, kwargs
