"""The numbers of a flow in every epoch of a training: flow/F, flow/W, ... in the log."""

import copy

import torch
from lightning.pytorch import Callback

from training.errors import TrainingError
from training.flows.numbers import FlowNumbers, flow_numbers
from training.functionals import PerelmanF, PerelmanW, SampledGeometry
from training.reductions import own_part, total
from training.seeds import mixed

POINTS = 512  # at most, of those held out
PREFIX = "flow/"
COLUMNS = tuple(PREFIX + name for name in FlowNumbers._fields)


class FlowMonitor(Callback):
    """Logs :class:`training.flows.FlowNumbers` once an epoch, where there is an F or a W term.

    At the first 512 held-out points (of the training points if none are held out), encoded, or what
    the term's measure draws for them, always by one seed; in float64, in units of the networks. Of
    several such terms, the first; none of a term whose R is estimated, since d is large. τ is that
    of a W; for an F, which has none, tr Cov/2n of the decoded points, by which W is logged too.
    Where there is nothing to be known, all degenerate, the numbers are NaN. The training is not
    touched: no random number is drawn, no gradient.
    """

    def __init__(self):
        self._decoder = None

    def on_train_epoch_end(self, trainer, module):
        """Before the checkpoints, which keep the means of the epoch for the log."""
        term = first_term(module)
        if term is None or term.functional.estimator is not None:
            return
        numbers = self._numbers(trainer.datamodule, module, term)
        module.log_dict(
            dict(zip(COLUMNS, numbers, strict=True)), on_step=False, on_epoch=True, sync_dist=False
        )

    @torch.no_grad()
    def _numbers(self, data, module, term):
        points = torch.from_numpy((data.parts[1] if len(data.parts[1]) else data.parts[0]).points)
        encoder, decoder = self._copies(module)
        x = module.scale(points[:POINTS].to(module.device)).double()
        sample = term.measure.sample(encoder(own_part(x)), mixed(module.seed, 2, 0, 0))
        try:
            on = SampledGeometry(decoder, sample, order=3)
            potential = copy.deepcopy(term.functional.potential).double()
            is_w = isinstance(term.functional, PerelmanW)
            tau = term.functional.tau() if is_w else _tau(decoder, on)
            numbers = flow_numbers(on, potential, tau, is_w)
        except TrainingError:
            return [torch.tensor(torch.nan)] * len(COLUMNS)
        return [number.float() for number in numbers]

    def _copies(self, module):
        """Encoder and decoder in float64, made once, with the weights of now."""
        autoencoder = module.autoencoder
        if self._decoder is None:
            pair = (autoencoder.encoder, autoencoder.decoder)
            self._decoder = [copy.deepcopy(part).double().eval() for part in pair]
        for own, part in zip(
            self._decoder, (autoencoder.encoder, autoencoder.decoder), strict=True
        ):
            own.load_state_dict(part.state_dict())
        return self._decoder


def first_term(module):
    """The first Term of a RegularizedAutoEncoder that is Perelman's F or W; None without."""
    terms = module.terms.terms.values()
    return next((t for t in terms if isinstance(t.functional, PerelmanF | PerelmanW)), None)


def _tau(decoder, on):
    """tr Cov/2n of the decoded points, on all processes."""
    share = on.weights / total(on.weights)
    x = decoder(on.z).flatten(1)
    mean = torch.stack([total(share * column) for column in x.unbind(1)])
    return total(share * (x - mean).square().sum(1)) / (2 * on.dimension)
