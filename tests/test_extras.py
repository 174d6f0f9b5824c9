"""Without an extra: one line that names it and exit code 2, and the rest works."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

VERIFICATION = ("flint", "sympy", "sklearn", "rich", "typer")
COMMANDS = ("check", "precision", "numerics", "mutants")


def without(modules, code):
    """A fresh interpreter to which these modules are not installed."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({modules!r})); "
    return subprocess.run(
        [sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False
    )


def command(module, *arguments):
    return (
        f"import runpy; sys.argv = {['-m', *arguments]!r}; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )


def assert_one_line(outcome, *said):
    assert outcome.returncode == 2, outcome.stderr
    message = outcome.stderr.strip()
    assert message.startswith("Error: ")
    assert "\n" not in message
    for words in said:
        assert words in message


@pytest.mark.parametrize("name", COMMANDS)
def test_verification_commands_name_their_extra(name):
    outcome = without(VERIFICATION, command(f"verification.{name}", "--help"))
    assert_one_line(outcome, "python-flint, sympy, scikit-learn", "'curvcore[verification]'")


def test_the_benchmark_needs_what_prints_tables_alone():
    benchmark = command("verification.benchmark", "--help")
    outcome = without(VERIFICATION, benchmark)
    assert_one_line(outcome, "needs rich, typer:", "'curvcore[verification]'")
    outcome = without(("flint", "sklearn", "jax", "matplotlib"), benchmark)
    assert outcome.returncode == 0, outcome.stderr


def test_parts_on_a_gpu_need_nothing():
    outcome = without((*VERIFICATION, "torch", "numpy"), command("verification.gpu", "--help"))
    assert outcome.returncode == 0, outcome.stderr


def test_verification_itself_needs_no_extra():
    code = "import verification; print(verification.__doc__)\ntry: verification.certify\n"
    code += "except ImportError as error: print(error)"
    outcome = without(VERIFICATION, f"exec({code!r})")
    assert outcome.returncode == 0, outcome.stderr
    assert "verification.certify needs python-flint" in outcome.stdout


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("jsonargparse", ["fit"], "training"),
        ("lightning", ["evaluate", "nowhere"], "training"),
        ("matplotlib", ["plot", "nowhere", "--out", "x"], "plots"),
        ("plotly", ["report", "nowhere"], "plots"),
        ("jinja2", ["report", "nowhere"], "plots"),
    ],
)
def test_training_commands_name_their_extra(module, arguments, extra):
    outcome = without((module,), command("training", *arguments))
    assert_one_line(outcome, module, f"'curvcore[{extra}]'")


@pytest.mark.parametrize(
    ("module", "name"), [("lightning", "lightning"), ("sklearn", "scikit-learn")]
)
def test_the_estimator_names_its_extra(module, name):
    code = "import training\ntry: training.CurvatureAutoencoder\n"
    code += "except ImportError as error: print(error)"
    outcome = without((module,), f"exec({code!r})")
    assert outcome.returncode == 0, outcome.stderr
    expected = f"training.CurvatureAutoencoder needs {name}: pip install 'curvcore[training]'"
    assert outcome.stdout.strip() == expected


def test_functionals_need_torch_alone():
    needed = {*VERIFICATION} - {"sympy"}  # which torch needs
    extras = (*needed, "jsonargparse", "lightning", "scipy", "matplotlib", "plotly")
    code = (
        "import torch; from training import functionals, measures; "
        "f = lambda z: torch.cat([z, z.square().sum(1, keepdim=True)], 1); "
        "print(functionals.TotalSquaredCurvature()(f, torch.rand(9, 2)).item() > 0)"
    )
    outcome = without(extras, code)
    assert outcome.stdout.strip() == "True", outcome.stderr
