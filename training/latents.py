"""What may be done on a latent space: on a torus no boxes, segments or kernels of a plane."""

import warnings

from training.errors import TrainingError
from training.functionals import FixedMeasure, GraphStress, LearnedPotential, NetworkFunctional
from training.measures import (
    EncodedPoints,
    ImportanceWeights,
    Mixtures,
    SmoothedPoints,
    UniformBox,
)
from training.models import is_periodic

OF_A_PLANE = (ImportanceWeights, Mixtures, SmoothedPoints, UniformBox)
BY_KERNELS = (EncodedPoints, ImportanceWeights, Mixtures)  # measures whose density is estimated
LARGEST_OF_KERNELS = 4  # dimension in which that estimate is of use: training.density_error


def check_terms(terms, autoencoder):
    """Raise a TrainingError where a term does not fit the latent space of the autoencoder.

    Args:
        terms: name -> Term.
        autoencoder: its ``latent`` is ``"torus"`` or a plane, and its ``latent_dimension`` d; what
            it does not say is not checked.
    """
    torus, d = is_periodic(autoencoder), getattr(autoencoder, "latent_dimension", None)
    for name, term in terms.items():
        potentials = [part for part in term.functional.modules() if _is_potential(part)]
        for potential in potentials:
            _check_potential(name, potential, torus, d)
        if torus and isinstance(term.functional, GraphStress):
            raise TrainingError(
                f"terms.{name}: GraphStress is for a plane: geodesic distances of data on a torus "
                "are no distances of one period."
            )
        if isinstance(term.functional, NetworkFunctional):
            continue
        needs_density = bool(potentials) or getattr(term.functional, "scale_free", False)
        if torus:
            _check_measure_of_a_torus(name, term, needs_density)
        elif d is not None and d > LARGEST_OF_KERNELS:
            _warn_of_kernels(name, term, needs_density, d)


def build_potentials(terms, latent_dimension):
    """Make the potentials of terms that do not say their d functions of the latent points.

    Args:
        terms: name -> Term.
        latent_dimension: called for d if there is one.
    """
    parts = [part for term in terms.values() for part in term.functional.modules()]
    for part in parts:
        if isinstance(part, LearnedPotential) and part.d is None:
            part.build(latent_dimension())


def _is_potential(part):
    return isinstance(part, FixedMeasure | LearnedPotential)


def _check_potential(name, potential, torus, d):
    if not isinstance(potential, LearnedPotential):
        return
    if torus and not potential.periodic:
        raise TrainingError(
            f"terms.{name}: on a torus a LearnedPotential must be periodic, or it is no function "
            "on it. Set its periodic to true."
        )
    if None not in (d, potential.d) and d != potential.d:
        raise TrainingError(
            f"terms.{name}: the LearnedPotential is of {potential.d} variables; latent points have "
            f"{d}. Set its d."
        )


def _check_measure_of_a_torus(name, term, needs_density):
    kind = type(term.measure).__name__
    if isinstance(term.measure, OF_A_PLANE):
        raise TrainingError(
            f"terms.{name}: {kind} is for a plane, it knows no periods; on a torus use the measure "
            "UniformTorus or EncodedPoints."
        )
    if needs_density and isinstance(term.measure, EncodedPoints):
        raise TrainingError(
            f"terms.{name}: on {kind} {type(term.functional).__name__} needs the density of the "
            "data, by kernels that know no periods; on a torus use the measure UniformTorus."
        )


def _warn_of_kernels(name, term, needs_density, d):
    is_estimated = needs_density or isinstance(term.measure, ImportanceWeights)
    if is_estimated and isinstance(term.measure, BY_KERNELS):
        warnings.warn(
            f"terms.{name}: {type(term.measure).__name__} estimates the density of the data, far "
            f"off in {d} dimensions. Use the measure SmoothedPoints, whose density is known.",
            stacklevel=2,
        )
