"""Kolmogorov–Arnold networks of pykan."""

from functools import partial

from verification.packages.case import Case, prepared


def _pykan(**options):
    from kan import KAN

    model = KAN(width=[2, 4, 6], grid=4, auto_save=False, seed=0, device="cpu", **options)
    return prepared(model), {}


_case = partial(Case, "pykan", "kan")
CASES = (
    _case("KAN, cubic splines", (2,), _pykan),
    _case("KAN, cubic splines, without symbols", (2,), partial(_pykan, symbolic_enabled=False)),
    _case("KAN, splines of degree 5", (2,), partial(_pykan, k=5, symbolic_enabled=False)),
)
