"""Perelman's flows of decoders: F and W as what they were made for.

===============  =================================================================================
module           what it does
===============  =================================================================================
``numbers``      F, W, ∫|Ric + ∇²f|² dm, mass, ∫R dμ, Vol and τ on a sample
``minimal``      the potential of least F or W
``ricci_flow``   the projected Ricci flow of a decoder, step by step
``surfaces``     decoders of a torus, a sphere and a dumb-bell
``patches``      the decoder of a run
``monitor``      the numbers in every epoch of a training
``command``      ``python -m training flow``, with ``pictures``
===============  =================================================================================
"""

from training.flows.minimal import MinimalPotential, fourier, spherical
from training.flows.numbers import FlowNumbers, flow_numbers, pairing, soliton_defect
from training.flows.ricci_flow import Direction, FlowStep, RicciFlow

__all__ = [
    "Direction",
    "FlowNumbers",
    "FlowStep",
    "MinimalPotential",
    "RicciFlow",
    "flow_numbers",
    "fourier",
    "pairing",
    "soliton_defect",
    "spherical",
]
