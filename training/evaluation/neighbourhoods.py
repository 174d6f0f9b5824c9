"""Whether neighbours in data space are neighbours in latent space, and the other way round."""

from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors


def neighbourhoods(data, latents, neighbours):
    """Preservation of the k nearest neighbours, k = ``neighbours``: arrays (n, D) and (n, d).

    - ``trustworthiness``: 1 − 2/(nk(2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k), j over the k latent
      neighbours of i, r(i, j) the rank of j among the neighbours of i in data space: 1 if no point
      intrudes (Venna and Kaski, ICANN 2001).
    - ``continuity``: the same with both spaces exchanged: 1 if no neighbour is torn away.
    - ``knn_recall_at_10`` (the number is k): the part of the k nearest neighbours in data space
      that are among the k nearest in latent space, mean over points.
    """
    return {
        "trustworthiness": trustworthiness(data, latents, n_neighbors=neighbours),
        "continuity": trustworthiness(latents, data, n_neighbors=neighbours),
        f"knn_recall_at_{neighbours}": knn_recall(data, latents, neighbours),
    }


def knn_recall(data, latents, neighbours):
    """|N_data(i) ∩ N_latent(i)| / k, mean over i; N(i) are the k nearest points other than i."""
    in_data, in_latents = (
        NearestNeighbors(n_neighbors=neighbours).fit(space).kneighbors_graph()
        for space in (data, latents)
    )
    return in_data.multiply(in_latents).sum() / (neighbours * len(data))
