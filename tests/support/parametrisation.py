"""The case table as pytest marks: decoder × formula × provider × dtype."""

import pytest

from tests.support.decoders import CASES, FORMULAS, PROVIDERS

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_formula = pytest.mark.parametrize("formula", FORMULAS)
every_provider = pytest.mark.parametrize("provider", PROVIDERS)


def cases_named(*names):
    """A mark for a few cases of the table."""
    chosen = [case for case in CASES if case.name in names]
    assert len(chosen) == len(names), f"no such case among {names}"
    return pytest.mark.parametrize("case", chosen, ids=str)
