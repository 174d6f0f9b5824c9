"""The version, which stands in three files."""

import re

PLACES = {
    "curvcore/_version.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## (\d\S*) - \d{4}-\d\d-\d\d$",  # the newest that is no longer "Unreleased"
}


def stated_version(root, name="curvcore/_version.py"):
    """What a file says, or "none"."""
    match = re.search(PLACES[name], (root / name).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else "none"


def unreleased(root):
    """Failures of CHANGELOG.md: lines under a heading above the newest version."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    above = re.split(PLACES["CHANGELOG.md"], text, maxsplit=1, flags=re.MULTILINE)[0]
    under = above.partition("\n## ")[2].splitlines()[1:]
    entries = [line.strip() for line in under if line.strip() and not line.startswith("#")]
    return [f"CHANGELOG.md, above the newest version: {entries[0]}"] if entries else []


def disagreement(root):
    """One line that tells which file states another version, or none; None where all agree."""
    stated = {name: stated_version(root, name) for name in PLACES}
    if len(set(stated.values())) == 1 and "none" not in stated.values():
        return None
    return "versions differ: " + ", ".join(f"{name} {what}" for name, what in stated.items())
