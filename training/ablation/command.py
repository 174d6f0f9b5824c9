"""``python -m training study --design FILE``: weights by a rule, then all rows with all seeds."""

import math
from contextlib import closing
from itertools import islice
from pathlib import Path

from training.ablation.agreement import FEWEST, agreement
from training.ablation.design import ISOMAP, read_design
from training.ablation.fits import Fits
from training.ablation.isomap import isomap_metrics
from training.ablation.tables import against_table, agreement_table, earned_table, rows_table
from training.ablation.weights import chosen_weights
from training.errors import TrainingError
from training.writing import write_json, write_text

RULE = (
    "The weight of the last term of a row is the largest of {weights} at which the reconstruction "
    "error on validation points is at most {at_most} times that without terms, with seed {seeds}, "
    "which is none of those compared; earlier terms keep the weight of the row without it."
)
EARNED = (
    "What each term earned: the row with it against the row without it, with the same seeds: "
    "geometric mean of the quotients (×), or mean difference (+, −), and its 95 % interval "
    "(Student's, of one comparison, for other splits of the same points). It is bold where it "
    "leaves out 1, or 0; † where it still does for all comparisons of the table at once (Holm); "
    "‡ where it does so for other points than these: splits overlap, and that interval is "
    "{wider:.2g} times as wide (Nadeau and Bengio, 2003)."
)
OTHERS = "\nRows against others than those that lack a term, in the same way.\n\n"


def ablate(path, out, runs, jobs, ledger=None):
    """Fit what a design asks for, and write its numbers and tables.

    Runs that are finished are not run again and interrupted ones are resumed. Tables are written
    after every seed.

    Args:
        path: YAML of a Design.
        out: folder of ``<name>.json`` and ``<name>.md``.
        runs: folder of the run folders ``<name>/<row>/<weights>/seed_<n>``.
        jobs: runs at a time, each in a process of its own with its share of the cores.
        ledger: file of the numbers of runs; those in it are not run again, wherever they were made.

    Raises:
        TrainingError: before anything is run, where the design is wrong; a run failed otherwise
            than by diverging.
    """
    if jobs < 1:
        raise TrainingError(f"jobs must be 1 or more; got {jobs}.")
    design, out = read_design(path), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with Fits(runs, jobs, ledger) as fits:
        chosen = chosen_weights(design, fits)
        rows = [name for name in design.rows if chosen.get(name, ()) is not None]
        results = {name: {} for name in rows}
        cases = [(row, seed) for seed in design.seeds for row in rows]
        with closing(fits.each(lambda case: _metrics(design, fits, chosen, *case), cases)) as found:
            for seed in design.seeds:
                for row, metrics in zip(rows, islice(found, len(rows)), strict=True):
                    results[row][str(seed)] = metrics
                write_json(out / f"{design.name}.json", {"weights": chosen, "metrics": results})
                write_text(out / f"{design.name}.md", _text(path, design, chosen, results))
        agreed = _agreements(design, fits, chosen, rows) if design.downstream else {}
    write_json(out / f"{design.name}.json", {"weights": chosen, "metrics": results, **agreed})
    text = _text(path, design, chosen, results) + agreement_table(agreed)
    write_text(out / f"{design.name}.md", text)
    print(text)


def _metrics(design, fits, chosen, row, seed):
    """The metrics of a row with one seed; None where it diverged."""
    if design.rows[row] == (ISOMAP,):
        return isomap_metrics(design, seed)
    return fits.metrics(design, row, chosen[row], seed)


def _agreements(design, fits, chosen, rows):
    """How well the runs of each row that are here agree, where they are enough for an interval."""
    folders = {
        row: [fits.here(design, row, chosen[row], seed) for seed in design.seeds]
        for row in rows
        if design.rows[row] != (ISOMAP,)
    }
    enough = {row: runs for row, runs in folders.items() if len(runs) - runs.count(None) >= FEWEST}
    found = fits.all(lambda row: fits.apart(agreement, enough[row], f"agreement of {row}"), enough)
    return {"agreement": dict(zip(enough, map(_finite, found), strict=True))}


def _finite(found):
    """The same with None for what is not known, as where no point has an R: for JSON."""
    return {
        key: [x if math.isfinite(x) else None for x in numbers] for key, numbers in found.items()
    }


def _text(path, design, chosen, results):
    rule = RULE.format(
        weights=", ".join(f"{w:g}" for w in design.weights),
        at_most=f"{design.at_most:g}",
        seeds=" and ".join(map(str, design.tuning_seeds)),
    )
    others = against_table(design, results)
    rule = rule if design.tuning_seeds else "Weights multiply those in the design."
    return (
        f"`python -m training study --design {path}`: held-out points, mean ± standard deviation "
        f"over seeds. {rule}\n\n{rows_table(design, chosen, results)}\n"
        f"{EARNED.format(wider=math.sqrt(1 + len(design.seeds) * design.overlap))}\n\n"
        f"{earned_table(design, results)}{others and OTHERS + others}"
    )
