"""Mutations of what tells kinks."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"
KINKS = f"{T}/test_kinks.py"

SWITCHES = mutations(
    "providers/switches.py",
    KINKS,
    (
        "return not x.is_complex() and _differ(x > 0)",
        "return not x.is_complex() and _differ(x > -torch.inf)",
        "relu and |x| are seen to have one sign always",
    ),
    (
        "return not math.isclose(alpha * input_scale, 1)",
        "return True",
        "ELU has a kink",
    ),
    (
        "return bool(((output != x) & ~(output.isnan() & x.isnan())).any())",
        "return True",
        "bounds that nothing meets count",
        "",
        "then it is looked for jumps, and none is found: only time is lost",
    ),
    (
        "return _differ(a > b)",
        "return True",
        "a maximum counts though it is always the same one",
        "",
        "then it is looked for jumps, and none is found: only time is lost",
    ),
    (
        "return _differ(sign > 0)",
        "return False",
        "copysign is taken for smooth",
    ),
    (
        "return bool(output.abs().min() < output.abs().max() / 10)",
        "return False",
        "roots that vanish are taken for smooth",
    ),
    (
        "return _near_zero(x)",
        "return False",
        "logarithms and reciprocal roots are taken for smooth",
    ),
    (
        "return isinstance(x, torch.Tensor) and _near_zero(x)",
        "return False",
        "x log y is taken for smooth",
    ),
    (
        "return _near_zero(1 + x)",
        "return False",
        "log(1 + x) is taken for smooth",
    ),
    (
        "return _near_zero(output) if x.is_complex() else _of_both_signs(output, x)",
        "return _of_both_signs(output, x)",
        "the modulus of complex numbers is taken for smooth",
    ),
    (
        "return p != 2 or _near_zero(output)",
        "return p != 2",
        "distances that vanish are taken for smooth",
    ),
    (
        "return not whole and _near_zero(output, x)",
        "return False",
        "powers of |x| are taken for smooth",
    ),
    (
        "if any(map(_differ, whole)):",
        "if False:",
        "comparisons are not noticed",
    ),
    (
        "before = tuple(x.clone() if isinstance(x, torch.Tensor) else x for x in args)",
        "before = args",
        "what clamp_ was given is looked at afterwards",
    ),
    (
        "self._storages[storage._cdata] = storage",
        "pass",
        "what depends on z is lost sight of",
    ),
    (
        "if not self._is_followed:",
        "if False:",
        "an output that only code outside torch can have made is taken for smooth",
    ),
    (
        "if self._depends(tensor):",
        "if False:",
        "tensors that are handed to numpy are not noticed",
    ),
    (
        'elif namespace != "aten":',
        "elif False:",
        "operations unknown to torch are taken for smooth",
    ),
)

JUMPS = mutations(
    "providers/jumps.py",
    KINKS,
    (
        "return (high - low - whole).abs().amax(1) <= whole.abs().amax(1) / 10",
        "return (high - low - whole).abs().amax(1) >= 0",
        "whatever is steep is a jump",
    ),
    (
        "return bool((jump & (intervals.steady >= _STEADY)).any())",
        "return bool(jump.any())",
        "a difference need not hold on to be a jump",
    ),
    (
        "speed = (jacobian @ way[lines][..., None])[..., 0]",
        "speed = value",
        "kinks are looked for in Ψ alone",
    ),
    (
        "intervals, width = intervals[chosen].halves(middle[chosen], width), width / 2",
        "intervals, width = intervals[chosen].halves(middle[chosen], width / 2), width / 2",
        "the right halves begin where nothing was looked at",
    ),
    (
        "torch.cat([torch.where(held, self.steady + 1, 0) for held in held]),",
        "torch.cat([torch.where(held, self.steady + 1, self.steady) for held in held]),",
        "halvings at which the difference was lost are not counted against a jump",
    ),
)

NOTED = mutations(
    "providers/kinks.py",
    KINKS,
    (
        "return switches.switching if _has_jumps(derive, z) else set()",
        "return switches.switching",
        "guards and formulas that fit together are kinks",
    ),
    (
        "if usual < torch.finfo(jacobian.dtype).tiny:",
        "if usual < 0:",
        "a Hessian that underflows is a kink",
        f"{T}/test_range.py",
    ),
    (
        "return torch.cat([z, nearby])",
        "return z",
        "one point is not enough",
    ),
    (
        "return names or ({_NAMELESS} if _is_piecewise_linear(jet) else set())",
        "return names",
        "where operations cannot be looked at, kinks are not noticed",
    ),
    (
        "return has_jumps(derivatives, torch.cat([z, _beyond(z)]))",
        "return has_jumps(derivatives, z)",
        "kinks between the points and their mirror images are not noticed",
    ),
)

MUTATIONS = [*SWITCHES, *JUMPS, *NOTED]
