"""Wrong lines in what binds decoders to outputs and inputs."""

from verification.mutants.mutation import mutations

BINDING = "tests/curvcore/test_binding.py"

BOUND = mutations(
    "providers/bound.py",
    BINDING,
    (
        "own = {name: self.inputs[name][rows] for name in self.per_row}",
        "own = {name: self.inputs[name][: len(self.inputs[name][rows])] for name in self.per_row}",
        "chunks have the inputs of the first points",
    ),
    (
        "self.owner = owner if isinstance(owner, nn.Module) else None",
        "self.owner = None",
        "modules behind methods are not seen",
    ),
)

REMEMBERED = mutations(
    "providers/memory.py",
    BINDING,
    (
        "kind = method, decoder.latent_shape, tuple(decoder.inputs), decoder.per_row",
        "kind = method, id(decoder), tuple(decoder.inputs), decoder.per_row",
        "a decoder that is bound anew is compared anew",
    ),
)

CHECKED = mutations(
    "providers/witness.py",
    BINDING,
    (
        "_compare_rows(together[row], alone)",
        "pass",
        "a tensor for all points is taken for one of each",
    ),
)

KEYWORDS = mutations(
    "binding.py",
    BINDING,
    (
        "latent_shape = latent_shape or decoder.latent_shape",
        "latent_shape = latent_shape",
        "what is bound twice forgets the shape of latents",
    ),
    (
        "decoder, inputs = decoder.decoder, decoder.inputs | inputs",
        "decoder, inputs = decoder.decoder, inputs",
        "what is bound twice forgets inputs",
    ),
    (
        "if shape and shape != (decoder.latent_shape or shape):",
        "if False:",
        "latents of another shape are taken",
    ),
)

STRUCTURED = mutations(
    "providers/structured.py",
    BINDING,
    (
        "if isinstance(choice, str) and not isinstance(output, Mapping):",
        "if isinstance(choice, str):",
        "keys of a dict are taken for its attributes",
    ),
    (
        'return f"{path}.{name}" if is_attribute else f"{path}[{name!r}]"',
        'return f"{path}[{name!r}]"',
        "attributes are told to be written as items",
    ),
    (
        "return is_real and len(part.shape) > 1",
        "return is_real",
        "losses are offered as images of points",
    ),
    (
        "or _is_dataclass(part):",
        "or False:",
        "dataclasses within an output are not looked into",
    ),
)

LOWER_PRECISION = mutations(
    "providers/lower_precision.py",
    "tests/curvcore/test_never_silently_wrong.py",
    (
        'if lowered and any(getattr(x, "dtype", None) == self.dtype for x in args):',
        'if any(getattr(x, "dtype", None) == self.dtype for x in args):',
        "operations that keep the precision are blamed",
    ),
    (
        "return torch.finfo(tensor.dtype).eps > torch.finfo(dtype).eps",
        "return torch.finfo(tensor.dtype).eps < torch.finfo(dtype).eps",
        "float64 is taken for coarser than float32",
    ),
)

MUTATIONS = [*BOUND, *REMEMBERED, *CHECKED, *KEYWORDS, *STRUCTURED, *LOWER_PRECISION]
