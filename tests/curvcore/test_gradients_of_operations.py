"""∂R/∂z is right where torch's own derivatives of an operation are NaN in a backward pass."""

import pytest
import torch
import torch.nn.functional as F

import curvcore
from tests.support.tolerance import eps

pytestmark = pytest.mark.slow

WEIGHT = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Z = torch.tensor([[0, 0], [0.3, -0.7], [-0.4, 0.2]], dtype=torch.float64)
H = 1e-3


def symmetric(h):
    """(B, 3, 3), whose eigenvalues are apart."""
    filled = torch.zeros(3, 3, dtype=h.dtype).diagonal_scatter(torch.arange(3.0).to(h))
    full = h[:, :3, None] * h[:, None, 3:].sin() / 8
    return filled + full + full.mT


def hermitian(h):
    """The same with skew imaginary parts."""
    part = h[:, :3, None] * h[:, None, 3:].cos() / 8
    return torch.complex(symmetric(h), part - part.mT)


def invertible(h):
    """(B, 3, 3) complex, of rows as they come."""
    return torch.complex(symmetric(h) + 1, h[:, :3, None] + h[:, None, 3:])


def overwritten(h, in_place):
    """A copy of h, written to."""
    copied = h.clone()
    in_place(copied)
    return copied


def parts(c):
    return torch.stack([c.real, c.imag], 1)


OPERATIONS = {
    "eigvalsh": lambda h: torch.linalg.eigvalsh(symmetric(h)),
    "eigh": lambda h: torch.linalg.eigh(symmetric(h))[0],
    "eigenvectors": lambda h: torch.linalg.eigh(symmetric(h)).eigenvectors.square().flatten(1),
    "Hermitian": lambda h: torch.linalg.eigvalsh(hermitian(h)),
    "complex norm": lambda h: torch.linalg.vector_norm(hermitian(h) + 1, dim=2),
    "sinc": lambda h: torch.sinc(h / 2),
    "prod": lambda h: h.prod(1, keepdim=True),
    "prod of pairs": lambda h: h.reshape(-1, 3, 2).prod(2),
    "cumprod": lambda h: h.cumprod(1),
    "cumprod of numbers": lambda h: torch.vmap(torch.vmap(lambda x: x.cumprod(0)))(h.sin()),
    "sinc in place": lambda h: (h / 2).sinc_(),
    "cumprod in place": lambda h: overwritten(h, lambda x: x.cumprod_(1)),
    "celu in place": lambda h: overwritten(h + 3, lambda x: F.celu_(x)),
    "renorm": lambda h: h.renorm(2, 0, 0.5),
    "complex sign": lambda h: parts(torch.linalg.slogdet(invertible(h)).sign),
    "complex slogdet": lambda h: torch.linalg.slogdet(invertible(h)).logabsdet[:, None],
    "complex logdet": lambda h: parts(torch.logdet(invertible(h))),
    "complex det": lambda h: parts(torch.linalg.det(invertible(h))),
    "cholesky_inverse": lambda h: torch.cholesky_inverse(symmetric(h) + torch.eye(3)).flatten(1),
    "matrix_norm": lambda h: torch.linalg.matrix_norm(h.reshape(-1, 1, 2, 3) + 2),
}


@pytest.mark.filterwarnings("ignore::curvcore.FallbackWarning")
@pytest.mark.filterwarnings("ignore::curvcore.PiecewiseLinearWarning")  # renorm
@pytest.mark.parametrize("derivatives", ["auto", "autodiff"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_gradient_is_that_of_differences(name, derivatives):
    function = OPERATIONS[name]

    def decoder(z):
        return torch.cat([z, z.square().sum(1, keepdim=True) / 4, function(z @ WEIGHT.T)], 1)

    def scalar(z):
        return curvcore.scalar_curvature(decoder, z, derivatives=derivatives)

    z = Z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scalar(z).sum(), z)
    with torch.no_grad():
        for axis, step in enumerate(H * torch.eye(2, dtype=torch.float64)):
            near, far = (
                (scalar(Z + n * step) - scalar(Z - n * step)) / (2 * n * H) for n in (1, 2)
            )
            # near is off by a third of near − far, to leading order, and by rounding.
            truncation = (near - far).abs().max() + 1e4 * eps(z.dtype) / H * near.abs().max()
            assert ((gradient[:, axis] - near).abs() <= truncation).all()
            assert truncation < near.abs().max() / 100


def test_second_derivatives_of_curvature_over_eigenvectors():
    """They take fourth derivatives of eigenvectors, in the plane (cos α, sin α) by tan 2α."""

    def decoder(direction):
        def of_points(z):
            x, y = z.unbind(1)
            return torch.stack([x, y, (direction(x + 2, x * y + 0.3) ** 2).sum(1)], 1)

        return of_points

    def by_eigh(a, b):
        matrix = torch.stack([a, b, b, -a], 1).reshape(-1, 2, 2)
        return torch.linalg.eigh(matrix).eigenvectors[:, 0] * torch.tensor([1, 2]).to(a)

    def by_angle(a, b):
        angle = torch.atan2(b, a) / 2
        return torch.stack([angle.sin(), 2 * angle.cos()], 1)

    def hessian(direction):
        def scalar(z):
            psi = decoder(direction)
            return curvcore.scalar_curvature(psi, z, derivatives="autodiff").sum()

        z = Z[1:].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(scalar(z), z, create_graph=True)
        return torch.stack(
            [torch.autograd.grad(g.sum(), z, retain_graph=True)[0] for g in gradient.T]
        )

    found, expected = hessian(by_eigh), hessian(by_angle)
    assert (found - expected).abs().max() <= 1e5 * eps(found.dtype) * expected.abs().max()
