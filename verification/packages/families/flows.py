"""Flows of zuko and nflows as decoders: latents padded with zeros are carried into data."""

from functools import partial

import torch.nn.functional as F
from torch import nn

from verification.packages.case import Case, Served, prepared

_FEATURES = 5


class _Padded(nn.Module):
    """z (B, 2) -> (z, 0) (B, 5) -> from noise to data, by a flow."""

    def __init__(self, flow, to_data):
        super().__init__()
        self.flow, self.to_data = flow, to_data

    def forward(self, z):
        return self.to_data(self.flow, F.pad(z, (0, _FEATURES - z.shape[1])))


def _of_zuko(flow, x):
    return flow().transform.inv(x)


def _of_nflows(flow, x):
    return flow.inverse(x)[0]


def _zuko(name, **options):
    from zuko import flows

    return _Padded(prepared(getattr(flows, name)(_FEATURES, **options)), _of_zuko), {}


def _nflows(name, **options):
    from nflows import transforms
    from nflows.nn.nets import ResidualNet

    def network(inputs, outputs):
        return ResidualNet(inputs, outputs, hidden_features=8, num_blocks=1, activation=F.silu)

    if name == "autoregressive":
        layer = transforms.MaskedAffineAutoregressiveTransform(_FEATURES, 8, activation=F.silu)
    else:
        mask = [1, -1] * 2 + [1]
        layer = getattr(transforms, name)(mask, network, **options)
    flow = transforms.CompositeTransform([transforms.RandomPermutation(_FEATURES), layer])
    return _Padded(prepared(flow), _of_nflows), {}


_SMOOTH = {"hidden_features": (8, 8), "activation": nn.SiLU}
_zuko_case = partial(Case, "zuko", "zuko")
_nflows_case = partial(Case, "nflows", "nflows")
_RQS = "PiecewiseRationalQuadraticCouplingTransform"
CASES = (
    _zuko_case("MAF, activation=SiLU", (2,), partial(_zuko, "MAF", transforms=2, **_SMOOTH)),
    _zuko_case("RealNVP, activation=SiLU", (2,),
               partial(_zuko, "RealNVP", transforms=2, **_SMOOTH)),
    _zuko_case("RealNVP (ReLU)", (2,), partial(_zuko, "RealNVP", transforms=2),
               has_kinks=True),
    _zuko_case("NSF, activation=SiLU", (2,), partial(_zuko, "NSF", transforms=2, **_SMOOTH)),
    _zuko_case("CNF", (2,), partial(_zuko, "CNF", hidden_features=(8,), activation=nn.Tanh),
               Served.REFUSED),  # an autograd.Function of its own, for first derivatives
    _nflows_case("MaskedAffineAutoregressiveTransform, silu", (2,),
                 partial(_nflows, "autoregressive")),
    _nflows_case("AffineCouplingTransform, silu", (2,),
                 partial(_nflows, "AffineCouplingTransform")),
    _nflows_case(f"{_RQS}, silu", (2,), partial(_nflows, _RQS, tails="linear", tail_bound=4.0),
                 Served.REFUSED),  # branches on values
)  # fmt: skip
