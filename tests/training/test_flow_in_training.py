"""Flows in training: τ of the data, numbers in the log, the command, runs that flow, the report."""

import csv
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import curvcore
from tests.support.small_runs import CURVATURE, fit, gaussians, one_line
from tests.training.surfaces import plane
from training.__main__ import main
from training.errors import TrainingError
from training.flows.command import film, summary, why_to_end, write
from training.flows.monitor import COLUMNS, FlowMonitor
from training.flows.patches import of_run
from training.flows.surfaces import toy
from training.functionals import FixedMeasure, PerelmanF, PerelmanW, Tau, gaussian_tau
from training.measures import QuadratureGrid
from training.pictures.curves import flow_curves
from training.report import chapters_of
from training.report import write as write_report

pytestmark = [
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
]
LIKE = torch.zeros(1, dtype=torch.float64)
FUNCTIONALS = "training.functionals."


def perelman(kind, measure="UniformBox", **options):
    """The configuration of a term F or W."""
    functional = {"class_path": f"{FUNCTIONALS}Perelman{kind}", "init_args": options}
    return {
        "functional": functional,
        "weight": 1e-3,
        "measure": {"class_path": f"training.measures.{measure}"},
    }


LEARNED = {"class_path": FUNCTIONALS + "LearnedPotential"}
TERMS = {
    "F": {"p": perelman("F")},
    "W of data": {
        "p": perelman(
            "W", "EncodedPoints",
            tau={"class_path": FUNCTIONALS + "Tau", "init_args": {"value": "data", "epochs": 2}},
        )
    },
    "learned W": {"p": perelman("W", potential=LEARNED), "curvature": CURVATURE["curvature"]},
    "learned F": {"p": perelman("F", "Mixtures", potential=LEARNED, direction="ricci")},
}  # fmt: skip


# --- τ --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_tau_of_a_gaussian_is_its_own_and_makes_w_least(n):
    """dm Gaussian of variance 2τ a direction: F = n/2τ, ∂W/∂τ = F − n/2τ = 0, W = 0."""
    tau = 0.7
    grid = QuadratureGrid((-12,) * n, (12,) * n, nodes=80).grid(LIKE)
    mass = grid.weights * (-grid.z.square().sum(1) / (4 * tau)).exp()
    found = gaussian_tau(grid.z + 5, n, mass / mass.sum()).item()
    assert found == pytest.approx(tau, rel=1e-10)
    gaussian = FixedMeasure(lambda x: -x.square().sum() / (4 * tau))

    def w(tau):
        return PerelmanW(gaussian, tau)(plane, grid.z, grid.weights).item()

    assert w(found) == pytest.approx(0, abs=1e-6)
    assert min(w(0.9 * found), w(1.1 * found)) > 1e-3
    f = PerelmanF(gaussian)(plane, grid.z, grid.weights).item()
    assert f == pytest.approx(n / (2 * found), rel=1e-9)


def test_tau_of_points_is_half_their_variance_by_the_dimension():
    x = 3 * torch.randn(20_000, 5, dtype=torch.float64) + 7
    assert gaussian_tau(x, 2).item() == pytest.approx(5 * 9 / 4, rel=0.02)


def test_tau_of_data_waits_for_them_and_falls_to_the_floor():
    tau = Tau("data", epochs=4, floor=0.5)
    assert math.isnan(tau().item())
    x = torch.randn(500, 6, dtype=torch.float64)
    tau.see(x, 2)
    start = gaussian_tau(x, 2).item()
    assert tau().item() == pytest.approx(start)
    for passed in (1, 2, 3, 4):
        tau.step(1.0)
        assert tau().item() == pytest.approx(start + (0.5 - start) * passed / 4)
    tau.step(1.0)
    assert tau().item() == pytest.approx(0.5)


def test_tau_goes_on_where_it_was():
    one, other = Tau("data", epochs=4), Tau("data", epochs=4)
    one.see(torch.randn(50, 6), 2)
    one.step(1.5)
    other.load_state_dict(one.state_dict())
    other.step(1.0)
    one.step(1.0)
    assert one() == other()


def test_a_number_is_not_changed_by_data():
    tau = Tau(2.0)
    tau.see(torch.randn(50, 6), 2)
    assert tau().item() == pytest.approx(2)
    assert set(tau.state_dict()) == {"log_value"}  # as in checkpoints of earlier runs


@pytest.mark.parametrize(
    "options",
    [
        {"value": 0.0}, {"value": "size"}, {"floor": 0.0}, {"epochs": 0.0},
        {"epochs": 3, "rate": -1.0}, {"epochs": 3, "learned": True},
    ],
)  # fmt: skip
def test_taus_that_cannot_be(options):
    with pytest.raises(TrainingError):
        Tau(**options)


# --- the log --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """name -> folder of a run with a Perelman term."""
    folder = tmp_path_factory.mktemp("flows")
    return {
        name: fit(folder / name.replace(" ", "_"), gaussians(), epochs=2, terms=terms)
        for name, terms in TERMS.items()
    }


def rows_of(run):
    with (run / "metrics.csv").open() as file:
        return [*csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMS)
def test_every_epoch_has_the_numbers_of_the_flow(runs, name):
    rows = [row for row in rows_of(runs[name]) if row["train/loss"]]
    assert [row["epoch"] for row in rows] == ["0", "1"]
    for row in rows:
        numbers = {column: float(row[column]) for column in COLUMNS}
        assert all(map(math.isfinite, numbers.values()))
        assert abs(numbers["flow/mass"] - 1) <= 1e-5
        assert numbers["flow/defect"] >= 0
        assert numbers["flow/volume"] > 0
    if name == "W of data":  # D/2n at the start, the floor at the end
        assert float(rows[0]["flow/tau"]) == pytest.approx((5 / 4 + 1e-3) / 2, rel=1e-5)
        assert float(rows[1]["flow/tau"]) == pytest.approx(1e-3, rel=1e-4)
    elif name == "learned W":
        assert {row["flow/tau"] for row in rows} == {"1.0"}


@pytest.mark.slow
def test_the_checkpoint_keeps_them_for_a_log_that_was_cut_off(runs):
    run = runs["F"]
    means = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["means"]
    last = [row for row in rows_of(run) if row["train/loss"]][-1]
    assert set(COLUMNS) < means.keys()
    assert all(means[column] == pytest.approx(float(last[column])) for column in COLUMNS)


def test_runs_without_f_or_w_have_none(plain, regularised):
    for run in (plain, regularised):
        assert not any(column in row for row in rows_of(run) for column in COLUMNS)
        assert flow_curves(run) == {}


@pytest.mark.slow
def test_the_curves_are_the_columns(runs):
    rows = [row for row in rows_of(runs["F"]) if row["flow/F"]]
    epochs, values = flow_curves(runs["F"])["F"]
    assert epochs.tolist() == [0, 1]
    assert values.tolist() == [float(row["flow/F"]) for row in rows]


@pytest.mark.slow
def test_looking_on_changes_no_bit_of_the_training(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(FlowMonitor, "on_train_epoch_end", lambda *ignored: None)
    unseen = fit(tmp_path / "unseen", gaussians(), epochs=2, terms=TERMS["learned F"])
    states = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (unseen, runs["learned F"])
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not any(column in row for row in rows_of(unseen) for column in COLUMNS)


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_film_is_written_with_every_step(tmp_path):
    subject = toy("dumbbell", nodes=14, width=12, degree=3, evaluations=100)
    made = film(subject, steps=2, dt=1e-3)
    paths = [*write(made, tmp_path / "new" / "flow", {"steps": 2})]
    assert [path.name for path in paths] == ["flow.csv", "flow.json", "flow.png"]
    with paths[0].open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 3
    assert all(
        later > earlier for earlier, later in itertools.pairwise(float(row["F"]) for row in rows)
    )
    assert float(rows[1]["rise"]) == pytest.approx(float(rows[1]["F"]) - float(rows[0]["F"]))
    told = json.loads(paths[1].read_text())
    assert told["steps"] == 2
    assert told["falls"] == 0
    assert told["worst_mass"] < 1e-5
    assert told["neck"][0] == pytest.approx(float(rows[0]["neck"]))
    assert paths[2].stat().st_size > 10_000


def test_a_film_ends_where_its_sample_sees_no_more():
    subject = toy("torus", nodes=6, width=12, degree=2, evaluations=100)
    made = film(subject, steps=40, rule="natural", damping=0.0)
    assert len(made.rows) < 41
    assert made.ended != "all steps were taken"
    assert summary(made)["steps"] == len(made.rows) - 1


@pytest.mark.parametrize(
    ("moved", "cosine", "closed", "rule", "reason"),
    [
        (0.005, 0.9, True, "projected", None),
        (0.02, 0.9, True, "projected", "does not resolve"),
        (-0.02, 0.9, True, "gradient", "does not resolve"),
        (0.02, 0.9, False, "projected", None),
        (0.0, 0.4, True, "natural", "cosine"),
        (0.0, 0.4, True, "gradient", None),
    ],
)
def test_why_a_film_ends(moved, cosine, closed, rule, reason):
    rows = [
        {"total_curvature": 1.0},
        {"total_curvature": 1 + moved, "total_abs_curvature": 1.0, "alignment": cosine},
    ]
    made = SimpleNamespace(
        rows=rows, subject=SimpleNamespace(is_closed=closed), flow=SimpleNamespace(rule=rule)
    )
    found = why_to_end(made)
    assert found is None if reason is None else reason in found


@pytest.mark.parametrize(
    "line",
    [
        "--surface nowhere --out {out}",
        "--surface torus --out {out} --steps 0",
        "--surface torus --out {out} --dimension 9",
        "--surface torus --out {out} --functional R",
        "--surface {run} --out {out} --dimension 3",
        "--surface torus --out {run}",
    ],
)
def test_bad_input_of_flow_is_one_line(line, plain, tmp_path, capsys):
    text = line.format(out=tmp_path / "flow", run=plain)
    assert main(["flow", *text.split()]) == 2
    one_line(capsys)
    assert not (tmp_path / "flow").exists()


@pytest.mark.slow
def test_flow_of_a_run(runs, tmp_path, capsys):
    options = ["--surface", str(runs["F"]), "--out", str(tmp_path / "flow"), "--steps", "2"]
    assert main(["flow", *options, "--dt", "1e-3"]) == 0
    assert "flow.png" in capsys.readouterr().out
    told = json.loads((tmp_path / "flow" / "flow.json").read_text())
    assert told["falls"] == 0
    assert all(0 <= share <= 1 for share in told["share"])


def test_the_measure_of_a_patch_has_the_moments_of_the_latents(plain):
    """Its bumps are polynomials: Gauss's nodes are exact."""
    subject, (module, data) = of_run(plain), loaded(plain)
    z = module.encode(data.training_points()).detach()
    sample = subject.sample
    log_density = torch.func.vmap(subject.fixed.log_density)(sample.z)
    mass = sample.weights * log_density.exp()
    mass = mass / mass.sum()
    mean = mass @ sample.z
    assert torch.allclose(mean, z.mean(0), atol=1e-10)
    covariance = torch.einsum("b,bi,bj->ij", mass, sample.z - mean, sample.z - mean)
    assert torch.allclose(covariance, torch.cov(z.T), rtol=1e-8)
    assert torch.allclose(subject.decoder(z[:5]), module.decode(z[:5]))


def loaded(run):
    from training.runs import load

    module, data = load(run)
    return module.double(), data


def test_a_run_with_three_latent_dimensions_does_not_flow(solid):
    with pytest.raises(TrainingError, match="3 latent dimensions"):
        of_run(solid.runs[0].folder)


# --- the report -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chapter(runs, plain):
    (chapter,) = chapters_of([plain, *runs.values()])
    return chapter


@pytest.mark.slow
def test_the_report_has_r_and_f_at_every_snapshot(chapter, runs):
    assert chapter.runs[0].flow is None
    for run in chapter.runs[1:]:
        flow = run.flow
        assert flow.epochs.tolist() == [0, 1, 2]
        assert flow.maps.shape == (3, 2, len(flow.y), len(flow.x))
        module, _ = loaded(run.folder)
        z = torch.tensor([[flow.x[3], flow.y[7]]])
        expected = curvcore.scalar_curvature(module.decode, z).item()
        assert flow.maps[-1, 0, 7, 3] == pytest.approx(expected, rel=1e-9)
        assert not np.allclose(flow.maps[0, 0], flow.maps[-1, 0], equal_nan=True)
        assert flow.curves.keys() == {column.partition("/")[2] for column in COLUMNS}


@pytest.mark.slow
def test_f_of_uniform_measure_is_log_volume_up_to_a_constant(chapter, runs):
    run = chapter.runs[1]
    module, _ = loaded(run.folder)
    nodes = torch.tensor([[run.flow.x[i], run.flow.y[j]] for i, j in [(1, 2), (20, 30)]])
    volume = curvcore.pullback(module.decode, nodes, order=1).volume_density.log()
    f = run.flow.maps[-1, 1]
    assert f[2, 1] - f[30, 20] == pytest.approx((volume[0] - volume[1]).item(), rel=1e-9)


@pytest.mark.slow
def test_the_page_of_a_flow(chapter, tmp_path):
    write_report([chapter], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.count('class="plot flow"') == len(TERMS)
    assert text.count('class="plot flow-curve"') == len(COLUMNS)
    assert 'name="flow"' in text


def test_the_page_of_other_runs_has_no_flow(plain, tmp_path):
    write_report(chapters_of([plain]), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Perelman's flow" not in text
    assert 'name="flow"' not in text.partition("<script")[0]
