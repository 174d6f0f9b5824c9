"""One line of curvcore, or of what certifies it, made wrong."""

import ast
from dataclasses import dataclass
from pathlib import Path


class StaleMutationError(Exception):
    """A mutation does not apply to the code as it stands."""


@dataclass(frozen=True)
class Mutation:
    """What is replaced, and what is believed to notice.

    Attributes:
        file: from ``curvcore``; what proves is in ``../verification``.
        fragment: part of one line that stands in the file once.
        replacement: what it becomes.
        why: what is wrong then.
        test: the cheapest selection believed to notice: arguments of pytest, or ``check SECTION``.
        equivalent: why nothing is wrong after all; then it is not tried.
    """

    file: str
    fragment: str
    replacement: str
    why: str
    test: str
    equivalent: str = ""

    def __str__(self):
        return f"{self.file}: {self.fragment!r} → {self.replacement!r}"

    def applied(self, source):
        """The mutated source.

        Raises:
            StaleMutationError: the fragment does not stand in it exactly once, or what comes out
                is no Python or the same program.
        """
        found = source.count(self.fragment)
        if found != 1:
            raise StaleMutationError(f"{self}: the fragment stands there {found} times, not once.")
        mutated = source.replace(self.fragment, self.replacement)
        try:
            same = ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(source))
        except SyntaxError as error:
            raise StaleMutationError(f"{self} is no Python: {error}") from error
        if same:
            raise StaleMutationError(f"{self} changes nothing.")
        return mutated

    def apply_to(self, tree):
        """Mutate the file in that copy of the repository, and drop what was compiled of it."""
        path = Path(tree, "curvcore", self.file)
        path.write_text(self.applied(path.read_text(encoding="utf-8")), encoding="utf-8")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()


def mutations(file, test, *rows):
    """Mutations of one file, from (fragment, replacement, why[, test]); ``test`` by default."""
    return [Mutation(file, *row[:3], *(row[3:] or (test,))) for row in rows]
