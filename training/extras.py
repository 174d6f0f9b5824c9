"""What to install where a module is missing."""

import contextlib

# Module -> the package that it is in, and the extra that brings it.
EXTRAS = {
    "jsonargparse": ("jsonargparse", "training"),
    "lightning": ("lightning", "training"),
    "rich": ("rich", "training"),
    "sklearn": ("scikit-learn", "training"),
    "scipy": ("scipy", "training"),
    "tensorboard": ("tensorboard", "training"),
    "yaml": ("jsonargparse", "training"),
    "mlxtend": ("mlxtend", "data"),
    "pandas": ("pandas", "data"),
    "pyarrow": ("pyarrow", "data"),
    "anndata": ("anndata", "anndata"),
    "h5py": ("h5py", "anndata"),
    "jinja2": ("jinja2", "plots"),
    "matplotlib": ("matplotlib", "plots"),
    "plotly": ("plotly", "plots"),
}


def advice(error):
    """Which package to install, and how, after a ModuleNotFoundError; None if it is of no extra."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return None
    name, extra = EXTRAS[module]
    return f"needs {name}: pip install 'curvcore[{extra}]'"


@contextlib.contextmanager
def needed_by(what):
    """Within this context a module that is missing is an error that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (how := advice(error)) is None:
            raise
        raise ModuleNotFoundError(f"{what} {how}", name=error.name) from error
