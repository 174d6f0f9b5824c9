"""Does a map jump, or its derivative? Measured along lines, whatever the map is made of."""

import torch

_PARTS = 8  # of a line, at first
_KEPT = 16  # intervals at a time
_STEADY = 6  # last halvings of an interval that left the difference between its ends as it was
_GROWTH = 10  # of differences over all those first seen: at a pole they grow without end
_LEAST = 1e-4  # jump, relative to |∂_tΨ|


def has_jumps(derive, corners):
    """Whether Ψ or ∂_tΨ jumps on the way along ``corners`` (n, d), straight from one to the next.

    Between the ends of an interval f = (Ψ, ∂_tΨ) of a smooth map differs by less and less as the
    interval is halved, and f(a) − 2 f(m) + f(b) falls by four. At a jump both stay what they are.
    So the intervals in which the second is largest are halved, again and again, until one is seen
    to hold on to its difference, or all have lost theirs. Where f is not finite, or grows without
    bound, nothing is seen.

    Args:
        derive: points (N, d) -> (Ψ (N, D), ∇Ψ (N, D, d)).
        corners: (n, d); jumps below 1e-4 of |∂_tΨ| are not seen, nor what the dtype cannot resolve.
    """
    start, way = corners[:-1], corners[1:] - corners[:-1]
    moves = way.abs().amax(1) > 0
    start, way = start[moves], way[moves]
    if not len(start):
        return False
    lines = torch.arange(len(start), device=start.device)
    ends = torch.linspace(0, 1, _PARTS + 1, dtype=start.dtype, device=start.device)
    lines, t = lines.repeat_interleave(len(ends)), ends.repeat(len(start))
    values = _along(derive, start, way, lines, t).unflatten(0, (-1, len(ends)))
    speed = values[..., values.shape[-1] // 2 :].abs().nan_to_num(0, 0, 0).amax((1, 2))
    speed = speed.clamp(min=torch.finfo(speed.dtype).tiny)
    values = values / speed[:, None, None]
    search = _Search(derive, start, way, speed, _range(values.flatten(0, 1)))
    return search.finds(_Intervals.between(values, ends))


def _along(derive, start, way, lines, t):
    """(Ψ, ∂_tΨ), (N, 2D), at the positions t of these lines."""
    value, jacobian = derive(start[lines] + t[:, None] * way[lines])
    speed = (jacobian @ way[lines][..., None])[..., 0]
    return torch.cat([value, speed], 1)


def _range(values):
    """How far each column of ``values`` reaches, from its least entry to its largest."""
    finite = values.nan_to_num(0, 0, 0)
    return finite.amax(0) - finite.amin(0)


class _Intervals:
    """Pieces of lines: on which, from t to t + width, f at both ends, for how long f held on."""

    def __init__(self, lines, t, low, high, steady):
        self.lines, self.t, self.low, self.high, self.steady = lines, t, low, high, steady

    @classmethod
    def between(cls, values, ends):
        """The intervals between neighbours of ``ends``, with f there: ``values`` (lines, n, K)."""
        lines = torch.arange(len(values), device=ends.device).repeat_interleave(len(ends) - 1)
        low, high = values[:, :-1].flatten(0, 1), values[:, 1:].flatten(0, 1)
        return cls(lines, ends[:-1].repeat(len(values)), low, high, torch.zeros_like(lines))

    def __getitem__(self, chosen):
        fields = (self.lines, self.t, self.low, self.high, self.steady)
        return _Intervals(*(field[chosen] for field in fields))

    def halves(self, middle, width):
        """Both halves of each, from f in their middles."""
        held = [self._holds_on(self.low, middle), self._holds_on(middle, self.high)]
        return _Intervals(
            self.lines.repeat(2),
            torch.cat([self.t, self.t + width / 2]),
            torch.cat([self.low, middle]),
            torch.cat([middle, self.high]),
            torch.cat([torch.where(held, self.steady + 1, 0) for held in held]),
        )

    def _holds_on(self, low, high):
        whole = self.high - self.low
        return (high - low - whole).abs().amax(1) <= whole.abs().amax(1) / 10


class _Search:
    def __init__(self, derive, start, way, speed, range_of_f):
        self.derive, self.start, self.way = derive, start, way
        self.speed, self.range_of_f = speed, range_of_f

    def finds(self, intervals):
        """Whether one of the intervals has a jump in it, down to the finest: it may be steep."""
        width, finest = 1 / _PARTS, 2.0**6 * torch.finfo(intervals.t.dtype).eps
        while len(intervals.t) and width > max(finest, 2.0**-24):
            middle = self._at(intervals.lines, intervals.t + width / 2)
            bent = (intervals.low - 2 * middle + intervals.high).abs().amax(1)
            worst = bent.nan_to_num(0, 0, 0).sort(descending=True)
            chosen = worst.indices[:_KEPT][worst.values[:_KEPT] > _LEAST]
            intervals, width = intervals[chosen].halves(middle[chosen], width), width / 2
        jump = (intervals.high - intervals.low).abs()
        bounded = (jump <= _LEAST + _GROWTH * self.range_of_f).all(1)
        return bool((bounded & (jump.amax(1) > _LEAST) & (intervals.steady >= _STEADY)).any())

    def _at(self, lines, t):
        values = _along(self.derive, self.start, self.way, lines, t)
        return values / self.speed[lines][:, None]
