"""What certificates show of themselves."""

import pytest
import torch

pytest.importorskip("flint", reason="pip install python-flint")
import verification
from curvcore.display import Displayed
from tests.support.immersions import ring_torus
from tests.support.results import results_of

BOX = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
UP_TO_ROUNDING = 1 / 3, 2 / 3
RESULTS = results_of(verification)


def test_a_certificate():
    found = verification.certify(ring_torus(), BOX)
    expected = f"scalar=(2,), metric=(2, 2, 2), volume_density=(2,), bits={found.bits}"
    assert repr(found) == f"Certificate({expected})"
    assert "relative_error(scalar)" in found._repr_html_()
    assert ">(2, 2, 2) flint<" in found._repr_html_()


def test_bounds_of_a_region_are_not_rounded():
    ends = [UP_TO_ROUNDING] * 5
    found = verification.Region(BOX, *ends, torch.zeros(3, 2, 2), True, 7, 9)
    assert f"scalar={UP_TO_ROUNDING!r}" in repr(found)
    assert "doubtful=(3, 2, 2), reached=True, boxes=7, examined=9" in repr(found)
    assert f">{UP_TO_ROUNDING!r}<" in found._repr_html_()
    assert ">is_immersion<" in found._repr_html_()


def test_a_certified_geodesic():
    conjugate = ((*UP_TO_ROUNDING, 1),) * 40
    nodes = torch.zeros(5, 2, 2)
    found = verification.CertifiedGeodesic(
        True, False, UP_TO_ROUNDING, nodes[:, 0, 0], nodes, nodes, 1e-9, None, conjugate, "<why>"
    )
    assert repr(found).startswith(
        f"CertifiedGeodesic(proved=True, reached=False, length={UP_TO_ROUNDING!r}"
    )
    assert "index=None" in repr(found)
    assert f"conjugate=({conjugate[0]!r}, …, 39 more), reason='<why>'" in repr(found)
    assert len(repr(found)) < 400
    assert "&lt;why&gt;" in found._repr_html_()


def test_the_results_are_found():
    assert set(RESULTS) == {"Certificate", "CertifiedGeodesic", "Region"}


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_half_made(name):
    cls = getattr(verification, name)
    assert cls.__repr__ is Displayed.__repr__
    assert "object at" in repr(cls.__new__(cls))
