"""The design of an ablation: rows of terms on one configuration."""

from dataclasses import dataclass
from pathlib import Path

from training.data.dataset import FRACTIONS
from training.errors import TrainingError
from training.trust import read_yaml

KEYS = {"config", "seeds", "tuning", "terms", "rows", "metrics"}
OPTIONAL = {"options", "downstream", "clusters", "against"}
TUNING = {"seeds", "weights", "at_most"}
AS_WRITTEN = {"seeds": [], "weights": [1], "at_most": 1}  # no tuning: terms have their own weights
KINDS = ("ratio", "difference")
ISOMAP = "isomap"  # a row of coordinates alone


@dataclass(frozen=True)
class Design:
    """What is compared.

    Attributes:
        name: of the file, without its suffix.
        config: options of ``fit`` that all rows share, the reconstruction alone: a file's, with
            changes under ``options``.
        seeds: of the runs that are compared.
        tuning_seeds: of those that weights are chosen by; none of them is among ``seeds``. Without
            any, terms have the weights that are written.
        weights: that a term may have, ascending.
        at_most: how many times the validation error of the row without terms is allowed.
        terms: name -> {name in the log: options of a Term}; their weights are relative.
        rows: name -> names of terms, or ``"isomap"``. A row of several terms leaves the weights of
            all but the last as they are in the row without it.
        metrics: name -> ``"ratio"`` or ``"difference"``, how rows are compared.
        downstream: whether the metrics of :mod:`training.evaluation.downstream` are made, and how
            well runs of a row agree (:mod:`training.ablation.agreement`).
        clusters: whether F1 of clusters in four spaces is measured, ``kmeans_f1_riemannian`` and
            others (:mod:`training.evaluation.clusters`).
        against: pairs of rows to be compared besides, (row, other).
    """

    name: str
    config: dict
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    weights: tuple[float, ...]
    at_most: float
    terms: dict[str, dict]
    rows: dict[str, tuple[str, ...]]
    metrics: dict[str, str]
    downstream: bool = False
    clusters: bool = False
    against: tuple[tuple[str, str], ...] = ()

    def row_of(self, terms):
        """The name of the row with these terms."""
        return next(name for name, others in self.rows.items() if others == tuple(terms))

    @property
    def latent_dimension(self):
        """d, where the configuration says it."""
        arguments = self.config.get("model", {}).get("autoencoder", {}).get("init_args", {})
        return arguments.get("latent_dimension")

    @property
    def overlap(self):
        """Test points over training points, of every seed's split of the same points, as asked."""
        train, _, test = (self.config.get("data") or {}).get("fractions", FRACTIONS)
        return test / train

    @property
    def fitted(self):
        """Rows of autoencoders, fewer terms first: name -> terms."""
        rows = {name: terms for name, terms in self.rows.items() if terms != (ISOMAP,)}
        return dict(sorted(rows.items(), key=lambda row: len(row[1])))


def read_design(path):
    """The Design in a YAML file; ``config`` is a path from the file that says it.

    What it does not say is as in the design that it is ``like``, another such path, whose terms it
    has besides its own; a term that is ``like`` one before it, by name, says what it changes.

    Raises:
        TrainingError: something is missing, unknown or does not fit.
    """
    path = Path(path)
    options = _read(path)
    _check_keys(path, {key: options[key] for key in options if key not in OPTIONAL}, KEYS)
    tuning = options["tuning"] or AS_WRITTEN
    _check_keys(path, tuning, TUNING)
    rows = {name: tuple(terms) for name, terms in options["rows"].items()}
    design = Design(
        name=path.stem,
        config=_merged(read_yaml(options["config"]), options.get("options", {})),
        seeds=tuple(options["seeds"]),
        tuning_seeds=tuple(tuning["seeds"]),
        weights=tuple(sorted(map(float, tuning["weights"]))),
        at_most=float(tuning["at_most"]),
        terms=options["terms"],
        rows=rows,
        metrics=options["metrics"],
        downstream=options.get("downstream", False),
        clusters=options.get("clusters", False),
        against=_pairs(path, options.get("against") or []),
    )
    _check(path, design)
    return design


def _read(path):
    """The options in a file, and those of the one that it is ``like``."""
    if not path.is_file():
        raise TrainingError(f"There is no file {path}.")
    options = read_yaml(path)
    like = options.pop("like", None)
    base = _read(path.parent / like) if like else {}
    if "config" in options:
        options["config"] = path.parent / options["config"]
    if "terms" in options:
        options["terms"] = _terms(path, base.get("terms", {}), options["terms"])
    return {**base, **options}


def _terms(path, known, changes):
    """Those known and those of a file, in its order, of which any may be ``like`` one before it."""
    terms = dict(known)
    for name, options in (changes if isinstance(changes, dict) else {None: changes}).items():
        if not isinstance(options, dict):
            raise TrainingError(f"{path}: terms are name: {{part: options}}; got {options}.")
        if "like" not in options:
            terms[name] = options
            continue
        like, own = options["like"], {key: x for key, x in options.items() if key != "like"}
        if like not in [*terms]:
            raise TrainingError(f"{path}: term {name} is like {like}, which is no term before it.")
        terms[name] = _merged(terms[like], own)
    return terms


def _pairs(path, pairs):
    """Pairs of names of rows."""
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        names = pair if isinstance(pair, list) else []
        if len(names) != 2 or not all(isinstance(x, str) for x in names) or names[0] == names[1]:
            raise TrainingError(f"{path}: against is a list of pairs of rows, [A, B]; got {pair}.")
    return tuple(map(tuple, pairs))


def _merged(options, changes):
    """Nested options, with changes; of another class none of the options are kept."""
    if changes.get("class_path", options.get("class_path")) != options.get("class_path"):
        return changes
    both = {key: (options[key], changes[key]) for key in options.keys() & changes.keys()}
    deep = {
        key: _merged(*pair) for key, pair in both.items() if all(isinstance(x, dict) for x in pair)
    }
    return {**options, **changes, **deep}


def _check_keys(path, options, keys):
    got = set(options) if isinstance(options, dict) else set()
    if got != keys:
        wrong = ", ".join(sorted(got ^ keys))
        raise TrainingError(f"{path}: the keys must be {', '.join(sorted(keys))}; see {wrong}.")


def _check(path, design):
    for name, terms in design.rows.items():
        if unknown := set(terms) - design.terms.keys() - {ISOMAP}:
            raise TrainingError(f"{path}: row {name} has no such term: {', '.join(unknown)}.")
    present = {*design.rows.values()}
    for name, terms in design.fitted.items():
        if terms and terms[:-1] not in present:
            raise TrainingError(
                f"{path}: row {name} is compared with a row of {list(terms[:-1])}; add it."
            )
    if () not in present:
        raise TrainingError(f"{path}: there must be a row without terms, [].")
    for pair in design.against:
        if unknown := {*pair} - design.rows.keys():
            raise TrainingError(f"{path}: against has no such row: {', '.join(sorted(unknown))}.")
    for seeds in (design.seeds, design.tuning_seeds):
        if len({*seeds}) < len(seeds):
            raise TrainingError(f"{path}: seeds {[*seeds]} must differ.")
    if shared := {*design.seeds} & {*design.tuning_seeds}:
        raise TrainingError(f"{path}: seeds {sorted(shared)} choose weights and are compared too.")
    if unknown := {*design.metrics.values()} - {*KINDS}:
        raise TrainingError(f"{path}: metrics are compared by {KINDS}; got {', '.join(unknown)}.")
    if (ISOMAP,) in present and not design.latent_dimension:
        raise TrainingError(f"{path}: {ISOMAP} needs latent_dimension in the config's autoencoder.")
    if design.config.get("model", {}).get("terms"):
        raise TrainingError(f"{path}: its config has terms; they belong into the design.")
