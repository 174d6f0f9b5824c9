"""Mutations of operations that decoders use now and then: recurrent layers."""

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

MUTATIONS = [*RECURRENT]
