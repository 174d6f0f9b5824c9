"""From the folders of runs to files of figures."""

from training import runs
from training.errors import TrainingError
from training.pictures.figures import figures_of, side_by_side
from training.pictures.views import view_of

DPI = 150
FOLDERS = ("first", "second")  # of two runs


def check_new(out):
    """Raise unless figures may be written to this folder."""
    if any(path.is_file() for path in (out, *out.absolute().parents)):
        raise TrainingError(f"--out {out} is a file or lies in one; name a folder.")
    if out.exists() and any(out.iterdir()):
        raise TrainingError(f"--out {out} is not empty, and nothing is written over.")


def views_of(folders, checkpoint="last"):
    """A View of each of one or two runs of one data set."""
    if len(folders) > 2:
        raise TrainingError(f"plot takes one run or two; got {len(folders)}.")
    loaded = [runs.load(folder, checkpoint) for folder in folders]
    sources = [data.source for _, data in loaded]
    for source in sources[1:]:
        if type(source) is not type(sources[0]) or vars(source) != vars(sources[0]):
            raise TrainingError(
                f"The runs are of different data sets, {sources[0]} and {source}: plot each alone."
            )
    return [view_of(folder, *run) for folder, run in zip(folders, loaded, strict=True)]


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
        figure.savefig(path, dpi=DPI, bbox_inches="tight")
        yield path
