"""Mutations of what is compared, and when."""

from verification.mutants.mutation import mutations

T = "tests/curvcore"
CHANGING = f"{T}/test_changing_decoders.py"
UNITS = f"{T}/test_units_of_coordinates.py"
ERRORS = f"{T}/test_decoder_errors.py"

DIFFERENCES = mutations(
    "providers/differences.py",
    f"{T}/test_differences.py",
    (
        "for i in (missed > steps.target / 16).any(0).nonzero()[:, 0].tolist():",
        "for i in ():",
        "one wrong column of many hides in their sum",
    ),
    (
        "noise = torch.maximum(noise, _leap(image, jacobian, guess, noise))",
        "pass",
        "beside larger numbers of its own Ψ seems to stand still",
        f"{T}/test_differences.py::test_leaps_beside_larger_numbers_are_rounding",
    ),
    (
        "excused = torch.where(stands & (moved <= largest), moved, 0)",
        "excused = torch.where(stands, moved, 0)",
        "a rounding written into the decoder is taken for that of its numbers",
        f"{T}/test_differences.py::test_a_rounding_in_the_decoder_is_no_leap",
    ),
    (
        "better = h * (target / moved).clamp(1 / far, far)",
        "better = h * (moved / target).clamp(1 / far, far)",
        "steps that are too long grow",
    ),
    (
        "least, most = 32 * eps * z.abs(), torch.finfo(z.dtype).max ** 0.5",
        "least, most = 32 * eps * z.abs().amax(), torch.finfo(z.dtype).max ** 0.5",
        "all coordinates have the least step of the largest",
    ),
    (
        "unmoved = told & ~found & (_LADDER[-1] * guess < unit)",
        "unmoved = told & ~told",
        "a derivative of what does not move is believed",
    ),
    (
        "return _Steps(torch.where(found, h, 0), guess, unmoved, target, noise)",
        "return _Steps(h, guess, unmoved, target, noise)",
        "steps that tell nothing are believed",
    ),
    (
        "return 4 * eps * self.size + 2 * moved.nan_to_num(0, 0, 0)[:, None]",
        "return 4 * eps * self.size",
        "the rounding of z is not counted",
    ),
    (
        "doubt = (largest - least).amax(1, keepdim=True) + 2 * steps.noise",
        "doubt = 2 * steps.noise",
        "curved maps are taken for wrong",
    ),
    (
        "differs = ((expected - mean).abs() > doubt + size / 100) & (doubt < size / 4)",
        "differs = ((expected - mean).abs() > doubt + size * 100) & (doubt < size / 4)",
        "a first derivative may be wrong by a hundred times itself",
        ERRORS,
    ),
)

MEMORY = mutations(
    "providers/memory.py",
    CHANGING,
    (
        "kind = (order, z.shape[1], z.dtype, z.device, revision, method, tuple(training))",
        "kind = (z.shape[1], z.dtype, z.device, revision, method, tuple(training))",
        "a jet of order 3 is taken for compared when one of order 1 was",
    ),
    (
        "revision, method, tuple(training))",
        "revision, method)",
        "train mode is taken for compared when eval mode was",
    ),
    (
        "z.device, revision, method, ",
        "z.device, method, ",
        "a new rule is not compared",
    ),
    (
        "marks != self._known and not _differing(marks, self._known) <= self._own",
        "False",
        "changes are not noticed",
    ),
    (
        "not _differing(marks, self._known) <= self._own",
        "not _differing(marks, self._known) <= frozenset()",
        "a decoder that counts its calls is compared at each",
    ),
    (
        "return calls % _SELDOM == 0 or (power_of_two and calls >= _OFTEN)",
        "return power_of_two and calls >= _OFTEN",
        "comparisons die out",
    ),
    (
        "or (self._changed and self._compared < _CHANGES + self._calls // 256)",
        "or self._changed",
        "a decoder that always changes is compared at each call",
    ),
    (
        "self.kinks = frozenset(kinks) if self._changed else self.kinks | kinks",
        "self.kinks = self.kinks | kinks",
        "kinks that are gone are warned of",
    ),
    (
        "if self._changed else self.kinks | kinks",
        "if self._changed else frozenset(kinks)",
        "kinks seen once are forgotten",
    ),
    (
        "return {None}",
        "return set()",
        "a decoder with more in it than before has not changed",
    ),
)

FINGERPRINT = mutations(
    "providers/fingerprint.py",
    f"{T}/test_fingerprint.py {CHANGING}",
    (
        "self.marks.append((id(thing), None if thing.is_inference() else thing._version))",
        "self.marks.append(id(thing))",
        "what is written into a tensor is not noticed",
    ),
    (
        "self._visit_all((thing.__func__, thing.__self__))",
        "self.marks.append(id(thing))",
        "bound methods are new at every look",
    ),
    (
        "self._visit_all((thing.func, *thing.args, *thing.keywords.values()))",
        "self._visit_all((thing.func,))",
        "what a partial holds is not looked at",
    ),
    (
        "if issubclass(thing, torch.autograd.Function):",
        "if False:",
        "custom functions are not looked into",
    ),
    (
        "self._visit_all(thing for thing in container if isinstance(thing, _CODE + _PLAIN))",
        "pass",
        "containers are not looked into",
    ),
    (
        "marks.append(tuple(hooks))  # their keys, of which none comes twice",
        "pass",
        "hooks are not noticed",
    ),
    (
        "self.marks += torch_modules._global_forward_hooks",
        "pass",
        "global hooks are not noticed",
    ),
    (
        'for buffer in held.get("_buffers", {}).values():',
        "for buffer in ():",
        "buffers are not noticed",
    ),
    (
        "marks += (id(kind), id(forward))",
        "marks += (id(kind),)",
        "a forward that is put on the instance is not noticed",
    ),
    (
        "marks += [id(value) for value in attributes if type(value) not in _NUMBERS]",
        "pass",
        "attributes of torch's modules are not noticed",
    ),
    (
        "self._look_into_class(kind)",
        "pass",
        "methods of the class are not noticed",
    ),
    (
        "marks.append(id(child))",
        "pass",
        "submodules are not noticed",
    ),
    (
        "self.marks.append(id(code))",
        "pass",
        "code is not noticed",
    ),
    (
        "self._visit_all(map(_contents, function.__closure__ or ()))",
        "pass",
        "closures are not looked into",
    ),
    (
        "self._visit_all(function.__defaults__ or ())",
        "pass",
        "defaults are not looked at",
    ),
    (
        "self._visit_all((function.__kwdefaults__ or {}).values())",
        "pass",
        "defaults by keyword are not looked at",
    ),
    (
        "self._visit_all(vars(thing).get(attribute) for attribute in attributes)",
        "pass",
        "what stands in another module of the user's is not noticed",
    ),
    (
        "for found, inner in zip((names, attributes), _names(constant), strict=True):",
        "for found, inner in ():",
        "functions within functions are not looked into",
    ),
)

WITNESSED = mutations(
    "providers/witness.py",
    CHANGING,
    (
        "_compare_rows(beside, alone)",
        "pass",
        "rows that are coupled but equal are let through",
        ERRORS,
    ),
    (
        "beside = call_plainly(decoder, torch.cat([far, rows]))[1:]",
        "beside = call_plainly(decoder, rows.clone())",
        "a first row that decides for all is let through",
        ERRORS,
    ),
    (
        "allowed = allowed + _in_units(units, lost)",
        "pass",
        "subnormal derivatives are taken for wrong ones",
        f"{T}/test_range.py",
    ),
    (
        "lengths = torch.minimum(value / first, first / second)",
        "lengths = torch.ones_like(first)",
        "derivatives in small units hide those in large ones",
        UNITS,
    ),
    (
        "for point in sorted({regular[0], regular[-1]} if regular else ()):",
        "for point in ():",
        "the highest derivative is not compared",
        ERRORS,
    ),
)

MUTATIONS = [*DIFFERENCES, *MEMORY, *FINGERPRINT, *WITNESSED]
