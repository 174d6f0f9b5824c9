"""The jet of a decoder whose operations round another way: how far is it from the first?"""

import torch

from curvcore.errors import MissingRuleError
from curvcore.providers import fused
from curvcore.providers.autodiff import plain_jet
from curvcore.providers.roundings import RoundedOperations


def rounded_jet(decoder, z, order):
    """The jet of ``decoder`` at points (B, d), each operation moved by a few eps.

    By the fused rules if it has them all, whose own errors are smaller, and else by nested forward
    mode. It is compared with nothing: that was done with the jet that it is held against.

    Raises:
        CurvatureError: the decoder is no longer what it was.
    """
    try:
        return fused.rounded_jet(decoder, z, order)
    except MissingRuleError:
        with torch.inference_mode(False), torch.no_grad(), RoundedOperations():
            return plain_jet(decoder, z.clone(), order)
