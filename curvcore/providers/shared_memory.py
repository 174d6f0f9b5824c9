"""Torch functions whose results may share the memory of their first argument, by name."""

# Of these and others, whose views are of other numbers than their base, or overlap.
READ_ONLY = {
    "real", "imag", "view_as_real", "view_as_complex", "unfold", "expand", "broadcast_to",
}  # fmt: skip
ALWAYS_VIEWS = READ_ONLY | {
    "view", "unflatten", "narrow", "select", "squeeze", "unsqueeze", "transpose", "swapaxes",
    "swapdims", "permute", "movedim", "moveaxis", "t", "adjoint", "chunk", "split",
    "split_with_sizes", "tensor_split", "unbind", "diagonal",
}  # fmt: skip
MAY_BE_VIEWS = {"ravel", "reshape", "flatten", "contiguous", "float", "double", "__getitem__"}
