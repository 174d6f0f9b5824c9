"""The rule that chooses weights: as large as the reconstruction can bear."""

import bisect
import statistics


def chosen_weights(design, fits):
    """row -> the weights of its terms; None where no weight of the grid is allowed.

    The weight of a row's last term is the largest of ``design.weights`` at which the validation
    error is at most ``at_most`` times that of the row without terms, both with the tuning seeds
    (geometric mean of the quotients). It is found by bisection: the error is taken to grow with
    the weight. The other weights are those of the row without the last term.
    """
    if not design.tuning_seeds:
        return {name: (1.0,) * len(terms) for name, terms in design.fitted.items()}
    chosen = {design.row_of(()): ()}
    plain = _errors(design, fits, design.row_of(()), ())
    rows = {name: terms for name, terms in design.fitted.items() if terms}
    for size in sorted({len(terms) for terms in rows.values()}):
        names = [name for name, terms in rows.items() if len(terms) == size]
        before = {name: chosen[design.row_of(rows[name][:-1])] for name in names}
        known = [name for name in names if before[name] is not None]

        def choose(name, before=before):
            return _largest(design, fits, name, before[name], plain)

        chosen |= dict.fromkeys(names) | dict(zip(known, fits.all(choose, known), strict=True))
    return chosen


def _largest(design, fits, row, before, plain):
    """The weights of a row, or None."""

    def is_too_much(weight):
        errors = _errors(design, fits, row, (*before, weight))
        quotients = [error / of_plain for error, of_plain in zip(errors, plain, strict=True)]
        return statistics.geometric_mean(quotients) > design.at_most

    place = bisect.bisect_left(design.weights, True, key=is_too_much)
    return (*before, design.weights[place - 1]) if place else None


def _errors(design, fits, row, weights):
    """Those on validation points with the tuning seeds."""
    return fits.all(
        lambda seed: fits.validation_error(design, row, weights, seed), design.tuning_seeds
    )
