"""Mutations of operations that decoders use now and then: recurrent layers, writing in place."""

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
            "        new = self._laid_out(new)\n",
            "",
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

MUTATIONS = [*RECURRENT, *IN_PLACE]
