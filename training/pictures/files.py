"""From the folders of runs to files of figures."""

from pathlib import Path

from training import runs
from training.errors import TrainingError
from training.pictures.figures import figures_of, side_by_side
from training.pictures.views import shared_ratio, some_points, view_of
from training.writing import whole

DPI = 150
FOLDERS = ("first", "second")  # of two runs


def check_new(out):
    """Raise unless figures may be written to this folder."""
    if any(path.is_file() for path in (out, *out.absolute().parents)):
        raise TrainingError(f"--out {out} is a file or lies in one; name a folder.")
    if out.exists() and any(out.iterdir()):
        raise TrainingError(f"--out {out} is not empty, and nothing is written over.")


def same_source(first, second):
    """Whether two data sources load the same data."""
    return type(first) is type(second) and vars(first) == vars(second)


def same_parts(first, second):
    """Whether two runs of one source were trained and tested on the same points.

    Args:
        first, second: DataModules, whose data are loaded only if their fingerprints differ.

    Raises:
        TrainingError: the data of one of them have changed since.
    """
    if first.expected is not None and first.expected == second.expected:
        return True
    return first.fingerprint() == second.fingerprint()


def names_of(folders):
    """What to call runs: the last parts of their paths, as many as tell all of them apart."""
    parts = [Path(folder).resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-count:]) for each in parts]
        if len(set(names)) == len(names):
            break
    return names


def views_of(folders, checkpoint="last", trust=False):
    """A View of each of one or two runs of one data set, at the same points."""
    if len(folders) > 2:
        raise TrainingError(f"plot takes one run or two; got {len(folders)}. See report for more.")
    loaded = [runs.load(folder, checkpoint, trust) for folder in folders]
    first, last = (data.source for _, data in (loaded[0], loaded[-1]))
    if not same_source(first, last):
        raise TrainingError(
            f"The runs are of different data sets, {first} and {last}: plot each alone."
        )
    same_parts(loaded[0][1], loaded[-1][1])  # raises if the data of one of them have changed
    data = some_points(loaded[0][1].parts)
    ratio = shared_ratio([module for module, _ in loaded], data) if len(loaded) > 1 else None
    named = zip(names_of(folders), folders, loaded, strict=True)
    return [view_of(name, folder, module, data, ratio) for name, folder, (module, _) in named]


def write(views, out, ending="png"):
    """Write all figures of one or two Views into the folder; the paths, as they are written."""
    folders = [out] if len(views) == 1 else [out / name for name in FOLDERS]
    for one, folder in zip(views, folders, strict=True):
        yield from _write(figures_of(one), folder, ending)
    if len(views) == 2:
        yield from _write({"side_by_side": side_by_side(*views)}, out, ending)


def _write(figures, folder, ending):
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        path = folder / f"{name}.{ending}"
        with whole(path) as temporary:
            figure.savefig(temporary, format=ending, dpi=DPI, bbox_inches="tight")
        yield path
