"""What torch is doing with the code at the moment."""

import torch
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad


def is_plain_eager():
    """Whether neither a compiler nor a transform is at work: only then derivatives go by hand.

    A compiler fuses the plain form as well. torch.func takes the jvp of a custom function for
    constant when it differentiates that again.
    """
    return not torch.compiler.is_compiling() and not is_transformed()


def is_transformed():
    """Whether a transform of torch.func, or forward mode, is at work."""
    if torch.compiler.is_compiling():
        return False
    return peek_interpreter_stack() is not None or forward_ad._current_level >= 0
