"""What a latent space is good for: finding the classes of its points, and going between them."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import curvcore
from training.errors import TrainingError

MOST_CLASSES = 100
FEW = 5  # labelled points of each class
DRAWS = 20
PAIRS, SEGMENTS = 32, 16


class Part(NamedTuple):
    """Points of one part of the data, in the model's units.

    Attributes:
        points: (n, D) tensor.
        labels: (n,) integers, or None.
    """

    points: torch.Tensor
    labels: np.ndarray | None


@torch.no_grad()
def downstream(encoder, decoder, train, test, seed=0):
    """All metrics below of an autoencoder, trained on one Part, on another.

    Args:
        encoder, decoder: callables (B, D) -> (B, d) and (B, d) -> (B, ...), in float64.
        train, test: Part.
        seed: of everything that is drawn.

    Returns:
        dict[str, float].
    """
    metrics = ways(encoder, decoder, train.points, test.points, seed)
    if has_classes(test.labels):
        places = [encoder(part.points) for part in (train, test)]
        z = [_array(place) for place in places]
        metrics |= classes(z[0], train.labels, z[1], test.labels, seed)
        decoded = _array(decoder(places[1]).flatten(1))
        metrics["kmeans_f1_decoded"] = kmeans_f1(decoded, test.labels, seed)
    return {key: float(value) for key, value in metrics.items()}


def has_classes(labels):
    """Whether labels are classes: two or more integers, and not too many."""
    if labels is None or not np.array_equal(labels, np.rint(labels)):
        return False
    return 2 <= len(np.unique(labels)) <= MOST_CLASSES


# --- classes --------------------------------------------------------------------------------------


def classes(train, train_labels, test, test_labels, seed=0):
    """How well latents (n, d) tell classes apart.

    - ``kmeans_f1``: :func:`kmeans_f1` of the test points.
    - ``knn_accuracy_5_labels``: share of test points that have the label of the nearest of five
      labelled training points of each class (of all, where a class has fewer), mean over 20 draws.
    """
    return {
        "kmeans_f1": kmeans_f1(test, test_labels, seed),
        f"knn_accuracy_{FEW}_labels": _few_labels(train, train_labels, test, test_labels, seed),
    }


def kmeans_f1(points, labels, seed=0):
    """Mean over classes of F1 = 2 · precision · recall/(precision + recall) of k-means clusters.

    k is the number of classes, the best of ten starts is taken, and clusters stand for the classes
    that make the number of points in their own class largest (the Hungarian method).
    """
    k = len(np.unique(labels))
    return f1_of_clusters(KMeans(k, n_init=10, random_state=seed).fit_predict(points), labels)


def f1_of_clusters(found, labels):
    """The same of clusters, numbers (n,) below that of classes."""
    kinds, truth = np.unique(labels, return_inverse=True)
    table = confusion_matrix(truth, found, labels=range(len(kinds)))
    rows, columns = linear_sum_assignment(-table)
    name = dict(zip(columns, rows, strict=True))
    return f1_score(truth, [name[cluster] for cluster in found], average="macro")


def _few_labels(train, train_labels, test, test_labels, seed):
    rng, scores = np.random.default_rng(seed), []
    members = [np.flatnonzero(train_labels == kind) for kind in np.unique(train_labels)]
    for _ in range(DRAWS):
        chosen = np.concatenate([rng.permutation(m)[:FEW] for m in members])
        nearest = KNeighborsClassifier(1).fit(train[chosen], train_labels[chosen])
        scores.append(nearest.score(test, test_labels))
    return np.mean(scores)


# --- ways between points --------------------------------------------------------------------------


def ways(encoder, decoder, train, test, seed=0):
    """What lies on the way between two points: by straight lines of latents, and by geodesics.

    Of 32 random pairs of test points, at 15 nodes between the ends, Ψ the decoder:

    - ``straight_gap``, ``geodesic_gap``: mean distance of Ψ(z) from the nearest training point,
      over the median of that of test points: 1 is as near as new data are, large is a void.
    - ``straight_cycle_error``, ``geodesic_cycle_error``: mean square of Ψ(enc(Ψ(z))) − Ψ(z) over
      coordinates: how much autoencoding changes what lies there.
    - ``geodesic_length_ratio``: mean length of the geodesic over that of the line.
    - ``geodesics_converged``: the share that did; only they count.

    NaN where none did, and gaps where most test points are training points too.
    """
    order = np.random.default_rng(seed).permutation(len(test))
    half = min(PAIRS, len(test) // 2)
    if not half:
        raise TrainingError(f"{len(test)} test points make no pair.")
    z = encoder(test[order[: 2 * half]]).contiguous()
    start, end = z[:half], z[half:]
    t = torch.linspace(0, 1, SEGMENTS + 1, dtype=z.dtype)[:, None]
    straight = start[:, None] + t * (end - start)[:, None]
    geodesic = curvcore.geodesic(decoder, start, end, segments=SEGMENTS)
    good = geodesic.converged
    near = NearestNeighbors(n_neighbors=1).fit(_array(train))
    usual = np.median(near.kneighbors(_array(test))[0]) or math.nan
    metrics = {"geodesics_converged": good.double().mean()}
    for name, paths in (("straight", straight[good]), ("geodesic", geodesic.path[good])):
        nodes = paths[:, 1:-1].flatten(0, 1)
        metrics |= _on_the_way(name, encoder, decoder, nodes, near, usual)
    lengths = [curvcore.path_length(decoder, straight[good])] if good.any() else []
    ratio = (geodesic.length[good] / lengths[0]).mean() if lengths else math.nan
    return metrics | {"geodesic_length_ratio": ratio}


def _on_the_way(name, encoder, decoder, nodes, near, usual):
    if not len(nodes):
        return {f"{name}_gap": math.nan, f"{name}_cycle_error": math.nan}
    points = decoder(nodes).flatten(1)
    again = decoder(encoder(points)).flatten(1)
    gaps = near.kneighbors(_array(points))[0]
    return {
        f"{name}_gap": gaps.mean() / usual,
        f"{name}_cycle_error": (again - points).square().mean(),
    }


def _array(tensor):
    return tensor.detach().cpu().double().numpy()
