"""Wrong lines in the modules of the atlas."""

from verification.mutants.mutation import mutations

EVALUATION = mutations(
    "atlases/evaluation.py",
    "tests/curvcore/test_atlas.py tests/curvcore/test_atlas_ranks.py",
    (
        "torch.set_num_threads(1)",
        "torch.set_num_threads(2)",
        "torch computes on two threads",
    ),
    (
        "d * math.log(unit)",
        "math.log(unit)",
        "the volume scales as a length",
    ),
    (
        "check_rows(rows, first)",
        "check_rows(rows[:0], first)",
        "rows of a source of one's own may be anything",
    ),
)

WRITING = mutations(
    "atlases/writing.py",
    "tests/curvcore/test_atlas_input.py tests/curvcore/test_atlas_ranks.py",
    (
        "range(rank_of_this()[0], shards",
        "range(0, shards",
        "every rank takes the first shards",
    ),
    (
        "shards.read(folder, manifest, number)",
        "pass",
        "shards that are there are taken for whole",
    ),
)

SHARDS = mutations(
    "atlases/shards.py",
    "tests/curvcore/test_atlas_input.py tests/curvcore/test_atlas_ranks.py",
    ("if not is_whole:", "if False:", "digests are not compared"),
    ("if not belongs:", "if False:", "shards of other atlases are taken"),
    ("with whole(path, _mark(path)) as part:", "for part in [path]:", "half a shard has its name"),
    (
        "    remove_parts(folder, _mark(path_of(folder, number)))",
        "    pass",
        "what was left by a kill stays",
    ),
)

MANIFEST = mutations(
    "atlases/manifest.py",
    "tests/curvcore/test_atlas_input.py",
    (
        "    _check_same(folder, found, manifest)",
        "    pass",
        "another atlas is gone on with",
    ),
    (
        "_values(evaluator, source),",
        "[],",
        "functions are all the same decoder",
    ),
    ("        _check_empty(folder)", "        pass", "a folder of anything is written to"),
)

SOURCES = mutations(
    "atlases/sources.py",
    "tests/curvcore/test_atlas.py tests/curvcore/test_atlas_input.py",
    (
        "intervals = count if self.periodic",
        "intervals = count - 1 if self.periodic",
        "a period has both its ends",
    ),
    (
        "check_rows(rows, start, self._name)",
        "check_rows(rows[:0], start, self._name)",
        "latents that are not finite are found late",
    ),
)

MUTATIONS = [*EVALUATION, *WRITING, *SHARDS, *MANIFEST, *SOURCES]
