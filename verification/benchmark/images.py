"""``verification.benchmark --scale``: estimates of R without ∇Ψ, on decoders of images.

An attention decoder of 64 tokens, d = 4·8·8, and one of transposed convolutions, d = 16·4·4, both
to three colours of 128 × 128, with random weights.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import nn

import curvcore
from verification import report
from verification.benchmark import timing

POINTS, PROBES, TOLERANCE = 8, 2, 1e-3
TOKENS, WIDTH, PATCH = 8, 64, 16  # along an edge; of a token; pixels along its edge
# Times the memory of one pass of the decoder.
MOST_MEMORY = 20


@dataclass(frozen=True)
class OfImages:
    """What an estimate of R at some points cost, in passes of the decoder on the same points."""

    name: str
    d: int
    D: int
    points: int
    passes: float
    memory: float
    iterations: int
    residual: float

    @property
    def passed(self):
        """Whether the least squares converged, within the memory."""
        return self.residual <= TOLERANCE and self.memory <= MOST_MEMORY


class AttentionDecoder(nn.Module):
    """(B, 256) -> (B, 3, 128, 128): a token for every square, two layers of attention."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(4, WIDTH)
        self.places = nn.Parameter(0.3 * torch.randn(TOKENS**2, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.leave = nn.Linear(WIDTH, 3 * PATCH**2)

    def forward(self, z):
        """The image."""
        tokens = z.reshape(len(z), 4, TOKENS**2).transpose(1, 2)
        tokens = self.body(self.enter(tokens) + self.places)
        squares = self.leave(tokens).reshape(len(z), TOKENS, TOKENS, 3, PATCH, PATCH)
        image = squares.permute(0, 3, 1, 4, 2, 5)
        return image.reshape(len(z), 3, TOKENS * PATCH, TOKENS * PATCH)


def convolutions():
    """(B, 256) -> (B, 3, 128, 128)."""
    channels = (16, 32, 32, 16, 8)
    layers = [nn.Unflatten(1, (16, 4, 4))]
    for inputs, outputs in pairwise(channels):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.SiLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels[-1], 3, 4, 2, 1))


def measure(settings):
    """OfImages of both decoders."""
    found = []
    for name, make in (("attention", AttentionDecoder), ("convolutions", convolutions)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            decoder, z = make().eval(), torch.randn(POINTS, 256)
        decoder.requires_grad_(False)
        found.append(_measured(name, decoder.to(settings.device), z.to(settings.device), settings))
    return found


@torch.no_grad()
def _measured(name, decoder, z, settings):
    generator = torch.Generator(z.device).manual_seed(settings.seed)
    estimator = curvcore.Hutchinson(
        PROBES, generator=generator, matrix_free=True, tolerance=TOLERANCE
    )

    def estimate():
        return curvcore.estimate_scalar_curvature(decoder, z, estimator, chunk_size=POINTS)

    found = estimate()  # compares derivatives too, and warms up
    tasks = {"pass": lambda: decoder(z), "estimate": estimate}
    times = timing.interleaved(tasks, settings.device, 3, settings.budget)
    memory = {task: timing.peak_memory(run, settings.device) for task, run in tasks.items()}
    return OfImages(
        name, z.shape[1], decoder(z).shape[1:].numel(), len(z),
        times["estimate"].median / times["pass"].median, memory["estimate"] / memory["pass"],
        int(found.iterations.max()), found.residual.max().item(),
    )  # fmt: skip


def show(console, found):
    """Print one row per decoder."""
    table = report.empty_table(f"\nWithout ∇Ψ, {PROBES} probes, tolerance {TOLERANCE:g}")
    columns = ("decoder", "d", "D", "points", "passes", "memory, passes", "iterations", "residual")
    for column in columns:
        table.add_column(column, justify="left" if column == "decoder" else "right")
    for e in found:
        table.add_row(
            e.name, str(e.d), str(e.D), str(e.points), f"{e.passes:.0f}", f"{e.memory:.1f}",
            str(e.iterations), f"{e.residual:.0e}",
        )  # fmt: skip
    console.print(table)


def as_dicts(found):
    """Plain data for JSON."""
    return [asdict(e) | {"passed": e.passed} for e in found]
