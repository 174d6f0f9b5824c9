"""What results show of themselves: shapes, flags and ranges, and nothing computed for it."""

import dataclasses
import pickle
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import sympy
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import curvcore
from curvcore import display
from tests.support.immersions import ring_torus
from tests.support.results import results_of

Z = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], dtype=torch.float64)
TORUS = ring_torus()
NEVER_KEPT = {"value", "jacobian", "hessian", "volume_density"}
RESULTS = results_of(curvcore)


class Operations(TorchDispatchMode):
    """Gathers the operations of torch that are more than another view of a tensor."""

    def __init__(self):
        super().__init__()
        self.met = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if str(function) not in ("aten.detach.default", "aten.alias.default"):
            self.met.append(str(function))
        return function(*args, **(kwargs or {}))


def geometry(decoder=TORUS, z=Z, **options):
    return curvcore.pullback(decoder, z, **options)


def rows(result):
    """(title, {name: cells}) of the table, which must be well-formed."""
    tree = ElementTree.fromstring(result._repr_html_())
    head, *body = tree.iter("tr")
    return head[0].text, {line[0].text: [cell.text or "" for cell in line[1:]] for line in body}


def sheared(z):
    """The torus in coordinates that are not orthogonal."""
    return TORUS(z + z.flip(1) / 2)


def made_of(tensor, cls=curvcore.Geodesic):
    """A result whose first field is this."""
    return cls(tensor, *[None] * (len(dataclasses.fields(cls)) - 1))


def line_through_a_point(z):
    """Of rank one where x = 0."""
    return torch.stack([z[:, 0], z[:, 0] * z[:, 1], z[:, 0].square()], 1)


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_shows_itself(name):
    cls = getattr(curvcore, name)
    assert issubclass(cls, display.Displayed)
    assert cls.__repr__ is display.Displayed.__repr__


def test_the_results_are_found():
    assert {"EstimatedGeometry", "Jet", "Neighbours", "PullbackGeometry"} <= set(RESULTS)
    assert not {"Hutchinson", "LatentGrid", "geodesic"} & set(RESULTS)


# --- geometries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [(), ("scalar",), ("metric", "riemann")], ids=str)
def test_nothing_is_computed_to_show_a_geometry(asked):
    shown = geometry(torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh()).double())
    for name in asked:
        getattr(shown, name)
    before = [dict(vars(x).get("_cache", {})) for x in (shown, shown.jet)]
    with Operations() as operations:
        repr(shown), shown._repr_html_(), repr(shown.jet), shown.jet._repr_html_()
    assert operations.met == []
    assert [list(vars(x).get("_cache", {})) for x in (shown, shown.jet)] == [*map(list, before)]


def test_a_new_geometry_tells_what_it_is_of():
    kind = "points=3, order=2, d=2, D=3, float64, cpu"
    assert repr(geometry()) == f"PullbackGeometry({kind}, formula='gauss', on_degenerate='raise')"
    assert repr(geometry().jet) == f"Jet({kind})"
    title, lines = rows(geometry())
    assert title == "PullbackGeometry"
    assert "scalar, scalar_error" in lines["also"][0]
    assert lines["functions"][0].startswith("sectional(u, v), gradient_norm_squared(df)")


def test_what_is_computed_is_told():
    shown = geometry(sheared)
    low, high = shown.scalar.min(), shown.scalar.max()
    worst = shown.condition_number.max()
    text = repr(shown)
    assert f"scalar {low:.4g} to {high:.4g}" in text
    assert f" to {worst:.4g}, is_degenerate 0 of 3" in text
    lines = rows(shown)[1]
    assert lines["scalar"] == ["(3,) float64 cpu", f"{low:.4g} to {high:.4g}"]
    assert "scalar," not in lines["also"][0]
    assert not [name for name in lines if name.startswith("_")]


def test_degenerate_points_are_counted():
    z = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 0.5]], dtype=torch.float64)
    shown = geometry(line_through_a_point, z, on_degenerate="nan")
    shown.scalar  # noqa: B018
    assert "is_degenerate 1 of 3" in repr(shown)
    lines = rows(shown)[1]
    assert lines["scalar"][1].endswith(", 1 NaN")
    assert lines["condition_number"][1].endswith(", 1 infinite")


def test_quantities_that_there_are_not_are_not_named():
    assert "scalar" not in rows(geometry(order=1))[1]["also"][0]
    assert "functions" not in rows(geometry(order=1))[1]
    x, y = sympy.symbols("x y")
    symbolic = geometry([x, y, x * y], (x, y))
    assert repr(symbolic.scalar) not in symbolic._repr_html_()
    lines = rows(symbolic)[1]
    assert lines["scalar"] == ["sympy"]
    assert lines["metric"] == ["(2, 2) sympy"]
    named = ", ".join([lines["also"][0], ""])
    assert "riemann, " in named
    assert "scalar_error" not in named
    for name in named.split(", ")[:-1]:
        getattr(symbolic, name)


def test_a_jet_has_no_public_name_for_display():
    assert not hasattr(geometry().jet, "about")


def test_every_name_that_is_shown_can_be_looked_at():
    for shown in (geometry(), geometry(order=1), estimated()):
        for name in rows(shown)[1]["also"][0].split(", "):
            getattr(shown, name)
        assert set(rows(shown)[1]["also"][0].split(", ")) <= NEVER_KEPT


def estimated():
    return curvcore.estimated_geometry(sheared, Z, curvcore.Hutchinson(probes=4))


def test_an_estimated_geometry():
    shown = estimated()
    with Operations() as operations:
        assert repr(shown).startswith("EstimatedGeometry(points=3, d=2, float64, cpu, estimator=")
        rows(shown)
    assert operations.met == []
    shown.scalar  # noqa: B018
    assert f"condition_number {shown.condition_number.min():.4g} to " in repr(shown)
    assert "is_degenerate 0 of 3" in repr(shown)
    assert "scalar" in rows(shown)[1]


# --- results --------------------------------------------------------------------------------------


def test_flags_are_counted_and_numbers_are_not_listed():
    z = torch.linspace(0, 1, 400, dtype=torch.float64).reshape(200, 2)
    converged = torch.arange(200) < 150
    found = curvcore.Geodesic(z.expand(200, 200, 2), z[:, 0], converged)
    expected = "path=(200, 200, 2), length=(200,), converged=150 of 200, float64, cpu"
    assert repr(found) == f"Geodesic({expected})"
    assert rows(found)[1]["converged"] == ["(200,) bool cpu", "150 of 200"]
    assert rows(found)[1]["length"] == ["(200,) float64 cpu", "0 to 0.9975"]


def test_results_of_the_library_are_short():
    results = [
        curvcore.distance_matrix(TORUS, Z),
        curvcore.geodesic_neighbours(TORUS, Z, 2),
        curvcore.curvature_map(TORUS, ((0, 1), (0, 1)), 5),
        curvcore.estimate_scalar_curvature(TORUS, Z, curvcore.Hutchinson(probes=4)),
    ]
    for result in results:
        assert len(repr(result)) < 300
        assert len(rows(result)[1]) >= len(dataclasses.fields(result))
    assert rows(results[1])[1]["distance"] == ["(3, 3) sparse float64, 9 entries"]
    assert rows(results[2])[1]["also"][0].endswith("levels(count)")


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.tensor([1.0, torch.nan, torch.inf, 3.0, -torch.inf]), "1 to 3, 1 NaN, 2 infinite"),
        (torch.full((2,), torch.nan), "2 NaN"),
        (torch.full((2,), 0.25), "0.25"),
        (torch.tensor([1.5, 2.5], dtype=torch.bfloat16), "1.5 to 2.5"),
        (torch.tensor([1.5, 2.5], requires_grad=True), "1.5 to 2.5"),
        (torch.tensor([12345, 7]), "7 to 12345"),
        (torch.zeros(0, 2), ""),
        (torch.zeros(0, dtype=torch.bool), ""),
        (torch.tensor(True), "True"),
        (torch.tensor(1 / 3), "0.3333"),
        (torch.empty(2, device="meta"), "not read"),
        (np.array([0.5, np.nan]), "0.5, 1 NaN"),
    ],
    ids=str,
)
def test_what_is_said_of_numbers(tensor, expected):
    assert rows(made_of(tensor))[1]["path"][1:] == ([expected] if expected else [])


def test_large_arrays_are_not_read(monkeypatch):
    monkeypatch.setattr(display, "_READ_AT_MOST", 3)
    assert rows(made_of(torch.zeros(4)))[1]["path"] == ["(4,) float32 cpu", "not read"]
    assert rows(made_of(torch.zeros(3)))[1]["path"] == ["(3,) float32 cpu", "0"]


def test_single_numbers_are_not_rounded():
    shown = curvcore.VolumeSample(Z, Z.sum(), Z.sum(), 1 / 3)
    assert f"acceptance={1 / 3!r}" in repr(shown)


THIRD = 1 / 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((), "()"),
        ((THIRD,), f"({THIRD!r},)"),
        ((THIRD,) * 2, f"({THIRD!r}, {THIRD!r})"),
        ((THIRD,) * 9, f"({THIRD!r}, {THIRD!r}, {THIRD!r}, …, 6 more)"),
        (((THIRD, THIRD, 1),) * 2, f"(({THIRD!r}, {THIRD!r}, 1), …, 1 more)"),
        ((10**80, 1), f"({10**80}, …, 1 more)"),
        ((torch.zeros(3), torch.tensor(0.5), "a"), "((3,), 0.5, 'a')"),
        ((torch.ones(2, device="meta"), None), "((2,), None)"),
        (10**80, f"{10**80}"),
        ("x" * 100, f"'{'x' * 60}…'"),
    ],
    ids=lambda x: str(x)[:30],
)
def test_what_is_long_is_cut_between_elements(value, expected):
    with Operations() as operations:
        assert repr(made_of(value)) == f"Geodesic(path={expected}, length=None, converged=None)"
        assert rows(made_of(value))[1]["path"] == [expected]
    assert operations.met == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1.0], "list"),
        ({"a": 1}, "dict"),
        (1j, "complex"),
        (np.float32(1), "float32"),
        (torch.float32, "dtype"),
        (sympy.Symbol("x"), "sympy"),
    ],
    ids=str,
)
def test_other_things_are_named_by_their_kind(value, expected):
    assert repr(made_of(value)).startswith(f"Geodesic(path={expected}, ")
    assert rows(made_of(value))[1]["path"] == [expected]


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array(["a", "bc"]), "<U2"),
        (np.array([b"a", b"b"]), "|S1"),
        (np.zeros(2, dtype=[("a", float)]), "[('a', '<f8')]"),
        (np.array([1, 2], dtype=object), "int"),
    ],
    ids=str,
)
def test_arrays_without_numbers(array, kind):
    assert repr(made_of(array)).startswith("Geodesic(path=(2,), ")
    assert rows(made_of(array))[1]["path"] == [f"(2,) {kind}"]


# --- never an error -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"formula": "intrinsic"}, {"order": 1}], ids=str)
@pytest.mark.parametrize(
    "z", [Z, Z[:0], Z * torch.nan, Z.float()], ids=["z", "none", "nan", "single"]
)
def test_geometries_at_any_points(z, options):
    shown = geometry(z=z, on_degenerate="nan", **options)
    assert f"points={len(z)}" in repr(shown)
    shown.metric, shown.is_degenerate  # noqa: B018
    assert rows(shown)[1]["points"] == [str(len(z))]
    assert "object at" not in repr(shown)


def test_within_a_transform():
    """Tensors have no numbers of their own there."""
    texts = []

    def scalar(z):
        found = geometry(z=z[None], on_degenerate="nan")
        value = found.scalar
        texts.extend([repr(found), found._repr_html_(), repr(made_of(value))])
        return value[0]

    torch.func.vmap(scalar)(Z)
    torch.func.grad(scalar)(Z[0])
    assert not any("object at" in text for text in texts)
    assert len(texts) == 6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # torch's own
def test_within_a_compiled_graph():
    """Tensors have no numbers there either."""
    texts = []

    def scalar(z):
        found = geometry(z=z, on_degenerate="nan")
        value = found.scalar
        texts.append(repr(found))
        return value

    torch.compiler.reset()
    torch.compile(scalar, fullgraph=True, backend="eager")(Z)
    torch.compiler.reset()
    kind = "points=3, order=2, d=2, D=3, float64, cpu"
    assert texts == [f"PullbackGeometry({kind}, formula='gauss', on_degenerate='nan')"]


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_half_made(name):
    cls = getattr(curvcore, name)
    half = cls.__new__(cls)
    assert repr(half).startswith(f"<{cls.__module__}.{name} object at")
    assert "<" not in half._repr_html_()


# --- tables ---------------------------------------------------------------------------------------


def test_what_is_shown_is_escaped():
    cls = type("<script>", (curvcore.VolumeSample,), {})
    html = cls(Z, Z.sum(), Z.sum(), "<b>&")._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert rows(cls(Z, Z.sum(), Z.sum(), "<b>&"))[1]["acceptance"] == ["'<b>&'"]


def test_a_table_has_no_colours_of_its_own():
    for element in ElementTree.fromstring(geometry()._repr_html_()).iter():
        assert not set(element.attrib) - {"style", "colspan", "scope"}
        style = element.get("style", "")
        assert style in ("", "text-align: left", "color: inherit; background: inherit")


# --- what else one does with results --------------------------------------------------------------


def test_results_are_pickled_and_compared_as_before():
    found = curvcore.Geodesic(Z, Z, Z > 0)
    again = pickle.loads(pickle.dumps(found))
    assert torch.equal(again.path, Z)
    assert again != found
    assert hash(found) != hash(again)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.path = Z
    estimate = curvcore.ScalarEstimate(1, 2, 3)
    assert estimate == curvcore.ScalarEstimate(1, 2, 3)
