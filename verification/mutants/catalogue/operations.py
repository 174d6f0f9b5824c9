"""Mutations of operations that decoders use now and then: recurrent layers, writing, ..."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"

RECURRENT = mutations(
    "providers/recurrent.py",
    f"{T}/test_recurrent.py",
    (
        "torch.sigmoid(update + h_update) * (h - candidate)",
        "torch.sigmoid(update + h_update) * (candidate - h)",
        "the update gate of a GRU keeps what it should change",
    ),
    (
        "torch.tanh(new + torch.sigmoid(reset + h_reset) * h_new)",
        "torch.tanh(new + h_new)",
        "a GRU never resets",
    ),
    (
        "gate_in, forget, cell, out = (",
        "forget, gate_in, cell, out = (",
        "an LSTM remembers by its input gate",
    ),
    (
        "for from_input in reversed(steps) if backwards else steps:",
        "for from_input in steps:",
        "the backward direction runs forward",
    ),
    (
        "torch.stack(outputs[::-1] if backwards else outputs, time)",
        "torch.stack(outputs, time)",
        "outputs of the backward direction stand in the order of running",
    ),
    (
        "state = tuple(start[k] for start in starts)",
        "state = tuple(start[layer] for start in starts)",
        "both directions begin with one state",
        "tests/curvcore/test_primitives.py",
    ),
    (
        "if dropout and train and num_layers > 1:",
        "if dropout and num_layers > 1:",
        "dropout in eval mode is refused",
    ),
)

WRITING = f"{T}/test_writing.py"
IN_PLACE = (
    mutations(
        "providers/fused/views.py",
        WRITING,
        (
            "self.parent.become(replaced(self.parent, places, new))",
            "replaced(self.parent, places, new)",
            "what is written to a view is not seen by its base",
        ),
        (
            "if self.writes != self.memory.writes:",
            "if False:",
            "a view does not see what is written to its base",
        ),
        (
            "new = self.replay.of_jet(self.parent)",
            "pass",
            "a view that was written to is laid out anew, and a reshape of it is a view",
        ),
        (
            "return storages[0]._cdata == storages[1]._cdata",
            "return True",
            "copies are taken for views",
        ),
    )
    + mutations(
        "providers/fused/jet_tensor.py",
        WRITING,
        (
            "return self._pending((self.frozen(), affine_map), shape)",
            "return self._pending((self, affine_map), shape)",
            "a linear layer sees what is written to its input afterwards",
        ),
        (
            "new = self._laid_out(new)",
            "pass",
            "what is written has strides of its own",
        ),
    )
    + mutations(
        "providers/fused/writing.py",
        WRITING,
        ("if not accumulate:", "if True:", "index_put_ never accumulates"),
    )
    + mutations(
        "providers/fresh.py",
        WRITING,
        (
            "return points.new_empty(made.shape, dtype=made.dtype).copy_(made)",
            "return made",
            "autodiff cannot write into what the decoder makes",
        ),
        (
            "if is_at_work and function in _MAKING and _is_of_numbers(made):",
            "if False:",
            "jets cannot be written into what the decoder makes",
        ),
    )
)

MATRICES = mutations(
    "providers/fused/matrices.py",
    f"{T}/test_matrix_rules.py",
    (
        "terms.append(cross(a[0], found[0], torch.matmul))",
        "terms.append(cross(a[0], found[0], torch.matmul) / 2)",
        "A_i X_j + A_j X_i counts half",
    ),
    ("lambda second, first: first @ second", "torch.matmul", "X_ij A_k for A_k X_ij"),
    (
        "right = right - mixed - mixed.mT",
        "right = right - mixed",
        "L_ij L_kᵀ without its transpose",
    ),
    (
        "- torch.eye(factor.shape[-1]).to(factor) / 2",
        "- torch.eye(factor.shape[-1]).to(factor) / 3",
        "Φ takes two thirds of the diagonal",
    ),
    (
        "logarithm = logarithm - (-1) ** n * _trace(power) / n",
        "logarithm = logarithm - _trace(power) / n",
        "the third term of log det(1 + E) has the wrong sign",
    ),
    ("for _ in range(squarings):", "for _ in range(squarings - 1):", "exp A is one root short"),
)
SPECIAL = mutations(
    "providers/fused/special_functions.py",
    f"{T}/test_special_functions.py",
    ("for n in range(40, 3, -1):", "for n in range(9, 3, -1):", "a continued fraction ends early"),
    (
        "gap = 2 * first * (2 * second - 3 * third) * first * second",
        "gap = (2 * second - first) * first - first**2",
        "ε − δ² keeps no digits in the tail",
    ),
    ("yield (2 + 8 * y * y) * first**3", "yield (2 + 4 * y * y) * first**3", "erfinv, third"),
    ("yield (3 * i0 + 4 * i2 + i4) / 8", "yield (3 * i0 + 4 * i2) / 8", "I_1, third: without I_4"),
    ("if (n + order) % 2 else derivative", "if order % 2 else derivative", "e^{−|x|} I_1 is odd"),
    ("yield -h * delta", "yield h * delta", "log Φ, second"),
    ("b = torch.where(a == 0, 1, b)", "pass", "0 log 0 is NaN"),
)
OTHERS = (
    mutations(
        "providers/fused/elementwise.py",
        f"{T}/test_special_functions.py",
        ("yield (1 + 2 * x * x) * first**5", "yield (1 + x * x) * first**5", "arcsin, third"),
        ("yield (2 + 6 * x * x) * first**3", "yield (2 + 2 * x * x) * first**3", "artanh, third"),
    )
    + mutations(
        "providers/sampling.py",
        f"{T}/test_sampling.py::test_the_value_is_that_of_torch",
        ("turns % 2 == 0", "turns % 2 == 1", "reflection goes the other way"),
        ("_A = -0.75", "_A = -0.5", "another cubic kernel than torch's"),
        (
            "weight = weight * ((pixel >= 0) & (pixel < size))",
            "pass",
            "the edge goes on where zeros are asked for",
        ),
    )
    + mutations(
        "providers/checkpoints.py",
        f"{T}/test_checkpoints.py",
        (
            "return PlainCheckpoints._originals[0].apply(run, preserve, *args)",
            "return run(*args)",
            "other threads lose their checkpoints",
        ),
        ("_replace(PlainCheckpoints._originals)", "pass", "checkpoints stay plain for ever"),
    )
    + mutations(
        "providers/fused/entries.py",
        f"{T}/test_entries.py",
        ("dim, index, source, alpha=alpha)", "dim, index, source)", "index_add forgets α"),
        ("torch.index_fill(channel, dim, index, 0)", "channel", "what is filled has derivatives"),
    )
    + mutations(
        "providers/primitives.py",
        f"{T}/test_entries.py",
        (
            "return torch.where(is_chosen.reshape(shape), src.unsqueeze(dim), x)",
            "return torch.select_scatter(x, src, dim, index)",
            "torch's gradient of select_scatter over forward mode",
        ),
    )
    + mutations(
        "providers/witness.py",
        f"{T}/test_entries.py",
        ("_compare_rows(together, value)", "pass", "a value is wrong where it is differentiated"),
    )
)

MUTATIONS = [*RECURRENT, *IN_PLACE, *MATRICES, *SPECIAL, *OTHERS]
