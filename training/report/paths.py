"""Geodesics between landmarks of the data: shortest paths of the pullback metric."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from sklearn.neighbors import NearestNeighbors

import curvcore
from training.evaluation.distances import shortest

LANDMARKS = 8
SEGMENTS = 64
NEIGHBOURS = 12
CHUNK = 1024
FINER = 8  # points for every segment, where lengths are checked
GRID = 65  # nodes along each side of a map, for geodesics that the page itself solves
RESOLVED = 0.005  # relative difference of two lengths that is none
REFINEMENTS = (2, 4, 8)  # times as many segments, where they are not


@dataclass(frozen=True, eq=False)
class Paths:
    """The shortest paths found between all pairs of landmarks.

    Attributes:
        pairs: numbers of the landmarks, (m, 2), first < second.
        curves: latent points along the path, (m, n, d); on a torus in its cell [0, 1]^d, and NaN
            where the next one enters at the other side.
        straight: along the straight line, the same.
        decoded, decoded_straight: both as ``space`` shows them, (m, n, 3).
        lengths, straight_lengths: of the decoded curves, (m,), in the data's unit.
        known: whether the curve is a geodesic to rounding, and its length known to 0.5 %, (m,).
    """

    pairs: np.ndarray
    curves: np.ndarray
    straight: np.ndarray
    decoded: np.ndarray
    decoded_straight: np.ndarray
    lengths: np.ndarray
    straight_lengths: np.ndarray
    known: np.ndarray


def landmarks_of(points, count=LANDMARKS):
    """Numbers of points (n, D) far from each other: each one farthest from those before it."""
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(0), axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)) and distance.max() > 0:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def chart_distances(data, landmarks):
    """Between landmarks of one piece of the ideal chart, rows of numbers or None; None at all."""
    if data.chart is None:
        return None
    at, groups = data.chart[landmarks], data.groups[landmarks]
    distance = np.linalg.norm(at[:, None] - at[None], axis=2)
    return np.where(groups[:, None] == groups, distance, None).tolist()


@torch.no_grad()
def paths_of(decode, latents, landmarks, space, periodic=False, segments=SEGMENTS):
    """The Paths between latent points number ``landmarks`` among ``latents`` (n, d).

    A geodesic is a path that is shortest among those near it. Two are found for every pair, from
    the straight line and from the shortest path in the graph of neighbouring latents, whose edges
    are as long as their decoded ends are apart; the shorter one is kept.
    """
    pairs = np.stack(np.triu_indices(len(landmarks), 1), axis=1)
    ends = latents[landmarks[pairs]]
    step = ends[:, 1] - ends[:, 0]
    ends[:, 1] = ends[:, 0] + (shortest(step) if periodic else step)
    straight = along(ends, segments)
    found = [solved(decode, straight)]
    chains = chains_of(decode, latents, landmarks, pairs, periodic)
    joined = [n for n, chain in enumerate(chains) if chain is not None]
    if joined:
        start = np.stack([resampled(chains[n], segments) for n in joined])
        found.append(replaced(found[0], joined, solved(decode, start)))
    best = np.argmin([curves.lengths for curves in found], axis=0), np.arange(len(pairs))
    curves = Curves(*(np.stack(part)[best] for part in zip(*found, strict=True)))
    curves = refined(decode, curves)
    straight_lengths, _ = lengths_of(decode, straight)
    decoded, decoded_straight = (space(values(decode, c)) for c in (curves.nodes, straight))
    nodes = curves.nodes
    if periodic:
        nodes, straight = in_cell(nodes), in_cell(straight)
    known = curves.converged & curves.resolved
    return Paths(
        pairs, nodes, straight, decoded, decoded_straight, curves.lengths, straight_lengths, known
    )


class Curves(NamedTuple):
    """Curves (m, n + 1, d), their lengths, whether they converged, and are resolved: (m,)."""

    nodes: np.ndarray
    lengths: np.ndarray
    converged: np.ndarray
    resolved: np.ndarray


def replaced(curves, rows, others):
    """Curves with others in these rows."""
    parts = [part.copy() for part in curves]
    for part, other in zip(parts, others, strict=True):
        part[rows] = other
    return Curves(*parts)


def solved(decode, start):
    """The geodesics near initial curves (m, n + 1, d)."""
    start = torch.from_numpy(start)
    found = curvcore.geodesic(
        decode, start[:, 0], start[:, -1], path=start, segments=start.shape[1] - 1
    )
    nodes = found.path.numpy()
    lengths, resolved = lengths_of(decode, nodes)
    return Curves(nodes, lengths, found.converged.numpy(), resolved)


def refined(decode, curves):
    """Curves that are not resolved, of up to eight times as many nodes; as many are shown."""
    n = curves.nodes.shape[1] - 1
    for more in REFINEMENTS:
        rough = np.flatnonzero(~curves.resolved)
        if len(rough) == 0:
            break
        start = np.stack([resampled(nodes, more * n) for nodes in curves.nodes[rough]])
        finer = solved(decode, start)
        curves = replaced(curves, rough, finer._replace(nodes=finer.nodes[:, ::more]))
    return curves


def along(ends, segments):
    """Straight lines between ends (m, 2, d): (m, segments + 1, d)."""
    share = np.linspace(0, 1, segments + 1)[:, None]
    return ends[:, :1] * (1 - share) + ends[:, 1:] * share


def lengths_of(decode, curves):
    """Lengths of decoded curves (m, n + 1, d), n even, and whether they are resolved: (m,).

    That of polylines in R^D errs by O(n⁻²), and L = (4 L_n − L_{n/2})/3 by O(n⁻⁴). It is compared
    with that of the curve itself, straight between its nodes in latent space, at eight times as
    many points: where they differ by more than 0.5 %, the decoded curve turns between nodes, and
    the latter is what is returned.
    """
    between = np.linspace(0, 1, FINER, endpoint=False)[:, None]
    starts, steps = curves[:, :-1, None], np.diff(curves, axis=1)[:, :, None]
    m, nodes, d = curves.shape
    inner = (starts + between * steps).reshape(m, (nodes - 1) * FINER, d)
    fine = np.concatenate([inner, curves[:, -1:]], axis=1)
    whole, half, true = (
        curvcore.path_length(decode, torch.from_numpy(c)).numpy()
        for c in (curves, curves[:, ::2], fine)
    )
    smooth = (4 * whole - half) / 3
    resolved = np.abs(smooth - true) <= RESOLVED * true
    return np.where(resolved, smooth, true), resolved


@torch.no_grad()
def grid_metric(decode, drawn):
    """g_11, g_12, g_22 at nodes over the box of a CurvatureMap: (65, 65, 3), rows go with y.

    NaN where g is degenerate; None without a map.
    """
    if drawn is None:
        return None
    x, y = (
        torch.linspace(*map(float, nodes[[0, -1]]), GRID).double() for nodes in (drawn.x, drawn.y)
    )
    nodes = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)
    geometry = curvcore.pullback(decode, nodes, order=1, on_degenerate="nan", chunk_size=CHUNK)
    metric = geometry.metric[:, [0, 0, 1], [0, 1, 1]]
    metric[geometry.is_degenerate] = torch.nan
    return metric.reshape(GRID, GRID, 3).numpy()


def values(decode, points):
    """Ψ of latent points (..., d): (..., D)."""
    decoded = decode(torch.from_numpy(points.reshape(-1, points.shape[-1]))).flatten(1).numpy()
    return decoded.reshape(*points.shape[:-1], decoded.shape[1])


def in_cell(curves):
    """Curves (m, n, d) modulo 1, NaN where the next node lies in another cell."""
    cell = np.floor(curves)
    leaves = (np.diff(cell, axis=1) != 0).any(axis=2)
    wrapped = curves - cell
    wrapped[:, :-1][leaves] = np.nan
    return wrapped


# --- the graph of neighbouring latents ------------------------------------------------------------


def chains_of(decode, latents, landmarks, pairs, periodic):
    """For each pair the latents along the graph's shortest path, (k, d); None if there is none.

    On a torus the path is unrolled: it starts at the first landmark and leaves the unit cell.
    """
    graph = neighbour_graph(decode, latents, periodic)
    _, before = dijkstra(graph, directed=False, indices=landmarks, return_predecessors=True)
    chains = []
    for first, second in pairs:
        nodes = chain(before[first], landmarks[second])
        if nodes[0] != landmarks[first]:
            chains.append(None)
            continue
        steps = np.diff(latents[nodes], axis=0)
        steps = shortest(steps) if periodic else steps
        chains.append(latents[nodes[0]] + np.cumsum(np.pad(steps, [(1, 0), (0, 0)]), axis=0))
    return chains


def neighbour_graph(decode, latents, periodic):
    """The graph of the 12 nearest latents, its edges |Ψ(z_i) − Ψ(z_j)| long: sparse (n, n)."""
    n = len(latents)
    circles = 2 * np.pi * latents
    where = np.concatenate([np.cos(circles), np.sin(circles)], axis=1) if periodic else latents
    count = min(NEIGHBOURS, n - 1)
    to = NearestNeighbors(n_neighbors=count).fit(where).kneighbors(return_distance=False).ravel()
    here = np.repeat(np.arange(n), count)
    decoded = values(decode, latents)
    length = np.linalg.norm(decoded[to] - decoded[here], axis=1)
    length = np.maximum(length, 1e-12 * length.max() + np.finfo(float).tiny)  # 0 means no edge
    # Indices of 32 bits: all that the shortest paths of scipy up to 1.14 take.
    edges = here.astype(np.int32), to.astype(np.int32)
    return csr_array((length, edges), shape=(n, n))


def chain(before, node):
    """The nodes from the source to this node, by each node's predecessor."""
    nodes = [node]
    while before[nodes[-1]] >= 0:
        nodes.append(before[nodes[-1]])
    return nodes[::-1]


def resampled(points, segments):
    """``segments`` + 1 points evenly along the polyline of points (k, d), ends included."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    place = np.concatenate([[0], np.cumsum(steps)])
    keep = np.concatenate([[True], steps > 0])
    wanted = np.linspace(0, place[-1], segments + 1)
    return np.stack([np.interp(wanted, place[keep], c[keep]) for c in points.T], axis=1)
