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
        "return bool(size.min() < size.max() / 10)",
        "return False",
        "roots and logarithms that vanish are taken for smooth",
    ),
    (
        "return _of_both_signs(x, x) or bool(size.min() < size.median() / 10)",
        "return _of_both_signs(x, x)",
        "squares in a denominator are taken to keep away from zero",
    ),
    (
        "return _of_both_signs(x, x) or bool(size.min() < size.median() / 10)",
        "return _of_both_signs(x, x) or bool(size.min() < size.max() / 10)",
        "1 + exp(−x) is taken to come near zero, and time is lost on x/(1 + exp(−x))",
    ),
    (
        '"xlogy": _second,',
        "",
        "x log y is taken for smooth",
    ),
    (
        '"log1p": lambda output, x: 1 + x,',
        "",
        "log(1 + x) is taken for smooth",
    ),
    (
        '"special_xlog1py": lambda output, factor, x: 1 + x,',
        "",
        "x log(1 + y) is taken for smooth",
    ),
    (
        '"logit": lambda output, x, *eps: x * (1 - x),',
        "",
        "logit is taken for smooth",
    ),
    (
        '"abs": lambda output, x: output if x.is_complex() else None,',
        "",
        "the modulus of complex numbers is taken for smooth",
    ),
    (
        '"linalg_vector_norm", "norm", "cdist_forward",',
        '"linalg_vector_norm", "norm",',
        "distances that vanish are taken for smooth",
    ),
    (
        '"div": _second,',
        '"div": _first,',
        "it is the numerator of a quotient that must not vanish",
    ),
    (
        '"addcdiv": lambda output, summand, a, b, **kwargs: b,',
        "",
        "a quotient that is added is taken for smooth",
    ),
    (
        '"tan": lambda output, x: x.cos(),',
        '"tan": lambda output, x: x,',
        "the tangent is singular at zero",
    ),
    (
        "return None if whole and exponent >= 0 else x",
        "return None if whole else x",
        "negative powers are taken for smooth",
    ),
    (
        "return None if whole and exponent >= 0 else x",
        "return None",
        "powers of |x| are taken for smooth",
    ),
    (
        "return None if whole and exponent >= 0 else x",
        "return x",
        "polynomials are looked for jumps, and time is lost",
    ),
    (
        "return torch.linalg.det(a)",
        "return a",
        "a matrix is singular where its entries vanish",
    ),
    (
        "return a.diagonal(dim1=-2, dim2=-1).prod(-1)",
        "return None",
        "triangular matrices are never singular",
    ),
    (
        "return torch.ones_like(x) if constant else x",
        "return x",
        "a constant denominator of both signs is taken to vanish somewhere",
    ),
    (
        "self._remember(copy)",
        "pass",
        "what reciprocal_ was given is taken for a constant",
    ),
    (
        "and any(_differ(x) for x in made if _is_whole(x))",
        "and False",
        "comparisons are not noticed",
    ),
    (
        "before = tuple(self._copy(x) if isinstance(x, torch.Tensor) else x for x in args)",
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
        "self.switches.note_exit(args[0])",
        "pass",
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
        "return bool((bounded & (jump.amax(1) > _LEAST) & (intervals.steady >= _STEADY)).any())",
        "return bool((bounded & (jump.amax(1) > _LEAST)).any())",
        "a difference need not hold on to be a jump",
    ),
    (
        "bounded = (jump <= _LEAST + _GROWTH * self.range_of_f).all(1)",
        "bounded = jump.isfinite().all(1)",
        "poles are jumps",
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
