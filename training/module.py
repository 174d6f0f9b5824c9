"""The LightningModule: λ_recon · MSE + Σ λ · functional."""

import copy
import math

import lightning as L
import torch
from torch import nn

from training import waiting
from training.batches import all_points, points_of
from training.data.scaling import CommonScale
from training.datamodule import DataModule
from training.divergence import FirstDivergence, diverged
from training.errors import TrainingError
from training.functionals import PerelmanW
from training.latents import build_potentials, check_terms
from training.models import is_periodic
from training.reductions import total
from training.seeds import mixed
from training.terms import Term, Terms, compiled
from training.warm_start import fit_to_coordinates, isomap_coordinates

WARM_STARTS = ("none", "isomap")
DATA = "data_fingerprint"  # in a checkpoint
MEANS = "means"  # of the terms over the epoch that a checkpoint ends
MEASURED = ("train/", "flow/")  # what is logged at the end of an epoch begins so
WORST = 1e30  # a val/loss that is not finite: it would end EarlyStopping; a sum of these is finite


class RegularizedAutoEncoder(L.LightningModule):
    """An autoencoder whose decoder's metric is regularised.

    The data are centred and divided by one common scale, which is kept with the model; the loss and
    all functionals are in those units.

    It is fitted to a :class:`training.datamodule.DataModule` or to any loader of points (B, ...),
    or of tuples that begin with them, each flattened to D numbers::

        Trainer(max_epochs=20).fit(module, DataLoader(TensorDataset(points), 128, shuffle=True))

    Args:
        autoencoder: a module with ``encoder`` (B, D) -> (B, d) and ``decoder`` (B, d) -> (B, D).
        terms: name -> Term.
        reconstruction: λ_recon, of the mean squared error over coordinates.
        learning_rate: of Adam, falling to zero along a half cosine over all epochs.
        warm_start: ``"isomap"`` first fits encoder and decoder to Isomap coordinates of the data.
        warm_start_epochs: for how many passes over the data.
        seed: of the samples that measures draw, not negative.
        data_dimension: D, where neither the autoencoder says it (``data_dimension``) nor its
            encoder begins with a linear layer.
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
        dimension = data_dimension or _data_dimension(autoencoder)
        build_potentials(terms or {}, lambda: _latent_dimension(autoencoder, dimension))
        self.autoencoder = autoencoder
        self.terms = Terms(terms or {}, compile)
        self._reconstructed = compiled(self._reconstruct, compile)
        self._divergence = FirstDivergence(["mse", *self.terms.terms])
        self.reconstruction, self.learning_rate, self.seed = reconstruction, learning_rate, seed
        self.warm_start, self.warm_start_epochs = warm_start, warm_start_epochs
        self.scale = CommonScale(dimension).double()  # data may lie far from zero

    # --- what the model does --------------------------------------------------------------------

    def encode(self, x):
        """Latent points (B, d) of data (B, ...) of D entries each in raw units."""
        return self.autoencoder.encoder(self._scaled(x))

    def decode(self, z):
        """Data (B, D) in raw units of latent points (B, d)."""
        return self.scale.inverse(self.autoencoder.decoder(z).flatten(1))

    def _scaled(self, x):
        """Data in the units and the dtype of the networks."""
        return self.scale(x.flatten(1)).to(next(self.autoencoder.parameters()).dtype)

    def forward(self, x):
        """The reconstruction of data in raw units."""
        return self.decode(self.encode(x))

    # --- training -------------------------------------------------------------------------------

    def on_fit_start(self):
        """Fit the scale, and the warm start, to the training data; on resuming the terms alone."""
        data, is_new = self.trainer.datamodule, self.trainer.ckpt_path is None
        if not is_new and not self.terms.of_all_points:
            return
        points = data.training_points() if isinstance(data, DataModule) else self._loaded_points()
        if is_new:
            self.scale.load_state_dict(CommonScale.fit(points).state_dict())
        for functional in self.terms.of_all_points:
            functional.fit(self._scaled(points.to(self.device)), self.seed)
        if is_new:
            self._see_size(points)
        if is_new and self.warm_start == "isomap":
            self._warm_start(self._scaled(points.to(self.device)))

    def _loaded_points(self):
        """All points (n, D) of the training loader, on all processes."""
        self.trainer.fit_loop.setup_data()
        points = all_points(self.trainer.train_dataloader, self.device)
        if points.shape[1] != len(self.scale.mean):
            raise TrainingError(
                f"The model is for data of dimension {len(self.scale.mean)}; those of the loader "
                f"have {points.shape[1]}. Set data_dimension."
            )
        return points

    def _see_size(self, points):
        """Tell the τ that start from the data's size what it is: that of points in raw units."""
        taus = [f.tau for f in self.terms.functionals.values() if isinstance(f, PerelmanW)]
        if any(tau.of_data for tau in taus):
            points = self._scaled(points.to(self.device))
            d = self.autoencoder.encoder(points[:2]).shape[1]
            for tau in taus:
                tau.see(points, d)

    def _warm_start(self, points):
        d = self.autoencoder.encoder(points[:2]).shape[1]
        coordinates = isomap_coordinates(points.cpu().numpy(), d, seed=self.seed)
        coordinates = torch.from_numpy(coordinates).to(points)
        fit_to_coordinates(
            self.autoencoder, points, coordinates, epochs=self.warm_start_epochs, seed=self.seed
        )

    def on_save_checkpoint(self, checkpoint):
        """Which data they were, and what the epoch's means are, which are logged afterwards."""
        if isinstance(self.trainer.datamodule, DataModule):
            checkpoint[DATA] = self.trainer.datamodule.fingerprint()
        means = self.trainer.callback_metrics.items()
        checkpoint[MEANS] = {name: float(x) for name, x in means if name.startswith(MEASURED)}

    def on_load_checkpoint(self, checkpoint):
        """A run goes on with the data that it began with."""
        if self._trainer is not None and isinstance(self.trainer.datamodule, DataModule):
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
        x = self._scaled(points_of(batch))
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
            on_step=False, on_epoch=True, sync_dist=True, batch_size=len(x),
        )  # fmt: skip
        self.log(f"{stage}_mse", mse, prog_bar=True, logger=False, on_step=False, on_epoch=True)
        return loss

    def _reconstruct(self, x):
        """Latent points (B, d), and the mean squared error."""
        z = self.autoencoder.encoder(x)
        return z, nn.functional.mse_loss(self.autoencoder.decoder(z).flatten(1), x)

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
        if math.isinf(self.trainer.num_training_batches):
            self._pass(1.0)

    def on_train_batch_end(self, outputs, batch, index):
        """Scheduled times go on, one unit an epoch."""
        self._pass(1 / self.trainer.num_training_batches)

    def _pass(self, time):
        for functional in self.terms.functionals.values():
            if isinstance(functional, PerelmanW):
                functional.tau.step(time)

    def configure_optimizers(self):
        """Adam, with a learning rate that falls along a half cosine, step by step."""
        optimizer = torch.optim.Adam(self.parameters(), self.learning_rate)
        steps = max(1, self._number_of_steps())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: (1 + math.cos(math.pi * min(1, step / steps))) / 2
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _number_of_steps(self):
        steps = self.trainer.estimated_stepping_batches
        if steps < 0:
            raise TrainingError(
                "The training loader does not say its length: set the trainer's max_steps, along "
                "which the learning rate falls."
            )
        return steps


def _data_dimension(autoencoder):
    """What the autoencoder says, or the width of the first layer of the encoder."""
    if (said := getattr(autoencoder, "data_dimension", None)) is not None:
        return said
    layers = [part for part in autoencoder.encoder.modules() if hasattr(part, "weight")]
    if not layers or not isinstance(layers[0], nn.Linear):
        raise TrainingError(
            "The encoder does not begin with a linear layer: set model.data_dimension."
        )
    return layers[0].in_features


@torch.no_grad()
def _latent_dimension(autoencoder, dimension):
    """What the autoencoder says, or how many numbers its encoder gives."""
    if (said := getattr(autoencoder, "latent_dimension", None)) is not None:
        return said
    encoder = copy.deepcopy(autoencoder.encoder).eval()  # no statistics, no random numbers
    return encoder(next(autoencoder.parameters()).new_zeros(2, dimension)).shape[1]
