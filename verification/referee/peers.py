"""The libraries: how each is installed, its settings, and what it says it does not offer."""

from dataclasses import dataclass, field
from pathlib import Path

ADAPTERS = Path(__file__).parent / "adapters"
NUMPY_1 = "numpy==1.26.4"
TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Library:
    """An entry of the page.

    Attributes:
        name: of its JSON, and of the page's column.
        adapter: the file of :mod:`verification.referee.adapters`.
        package: the one whose release counts.
        release: that release; "" is what the present environment has.
        requirements: for pip, pinned; none is the present environment.
        python: the lowest Python.
        settings: what was chosen, and how its answers were converted.
        absent: quantities in a string -> why they are not offered, in its own words if it has any.
        dtypes: those in which it is asked.
        precision: the one in which it computes whatever it is given, by which it is then judged.
        variables: of the process, which the library or its adapter reads.
        never_run: whether the adapter was written from its sources alone.
    """

    name: str
    adapter: str
    package: str
    release: str = ""
    requirements: tuple = ()
    python: tuple = (3, 11)
    settings: str = ""
    absent: dict = field(default_factory=dict)
    dtypes: tuple = ("float64", "float32")
    precision: str = ""
    variables: dict = field(default_factory=dict)
    never_run: bool = False

    @property
    def path(self):
        """The adapter's file."""
        return ADAPTERS / f"{self.adapter}.py"

    def why_absent(self, quantity):
        """Why it does not offer a quantity; "" where nothing is said."""
        found = [why for names, why in self.absent.items() if quantity in names.split()]
        return found[0] if found else ""


CURVATURE = "riemann ricci scalar gradient_z gradient_weights"
CONTROL = {"exponential distance": "a control, for curvature alone"}
GEOMSTATS = {
    "adapter": "geomstats",
    "package": "geomstats",
    "release": "2.8.0",
    "settings": (
        "PullbackMetric. exp by ExpODESolver(ScipySolveIVP('DOP853', rtol=atol=1e-10)), dist by "
        "LogODESolver(ScipySolveBVP(tol=1e-6)), as Euler's rule in 100 steps and shooting through "
        "it, its defaults, have two digits. Its R_ijk^l = dx^l(R(X_j, X_k)X_i) is lowered and "
        "reordered."
    ),
}
LIBRARIES = (
    Library(
        "curvcore",
        "curvcore",
        "curvcore",
        settings="Defaults. Distances by distance_matrix of single pairs, tolerance 1e-8.",
    ),
    Library(
        "torch.func-by-hand",
        "plain_torch",
        "torch",
        "2.13.0",
        (TORCH, "numpy==2.4.6"),
        settings="vmap of nested jacfwd through g, Γ and R, as a textbook writes them.",
        absent=CONTROL,
    ),
    Library(
        "jax-by-hand",
        "plain_jax",
        "jax",
        "0.10.2",
        ("jax==0.10.2",),
        settings="jit of vmap of nested jacfwd through g, Γ and R, as a textbook writes them; x64.",
        absent=CONTROL,
    ),
    Library(
        "geomstats-pytorch",
        requirements=("geomstats==2.8.0", TORCH, NUMPY_1),
        variables={"GEOMSTATS_BACKEND": "pytorch"},
        absent={
            "gradient_z gradient_weights": "gs.autodiff calls torch.autograd.functional without "
            "create_graph: what it returns has no graph"
        },
        **GEOMSTATS,
    ),
    Library(
        "latent-geometry",
        "latent_geometry",
        "latent-geometry",
        "1.1.0",
        ("latent-geometry==1.1.0", TORCH, "numpy==2.4.6"),
        settings="TorchModelMapping, LatentManifold(solver_tol=1e-5): at 1e-8 the boundary value "
        "problem runs out of nodes. TorchModelMapping computes in float32 whatever it is given, "
        "and is judged by that. It adds 1e-4 to the diagonal of the g that it inverts for Γ.",
        dtypes=("float64",),
        precision="float32",
        absent={
            CURVATURE: "'connection with additional structure - e.g. Riemmann/Ricci curvature "
            "tensors' is an abstract class, RichConnection"
        },
    ),
    Library(
        "stochman",
        "stochman",
        "stochman",
        "0.3.0",
        ("stochman==0.3.0", TORCH, "torchdiffeq==0.2.5", "scipy==1.17.1", NUMPY_1),
        settings="EmbeddedManifold, whose Jacobian is its user's to write: by torch.func here. "
        "Distances are curve_length, at 1000 points, of a CubicSpline of 16 nodes after "
        "geodesic_minimizing_energy(max_iter=1000, eval_grid=100).",
        absent={
            "jacobian": "the user writes it",
            f"hessian christoffel {CURVATURE}": "'elementary algorithms for computations on random "
            "manifolds': metric, lengths, geodesics",
        },
    ),
    Library(
        "torch-jet",
        "torch_jet",
        "jet-for-pytorch",
        "1.0.0",
        ("jet-for-pytorch==1.0.0", TORCH),
        python=(3, 12),
        settings="Taylor mode along e_i and e_i ± e_j.",
        absent={
            f"metric christoffel {CURVATURE} exponential distance": "'Taylor-mode automatic "
            "differentiation for PyTorch'"
        },
        never_run=True,
    ),
    Library(
        "riemax",
        "riemax",
        "riemax",
        "52ff73b",
        ("riemax @ git+https://github.com/danielkelshaw/riemax@52ff73b51871c731fd61901695859d0c58f4ad49",),
        python=(3, 12),
        settings="jit of vmap; x64.",
        absent={
            "jacobian hessian": "those of JAX",
            "gradient_weights": "those of JAX; not asked",
            "exponential distance": "not asked",
        },
        never_run=True,
    ),
    Library(
        "curvature_penalization",
        "curvature_penalization",
        "ricci_regularization",
        "1c30b8d",
        (
            "ricci_regularization @ git+https://github.com/redachhaibi/curvature_penalization"
            "@1c30b8d542fe2c08e722acbd56b30a90a9a7a8e5",
            TORCH,
        ),
        settings="RicciCurvature, forward mode, eps = 0: the talk's own code.",
        absent={
            "jacobian hessian": "not of its interface",
            "gradient_weights": "not asked",
            "exponential distance": "not asked",
        },
        never_run=True,
    ),
    Library(
        "geomstats-pytorch-overridden",
        requirements=("geomstats==2.8.0", TORCH, NUMPY_1),
        variables={"GEOMSTATS_BACKEND": "pytorch", "REFEREE_DERIVATIVES": "torch.func"},
        absent={
            "gradient_z gradient_weights": "its riemann_tensor differentiates Γ by "
            "torch.autograd.functional.jacobian without create_graph"
        },
        **{
            **GEOMSTATS,
            "settings": "The same with jacobian_immersion and hessian_immersion overridden by "
            "torch.func, which can be differentiated. " + GEOMSTATS["settings"],
        },
    ),
    Library(
        "geomstats-autograd",
        requirements=("geomstats==2.8.0", "autograd==1.9.1", NUMPY_1),
        variables={"GEOMSTATS_BACKEND": "autograd"},
        absent={
            "gradient_z gradient_weights": "autograd cannot differentiate the einsum of its "
            "ricci_tensor: 'einstein sum subscripts string includes output subscript j multiple "
            "times'"
        },
        **GEOMSTATS,
    ),
)  # fmt: skip
