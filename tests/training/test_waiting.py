"""A training step on a GPU is queued without waiting for it; and what is compiled is the same."""

import copy
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from tests.support.small_runs import CURVATURE, fit, gaussians, write_config
from tests.support.waits import Waits
from training import waiting
from training.__main__ import main
from training.divergence import FirstDivergence
from training.errors import TrainingError
from training.functionals import (
    ContractiveEncoder,
    DeTurckGauge,
    FixedMeasure,
    FlatMetric,
    GraphStress,
    LearnedPotential,
    PerelmanF,
    PerelmanW,
    RelaxedDistortion,
    SampledGeometry,
    SquaredWeights,
    TotalSquaredCurvature,
    UniformVolume,
    VarianceOfLogDet,
)
from training.measures import (
    EncodedPoints,
    ImportanceWeights,
    Mixtures,
    SmoothedPoints,
    UniformBox,
)
from training.models import MLPAutoEncoder
from training.module import RegularizedAutoEncoder
from training.terms import Compiled, Term

B, D = 40, 6
FUNCTIONALS = {
    "R²": lambda: TotalSquaredCurvature(),
    "R² without units": lambda: TotalSquaredCurvature(scale_free=True),
    "F": lambda: PerelmanF(FixedMeasure()),
    "F, learned": lambda: PerelmanF(LearnedPotential(), direction="ricci"),
    "W, learned": lambda: PerelmanW(LearnedPotential()),
    "DeTurck": lambda: DeTurckGauge(),
    "volume": lambda: UniformVolume(),
    "distortion": lambda: RelaxedDistortion(),
    "log det": lambda: VarianceOfLogDet(),
    "contractive": lambda: ContractiveEncoder(),
    "flat metric": lambda: FlatMetric(),
    "squared weights": lambda: SquaredWeights(),
    "stress": lambda: GraphStress(points=8, pairs=8),
}
MEASURES = [EncodedPoints(), Mixtures(), SmoothedPoints(), UniformBox(), ImportanceWeights()]


@pytest.fixture
def on_a_gpu(monkeypatch):
    monkeypatch.setattr(waiting, "reading_is_free", lambda tensor: False)


def module(*names, measure=MEASURES[0], **options):
    """A RegularizedAutoEncoder with these functionals, in the midst of training."""
    torch.manual_seed(0)
    terms = {name: Term(FUNCTIONALS[name](), 1e-3, measure) for name in names}
    model = RegularizedAutoEncoder(MLPAutoEncoder(D, 2, (8,)), terms, **options)
    for functional in model.terms.of_all_points:
        functional.fit(torch.randn(B, D))
    model.log_dict = model.log = lambda *arguments, **options: None
    model._trainer = SimpleNamespace(current_epoch=0, num_training_batches=10, global_step=3)
    return model


def step(model, x):
    loss = model.training_step(x, 0)
    loss.backward()
    return loss


@pytest.mark.grid
@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("name", FUNCTIONALS)
def test_a_step_on_a_gpu_waits_for_nothing(name, measure, on_a_gpu):
    model, x = module(name, measure=measure), torch.randn(B, D)
    step(model, x)  # compares derivatives, makes constants
    with Waits() as waits:
        step(model, x)
    assert waits.met == []


def test_a_step_on_a_cpu_looks_at_once_whether_the_loss_is_finite():
    model = module()
    with Waits() as waits:
        step(model, torch.randn(B, D))
    assert waits.met == ["aten._local_scalar_dense.default"]


@pytest.mark.grid
@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("name", FUNCTIONALS)
def test_a_step_on_a_gpu_is_the_same(name, measure, monkeypatch):
    """Loss and gradients, to rounding."""
    x, found = torch.randn(B, D), []
    for is_free in (True, False):
        monkeypatch.setattr(waiting, "reading_is_free", lambda tensor, free=is_free: free)
        model = module(name, measure=measure)
        loss = step(model, x)
        found.append([loss, *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: type(m).__name__)
def test_cuda_does_not_wait(measure):
    model, x = module(*FUNCTIONALS, measure=measure).cuda(), torch.randn(B, D, device="cuda")
    step(model, x)
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(model, x)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# --- a loss that is not finite --------------------------------------------------------------------


def test_the_first_divergence_is_kept():
    watch = FirstDivergence(["mse", "a", "b"])
    one, nan, inf = (torch.tensor(x) for x in (1.0, torch.nan, torch.inf))
    watch.note(one, {"mse": one}, 0)
    watch.check()
    watch.note(one, {"mse": one, "a": one}, 1)
    watch.note(inf, {"mse": one, "a": inf}, 2)
    watch.note(nan, {"mse": nan, "a": nan, "b": nan}, 3)
    watch.note(one, {"mse": one}, 4)
    with pytest.raises(TrainingError, match=r"not finite at step 2: a = inf \(weight"):
        watch.check()
    watch.check()


def test_a_run_that_diverges_on_a_gpu_ends_with_its_epoch(tmp_path, on_a_gpu, capsys):
    path = write_config(tmp_path / "run.yaml", gaussians(), terms=CURVATURE)
    weight = "--model.terms.curvature.weight=1e39"
    assert main(["fit", "--config", str(path), "--run", str(tmp_path / "run"), weight]) == 2
    assert "The loss is not finite at step 0: curvature = inf" in capsys.readouterr().err
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_no_snapshot_is_kept_of_a_run_that_diverges(tmp_path, on_a_gpu):
    """In its second epoch, with nothing held out."""
    path = write_config(tmp_path / "run.yaml", gaussians(), terms=CURVATURE, epochs=3)
    late = ["--model.terms.curvature.weight=1e39", "--model.terms.curvature.start=1"]
    run = tmp_path / "run"
    options = [*late, "--trainer.limit_val_batches=0"]
    assert main(["fit", "--config", str(path), "--run", str(run), *options]) == 2
    for file in run.rglob("*.ckpt"):
        weights = torch.load(file, weights_only=True)["state_dict"].values()
        assert all(torch.isfinite(w).all() for w in weights), file


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: type(m).__name__)
def test_a_collapsed_latent_space_is_nan_on_a_gpu(measure, on_a_gpu):
    sample = measure.sample(torch.randn(B, 2), 0)
    on = SampledGeometry(lambda z: 0 * z.repeat(1, 2), sample)
    assert TotalSquaredCurvature().evaluate(on).isnan()


# --- compiled -------------------------------------------------------------------------------------

# Of torch's compiler about itself.
of_the_compiler = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.mark.slow
@of_the_compiler
@pytest.mark.parametrize(
    "names",
    [
        ["R²", "distortion"],
        *(pytest.param([name], marks=pytest.mark.slow) for name in FUNCTIONALS),
    ],
    ids=", ".join,
)
def test_what_is_compiled_is_the_same(names, monkeypatch):
    # Without the code generator: the same graphs in a second.
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True)
    )
    x, found = torch.randn(B, D), []
    for compile in (False, True):
        model = module(*names, compile=compile)
        loss = step(model, x)
        found.append([loss, *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_copy_of_what_is_compiled_is_its_own():
    model = module("R²", compile=True)
    copied = copy.deepcopy(model)
    assert copied._reconstructed.method.__self__ is copied
    assert copied.terms._evaluated.method.__self__ is copied.terms


class Words:
    def counted(self, x, words):
        return x * len(words)


@of_the_compiler
def test_no_program_is_left_eager_because_there_are_many(monkeypatch):
    """Torch compiles a code object at most eight times."""
    made = []
    backend = lambda graph, example: made.append(graph) or graph.forward  # noqa: E731
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    counted = Compiled(Words().counted, None)
    for n in range(1, 11):
        assert counted(torch.ones(()), ("word",) * n) == n
    assert len(made) == 10


def test_unknown_modes_are_refused():
    with pytest.raises(TrainingError, match=r"compile must be true, false or one of .*'nonsense'"):
        module(compile="nonsense")


@pytest.mark.slow
@of_the_compiler
def test_fit_compiles(tmp_path):
    fit(tmp_path / "run", gaussians(), terms=CURVATURE, compile=True)
