"""A curvature-regularised autoencoder with scikit-learn's conventions."""

import copy
import math
from numbers import Integral

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

import curvcore
from training.data import Dataset
from training.errors import TrainingError
from training.extras import needed_by
from training.fitting import seeded, train
from training.models import AutoEncoder, MLPAutoEncoder
from training.module import RegularizedAutoEncoder
from training.presets import terms_of

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn 1.5

    def validate_data(estimator, X, **options):
        """The same as a method."""
        return estimator._validate_data(X, **options)


INITS = {"random": "none", "isomap": "isomap"}  # and what the module calls it
WARM_STEPS = 1500  # of the fit to Isomap coordinates, at least: what a swiss roll takes
MOST = 2000  # points that are kept for pictures
CHUNK = 4096  # points at a time


class CurvatureAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An autoencoder whose decoder's metric is regularised: λ functionals beside the MSE.

    ::

        model = CurvatureAutoencoder(2, terms={"curvature": 1e-2, "isometry": 1e-1}).fit(X)
        z = model.transform(X)
        model.geometry(z).scalar  # R, in the units of X
        model.plot().savefig("latents.png")

    Data X are (n, D), or (n, C, H, W) and the like, numpy arrays or tensors; results are numpy
    arrays. They are centred and divided by one common scale, in which the loss is.

    Args:
        latent_dimension: d, D at most.
        terms: what is added to the MSE: names of :mod:`training.presets`, a dict of name -> weight
            or of name -> :class:`training.terms.Term`, or None.
        encoder, decoder: modules of your own, smooth, both or neither; they are copied, and
            training starts with the numbers they have. None: multilayer perceptrons.
        input_shape: of a point, (C, H, W) say, as your encoder takes it and your decoder gives it,
            where it is not the shape that points have in X.
        widths, activation: of the perceptrons, as in :class:`training.models.MLPAutoEncoder`.
        max_epochs, batch_size, learning_rate: passes, points a step, and the first rate of Adam.
        init: ``"random"``, or ``"isomap"``: begin with a fit to Isomap coordinates of the data,
            which unroll a swiss roll; curvature does not. (Not scikit-learn's ``warm_start``: every
            fit begins anew.)
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``; once fitted the model is on the CPU.
        random_state: an int for the same numbers each time; see scikit-learn's glossary. The
            states of other generators than that are not touched.
        verbose: show a progress bar.

    Attributes:
        module_: the trained :class:`training.module.RegularizedAutoEncoder`, in float64, whose
            ``encode`` and ``decode`` take and give raw units.
        history_: one dict an epoch, the mean of ``loss``, ``mse`` and each term, without its
            weight, in scaled units.
        sample_: (m, D), up to 2000 of the points, for pictures.
        shape_: of one point of X.
        n_samples_: n.
        n_features_in_: D.
        feature_names_in_: names of the columns of X, if it has some.
    """

    def __init__(
        self,
        latent_dimension=2,
        terms=("curvature", "isometry"),
        *,
        encoder=None,
        decoder=None,
        input_shape=None,
        widths=(128, 128),
        activation="silu",
        max_epochs=100,
        batch_size=128,
        learning_rate=2e-3,
        init="random",
        device="cpu",
        random_state=None,
        verbose=False,
    ):
        self.latent_dimension = latent_dimension
        self.terms = terms
        self.encoder = encoder
        self.decoder = decoder
        self.input_shape = input_shape
        self.widths = widths
        self.activation = activation
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.init = init
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # --- scikit-learn's methods -----------------------------------------------------------------

    def fit(self, X, y=None):
        """Train a new model on X; y is ignored.

        Raises:
            ValueError: data or parameters that cannot be.
            TrainingError: the training came to nothing: the loss is not finite, say.
        """
        points = self._points(X, reset=True)
        self._check_parameters(points)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with seeded(seed):
            try:
                module = self._module(seed, len(points))
            except TrainingError as error:
                raise ValueError(str(error)) from error
            rows = train(
                module, points, max_epochs=self.max_epochs, batch_size=self.batch_size,
                device=self.device, verbose=self.verbose,
            )  # fmt: skip
        self.module_ = module
        self.history_ = [{k.removeprefix("train/"): x for k, x in row.items()} for row in rows]
        self.n_samples_, self._n_features_out = len(points), self.latent_dimension
        self.sample_ = points[_some(len(points), seed)].numpy()
        return self

    def transform(self, X):
        """Latent points (n, d)."""
        check_is_fitted(self, "module_")
        return _in_pieces(self.module_.encode, self._points(X))

    def inverse_transform(self, Z):
        """Points of the shape of those in X of latent points (n, d)."""
        check_is_fitted(self, "module_")
        return _in_pieces(self.module_.decode, self._latents(Z)).reshape(-1, *self.shape_)

    def score(self, X, y=None):
        """−E (x − x̂)², in raw units, the mean over points and coordinates: greater is better."""
        check_is_fitted(self, "module_")
        points = self._points(X)
        return -float(np.mean((points.numpy() - _in_pieces(self.module_, points)) ** 2))

    # --- geometry and pictures ------------------------------------------------------------------

    def geometry(self, z, **options):
        """The :class:`curvcore.PullbackGeometry` of the decoder at latent points z (n, d).

        In the units of X, in float64, and differentiable in z if that is a tensor; options are
        those of :func:`curvcore.pullback`.
        """
        check_is_fitted(self, "module_")
        return curvcore.pullback(self.module_.decode, self._latents(z), **options)

    def plot(self, X=None):
        """A matplotlib Figure: latents on the map of R, √det g and Tissot's ellipses.

        For d ≠ 2 the latents alone, in pairs of coordinates. Of X, or of the training points, at
        most 2000 are shown.
        """
        check_is_fitted(self, "module_")
        with needed_by("plot"):
            from training.pictures import fitted
        return fitted.figure(self, self._shown(X))

    def report(self, path, X=None, y=None):
        """Write the interactive page, a new .html file, on points as in ``plot``.

        Its metrics are of the points that it shows, more than 20: give points that were held out.

        Args:
            path: of the file.
            X: points; None: the training points.
            y: (n,), numbers or names of classes, which points can be coloured by.
        """
        check_is_fitted(self, "module_")
        with needed_by("report"):
            from training.report import fitted
        fitted.write(self, self._shown(X, y), path, None if X is None else len(X))

    # --- data and parameters --------------------------------------------------------------------

    def _points(self, X, reset=False):
        """The points of X, each flattened: a tensor (n, D) of float64."""
        if torch.is_tensor(X):
            X = X.detach().cpu()
            X = (X.double() if X.is_floating_point() else X).numpy()
        shape = tuple(getattr(X, "shape", ())[1:])
        if len(shape) > 1:
            X = np.asarray(X).reshape(-1, math.prod(shape))
        X = validate_data(
            self, X, dtype=np.float64, reset=reset, ensure_min_samples=2 if reset else 1
        )
        if reset:
            self.shape_ = shape if len(shape) > 1 else X.shape[1:]
        elif len(shape) > 1 and shape != self.shape_:
            raise ValueError(f"X must be (n, *{self.shape_}); got {(len(X), *shape)}.")
        return torch.tensor(X)  # a copy: the array may be read-only

    def _latents(self, z):
        """Latent points as a tensor (n, d) of float64."""
        if torch.is_tensor(z):
            z = z.to("cpu", torch.float64)
        else:
            z = torch.tensor(check_array(z, dtype=np.float64))
        if z.ndim != 2 or z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Latent points must be (n, {self._n_features_out}); got {tuple(z.shape)}."
            )
        return z

    def _shown(self, X, y=None):
        """At most 2000 points of X, or the kept ones, as a Dataset."""
        if X is None and y is not None:
            raise ValueError("y are of the points X: give both.")
        points = self.sample_ if X is None else self._points(X).numpy()
        shape = tuple(self.input_shape or self.shape_)
        data = Dataset(points, y, name="X", image_shape=shape if len(shape) in (2, 3) else None)
        return data.subset(_some(len(points), 0))

    def _check_parameters(self, points):
        """Raise ValueError, or TypeError, for what the module would not refuse."""
        for name in ("latent_dimension", "max_epochs", "batch_size"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        if self.init not in INITS:
            raise ValueError(f"init must be one of {[*INITS]}; got {self.init!r}.")
        if (self.encoder is None) != (self.decoder is None):
            raise ValueError("Give both an encoder and a decoder of your own, or neither.")
        if points.shape[1] < self.latent_dimension:
            raise ValueError(
                f"latent_dimension={self.latent_dimension} is more than the data have: "
                f"n_features={points.shape[1]}."
            )
        if not np.ptp(points.numpy(), axis=0).any():
            raise ValueError(f"All {len(points)} points are equal: there is nothing to learn.")

    def _module(self, seed, n):
        """The RegularizedAutoEncoder for n points, as yet untrained."""
        return RegularizedAutoEncoder(
            self._autoencoder(),
            terms_of(self.terms),
            learning_rate=self.learning_rate,
            warm_start=INITS[self.init],
            warm_start_epochs=max(30, WARM_STEPS // math.ceil(n / 256)),
            seed=seed,
            data_dimension=self.n_features_in_,
        )

    def _autoencoder(self):
        D, d = self.n_features_in_, self.latent_dimension
        if self.encoder is None:
            return MLPAutoEncoder(D, d, tuple(self.widths), self.activation)
        shape = self.input_shape or (self.shape_ if len(self.shape_) > 1 else None)
        if shape is not None and math.prod(shape) != D:
            raise ValueError(f"input_shape {tuple(shape)} is not of {D} numbers, as points of X.")
        own = AutoEncoder(copy.deepcopy(self.encoder), copy.deepcopy(self.decoder), shape)
        _check_shapes(own, D, d)
        return own


@torch.no_grad()
def _check_shapes(autoencoder, D, d):
    """Raise ValueError unless the encoder is (2, D) -> (2, d) and the decoder the other way."""
    tried = copy.deepcopy(autoencoder).eval()  # no statistics are changed
    x = next(tried.parameters()).new_zeros(2, D)
    z = tried.encoder(x)
    if z.shape != (2, d):
        raise ValueError(
            f"The encoder makes {tuple(z.shape)} of two points; latent_dimension={d} asks for "
            f"(2, {d})."
        )
    if (found := tuple(tried.decoder(z).flatten(1).shape)) != (2, D):
        raise ValueError(f"The decoder makes {found[1]} numbers of a point; X has {D}.")


@torch.no_grad()
def _in_pieces(function, points):
    return torch.cat([function(piece) for piece in points.split(CHUNK)]).numpy()


def _some(n, seed):
    """Sorted numbers of at most MOST of n points, chosen at random."""
    if n <= MOST:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, MOST, replace=False))
