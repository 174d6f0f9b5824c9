"""Recurrent layers by their equations, for :mod:`curvcore.providers.primitives` and for jets.

One step, with σ the logistic function and the rows of W_ih, W_hh in the order of the gates::

    RNN    h' = tanh(W x + W h)                      or relu
    GRU    r, u = σ(W x + W h),  n = tanh(W x + r (W h)),  h' = n + u (h − n)
    LSTM   i, f, o = σ(W x + W h),  g = tanh(W x + W h),  c' = f c + i g,  h' = [P] o tanh c'

torch's own are one operation each, without forward mode. Source: the documentation of
:class:`torch.nn.GRU`, :class:`torch.nn.LSTM` and :class:`torch.nn.RNN`.
"""

from functools import partial

import torch
import torch.nn.functional as F

from curvcore.errors import RowsNotIndependentError, UnsupportedOperationError

# --- one step: W_ih x + b_ih, the state (h,) or (h, c), parameters -> the state -----------------


def _rnn_step(activation, from_input, state, w_hh, b_hh=None):
    return (activation(from_input + F.linear(state[0], w_hh, b_hh)),)


def _gru_step(from_input, state, w_hh, b_hh=None):
    (h,) = state
    reset, update, new = from_input.chunk(3, -1)
    h_reset, h_update, h_new = F.linear(h, w_hh, b_hh).chunk(3, -1)
    candidate = torch.tanh(new + torch.sigmoid(reset + h_reset) * h_new)
    return (candidate + torch.sigmoid(update + h_update) * (h - candidate),)


def _lstm_step(from_input, state, w_hh, b_hh=None, w_hr=None):
    h, c = state
    gate_in, forget, cell, out = (from_input + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(gate_in) * torch.tanh(cell)
    h = torch.sigmoid(out) * torch.tanh(c)
    return h if w_hr is None else F.linear(h, w_hr), c


_STEPS = {
    "rnn_tanh": partial(_rnn_step, torch.tanh),
    "rnn_relu": partial(_rnn_step, torch.relu),
    "gru": _gru_step,
    "lstm": _lstm_step,
}

# --- cells ----------------------------------------------------------------------------------------


def _cell(step):
    def cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
        is_lstm = isinstance(hx, (tuple, list))
        state = step(F.linear(input, w_ih, b_ih), hx if is_lstm else (hx,), w_hh, b_hh)
        return state if is_lstm else state[0]

    return cell


# --- sequences ------------------------------------------------------------------------------------


def _sequence(step):
    def sequence(
        input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    ):
        """(output, h_n), and c_n of an LSTM, of (L, B, F) or with ``batch_first`` (B, L, F)."""
        if not isinstance(has_biases, bool):  # torch's other form of the same function
            raise UnsupportedOperationError(
                "The decoder gives a recurrent layer a packed sequence, which mixes the rows. Give "
                "it a tensor of padded sequences."
            )
        if dropout and train and num_layers > 1:
            raise RowsNotIndependentError(
                f"The decoder's recurrent layers drop units with p = {dropout}: its output is "
                "random. Call decoder.eval() before asking for curvature."
            )
        time, directions = int(batch_first), 1 + bool(bidirectional)
        starts = hx if isinstance(hx, (tuple, list)) else (hx,)
        weights = list(_of_layers(params, num_layers * directions, has_biases))
        ends = []
        for layer in range(num_layers):
            outputs = []
            for k in range(layer * directions, (layer + 1) * directions):
                state = tuple(start[k] for start in starts)
                output, state = _run(step, input, state, weights[k], time, k % directions == 1)
                outputs.append(output)
                ends.append(state)
            input = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        return input, *(torch.stack(last) for last in zip(*ends, strict=True))

    return sequence


def _of_layers(params, count, has_biases):
    """(W_ih, b_ih, further parameters of a step) of every layer and direction."""
    each = len(params) // count
    for first in range(0, len(params), each):
        w_ih, w_hh, *rest = params[first : first + each]
        b_ih, b_hh, *rest = rest if has_biases else (None, None, *rest)
        yield w_ih, b_ih, (w_hh, b_hh, *rest)


def _run(step, input, state, weights, time, backwards):
    """The h of all times, stacked, and the last state."""
    w_ih, b_ih, parameters = weights
    steps = F.linear(input, w_ih, b_ih).unbind(time)
    outputs = []
    for from_input in reversed(steps) if backwards else steps:
        state = step(from_input, state, *parameters)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backwards else outputs, time), state


RECURRENT = {getattr(torch, name): _sequence(step) for name, step in _STEPS.items()} | {
    getattr(torch, f"{name}_cell"): _cell(step) for name, step in _STEPS.items()
}
