"""The LightningModule: λ_recon · MSE + Σ λ · functional."""

import math

import lightning as L
import torch
from torch import nn

from training import waiting
from training.data.scaling import CommonScale
from training.divergence import FirstDivergence, diverged
from training.errors import TrainingError
from training.functionals import PerelmanW
from training.latents import check_terms
from training.models import is_periodic
from training.reductions import total
from training.seeds import mixed
from training.terms import Term, Terms, compiled
from training.warm_start import fit_to_coordinates, isomap_coordinates

WARM_STARTS = ("none", "isomap")
DATA = "data_fingerprint"  # in a checkpoint
MEANS = "means"  # of the terms over the epoch that a checkpoint ends
WORST = 1e30  # a val/loss that is not finite: it would end EarlyStopping; a sum of these is finite


class RegularizedAutoEncoder(L.LightningModule):
    """An autoencoder whose decoder's metric is regularised.

    The data are centred and divided by one common scale, which is kept with the model; the loss and
    all functionals are in those units.

    Args:
        autoencoder: a module with ``encoder`` (B, D) -> (B, d) and ``decoder`` (B, d) -> (B, D).
        terms: name -> Term.
        reconstruction: λ_recon, of the mean squared error over coordinates.
        learning_rate: of Adam, falling to zero along a half cosine over all epochs.
        warm_start: ``"isomap"`` first fits encoder and decoder to Isomap coordinates of the data.
        warm_start_epochs: for how many passes over the data.
        seed: of the samples that measures draw, not negative.
        data_dimension: D, where it is not the width of the encoder's first weight matrix.
        compile: let torch.compile make one program of reconstruction and one of each measure's
            functionals, their gradients included: ``True``, or its mode, such as
            ``"reduce-overhead"`` (CUDA graphs).
    """

    def __init__(
        self,
        autoencoder: nn.Module,
        terms: dict[str, Term] | None = None,
        reconstruction: float = 1.0,
        learning_rate: float = 1e-3,
        warm_start: str = "none",
        warm_start_epochs: int = 30,
        seed: int = 0,
        data_dimension: int | None = None,
        compile: bool | str = False,
    ):
        super().__init__()
        if warm_start not in WARM_STARTS:
            raise TrainingError(f"warm_start must be one of {WARM_STARTS}; got {warm_start!r}.")
        if warm_start == "isomap" and is_periodic(autoencoder):
            raise TrainingError("warm_start isomap needs a plane: Isomap is not periodic.")
        if not 0 < learning_rate < math.inf or warm_start_epochs < 1:
            raise TrainingError(
                "learning_rate and warm_start_epochs must be positive; got "
                f"{learning_rate} and {warm_start_epochs}."
            )
        if seed < 0:
            raise TrainingError(f"seed must not be negative; got {seed}.")
        check_terms(terms or {}, autoencoder)
        self.autoencoder = autoencoder
        self.terms = Terms(terms or {}, compile)
        self._reconstructed = compiled(self._reconstruct, compile)
        self._divergence = FirstDivergence(["mse", *self.terms.terms])
        self.reconstruction, self.learning_rate, self.seed = reconstruction, learning_rate, seed
        self.warm_start, self.warm_start_epochs = warm_start, warm_start_epochs
        dimension = data_dimension or _input_width(autoencoder.encoder)
        self.scale = CommonScale(dimension).double()  # data may lie far from zero

    # --- what the model does --------------------------------------------------------------------

    def encode(self, x):
        """Latent points (B, d) of data (B, D) in raw units."""
        return self.autoencoder.encoder(self._scaled(x))

    def decode(self, z):
        """Data (B, D) in raw units of latent points (B, d)."""
        return self.scale.inverse(self.autoencoder.decoder(z))

    def _scaled(self, x):
        """Data in the units and the dtype of the networks."""
        return self.scale(x).to(next(self.autoencoder.parameters()).dtype)

    def forward(self, x):
        """The reconstruction of data in raw units."""
        return self.decode(self.encode(x))

    # --- training -------------------------------------------------------------------------------

    def on_fit_start(self):
        """Fit the scale, and the warm start, to the training data; on resuming the terms alone."""
        points, is_new = self.trainer.datamodule.training_points(), self.trainer.ckpt_path is None
        if is_new:
            self.scale.load_state_dict(CommonScale.fit(points).state_dict())
        points = self._scaled(points.to(self.device))
        self.terms.fit(points, self.seed)
        if is_new and self.warm_start == "isomap":
            self._warm_start(points)

    def _warm_start(self, points):
        d = self.autoencoder.encoder(points[:2]).shape[1]
        coordinates = isomap_coordinates(points.cpu().numpy(), d, seed=self.seed)
        coordinates = torch.from_numpy(coordinates).to(points)
        fit_to_coordinates(
            self.autoencoder, points, coordinates, epochs=self.warm_start_epochs, seed=self.seed
        )

    def on_save_checkpoint(self, checkpoint):
        """Which data they were, and what the epoch's means are, which are logged afterwards."""
        checkpoint[DATA] = self.trainer.datamodule.fingerprint()
        means = self.trainer.callback_metrics.items()
        checkpoint[MEANS] = {name: float(x) for name, x in means if name.startswith("train/")}

    def on_load_checkpoint(self, checkpoint):
        """A run goes on with the data that it began with."""
        if self._trainer is not None:
            self.trainer.datamodule.expect(checkpoint.get(DATA))

    def training_step(self, batch, index):
        """The loss of one batch."""
        epoch = self.current_epoch + index / max(1, self.trainer.num_training_batches)
        seed = mixed(self.seed, 0, self.current_epoch, index)
        return self._loss(batch, "train", epoch, self.terms, seed)

    def validation_step(self, batch, index):
        """The same on data that were held out, with the weights that the schedules end with."""
        seed = mixed(self.seed, 1, 0, index)  # the same points of measures in every epoch
        self._loss(batch, "val", self.current_epoch, self.terms.held_out, seed)

    def _loss(self, batch, stage, epoch, terms, seed):
        x = self._scaled(batch)
        z, mse = self._reconstructed(x)
        values, degenerate = terms(self.autoencoder, x, z, epoch, seed)
        parts = {"mse": self.reconstruction * mse}
        parts |= {name: weight * value for name, (weight, value) in values.items()}
        loss = sum(parts.values()) + self.terms.idle(values)
        if stage == "train" and not waiting.reading_is_free(loss):
            self._divergence.note(loss, parts, self.global_step)
        else:
            loss = self._checked(loss, parts, epoch)
        shown = {"loss": loss, "mse": mse, "degenerate_points": total(degenerate.to(mse))}
        shown |= {name: value for name, (_, value) in values.items()}
        self.log_dict(
            {f"{stage}/{name}": value for name, value in shown.items()},
            on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch),
        )  # fmt: skip
        self.log(f"{stage}_mse", mse, prog_bar=True, logger=False, on_step=False, on_epoch=True)
        return loss

    def _reconstruct(self, x):
        """Latent points (B, d), and the mean squared error."""
        z = self.autoencoder.encoder(x)
        return z, nn.functional.mse_loss(self.autoencoder.decoder(z), x)

    def _checked(self, loss, parts, epoch):
        """The loss if it is finite; what is not at work at this epoch cannot stop the run."""
        if torch.isfinite(loss):
            return loss
        at_work = ("mse", *self.terms.weights(epoch))
        working = {name: part for name, part in parts.items() if name in at_work}
        if len(working) == len(parts) or not torch.isfinite(sum(working.values())):
            raise TrainingError(diverged(working, self.global_step))
        return torch.full_like(loss, WORST)

    def check_divergence(self):
        """Raise TrainingError if a loss was not finite; asked before any checkpoint is kept."""
        self._divergence.check()

    def on_validation_start(self):
        """Before the best checkpoint."""
        self.check_divergence()

    def on_train_epoch_end(self):
        """Where nothing is held out."""
        self.check_divergence()

    def on_train_batch_end(self, outputs, batch, index):
        """Scheduled times go on, one unit an epoch."""
        for functional in self.terms.functionals.values():
            if isinstance(functional, PerelmanW):
                functional.tau.step(1 / self.trainer.num_training_batches)

    def configure_optimizers(self):
        """Adam, with a learning rate that falls along a half cosine, step by step."""
        optimizer = torch.optim.Adam(self.parameters(), self.learning_rate)
        steps = max(1, self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: (1 + math.cos(math.pi * min(1, step / steps))) / 2
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def _input_width(encoder):
    widths = [layer.in_features for layer in encoder.modules() if isinstance(layer, nn.Linear)]
    if not widths:
        raise TrainingError("The encoder has no linear layer: set model.data_dimension.")
    return widths[0]
