"""What a user reads of an error: the own failure once, and no frames that say nothing."""

import traceback

import pytest
import torch

import curvcore

Z = torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=torch.float64)


def fails(z):
    """A decoder with an error of its own, raised after another."""
    try:
        return {}["weights"]
    except KeyError:
        raise ValueError("of the user's own")  # noqa: B904


def raised(function, *args):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(*args)
    return caught.value


@pytest.mark.parametrize("entry", [curvcore.pullback, curvcore.jet, curvcore.scalar_curvature])
def test_what_the_decoder_raises_is_told_once(entry):
    error = raised(entry, fails, Z)
    text = "".join(traceback.format_exception(error))
    assert text.count("ValueError: of the user's own") == 1
    assert text.count("KeyError: 'weights'") == 1
    assert traceback.extract_tb(error.__traceback__)[-1].name == "fails"


def test_frames_that_only_hand_on_are_passed_over():
    """By whoever honours ``__tracebackhide__``: IPython, and so notebooks, and pytest."""
    geometry = curvcore.pullback(lambda z: z[:, :1].expand(-1, 3), Z)
    error = raised(lambda: geometry.scalar)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    shown = [x for x in frames if not x.f_locals.get("__tracebackhide__")]
    hidden = {x.f_code.co_name for x in frames if x not in shown}
    assert hidden == {"__get__", "_without_autocast"} or hidden == {"__get__"}
    assert [x.f_code.co_name for x in shown][-2:] == ["_refuse_degeneracy", "check_regular"]
