"""Wrong lines in exponential maps, logarithms and transport."""

from verification.mutants.mutation import mutations

MAPS = mutations(
    "maps.py",
    "tests/curvcore/test_maps.py",
    (
        "return -self.chart.to_components(tangential.reshape(z.shape))",
        "return self.chart.to_components(tangential.reshape(z.shape))",
        "geodesics bend to the other side",
    ),
    (
        "place = directions.shape[-1] - 1  # of uw among uu, uw, ww",
        "place = 0",
        "transport with Γ(u, u)",
    ),
    (
        "y = y - _solution(slope, error)",
        "y = y + _solution(slope, error)",
        "shots are corrected the wrong way",
    ),
    (
        "before = finite & is_local_minimum(decoder, known.transpose(0, 1))",
        "before = finite",
        "conjugate points are not seen",
    ),
    (
        "inside = inside & ((path >= box[:, 0]) & (path <= box[:, 1])).all(0).all(1)",
        "inside = inside",
        "the box is not looked at",
    ),
)

MUTATIONS = [*MAPS]
