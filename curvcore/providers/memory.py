"""When is the jet of a decoder to be compared with other derivatives again?

At the first call of a kind, when the decoder has changed (:mod:`curvcore.providers.fingerprint`),
and now and then: at the 16th, 32nd, 64th, ..., 1024th call and every 1024th after. What the decoder
itself changes while it is called, a counter or a cache, is no change; one that goes on changing in
other ways is compared eight times, and at one call in 256. Never while a CUDA graph is captured.
"""

from types import MethodType
from weakref import WeakKeyDictionary

import torch

from curvcore.providers.bound import BoundDecoder
from curvcore.providers.fingerprint import fingerprint

_RECORDS = WeakKeyDictionary()
_OFTEN, _SELDOM, _CHANGES = 16, 1024, 8


def recall(decoder, z, order, revision):
    """The Record of calls of this kind, with this one begun; ``revision`` is that of the rules."""
    marks, training = fingerprint(_made_of(decoder))
    owner, method = _owner(decoder)
    kind = (order, z.shape[1], z.dtype, z.device, revision, method, tuple(training))
    try:
        records = _RECORDS.setdefault(owner, {})
    except TypeError:  # no weak reference to it, or it cannot be hashed
        records = {}
    record = records.setdefault(kind, Record())
    record.begin(marks)
    return record


def _owner(decoder):
    """What remembers the decoder, and which of what it remembers this is."""
    if isinstance(decoder, BoundDecoder):  # made anew for every call
        owner, method = _owner(decoder.decoder)
        kind = method, decoder.latent_shape, tuple(decoder.inputs), decoder.per_row
        if callable(decoder.output):  # which may be as new
            return decoder.output, (owner, *kind)
        return owner, (decoder.output, *kind)
    if isinstance(decoder, MethodType):  # a new object at every look
        return decoder.__self__, decoder.__func__
    return decoder, None


def _made_of(decoder):
    return decoder.decoder if isinstance(decoder, BoundDecoder) else decoder


class Record:
    """What is known of a decoder's jets of a kind.

    Attributes:
        is_due: whether this call is to be compared.
        kinks: names of the operations that give the decoder kinks.
        is_stack: whether it was found to be a stack of layers, where that was asked.
    """

    def __init__(self):
        self.is_due, self.kinks, self.is_stack = True, frozenset(), False
        self._known = self._marks = None
        self._own, self._calls, self._compared = frozenset(), 0, 0

    def begin(self, marks):
        """Count a call of the decoder, which has these ``marks`` now."""
        self._calls += 1
        self._marks = marks
        self._changed = self._known is None or (
            marks != self._known and not _differing(marks, self._known) <= self._own
        )
        self.is_due = (
            self._known is None
            or _comes_round(self._calls)
            or (self._changed and self._compared < _CHANGES + self._calls // 256)
        ) and not _is_captured()

    def settle(self, decoder, kinks):
        """The call was found right, and these kinks."""
        self._known = fingerprint(_made_of(decoder))[0]
        self._own = _differing(self._marks, self._known) - {None}
        self._compared += 1
        self.kinks = frozenset(kinks) if self._changed else self.kinks | kinks


def _is_captured():
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def _comes_round(calls):
    power_of_two = calls & (calls - 1) == 0
    return calls % _SELDOM == 0 or (power_of_two and calls >= _OFTEN)


def _differing(marks, others):
    """The positions at which they differ, or None if they are not of one length."""
    if len(marks) != len(others):
        return {None}
    return {n for n, pair in enumerate(zip(marks, others, strict=True)) if pair[0] != pair[1]}
