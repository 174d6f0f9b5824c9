"""The long description: README without what an index page cannot follow. See pyproject.toml."""

import re
from pathlib import Path

from setuptools import setup

# Code stays as it is; pictures and links to files of the repository lose their target.
CODE_OR_LINK = re.compile(r"```.*?```|`[^`\n]*`|(!?)\[([^\]]*)\]\((?!\w+:)[^)\s]*\)", re.DOTALL)


def _for_an_index(match):
    picture, text = match.groups()
    return match[0] if text is None else "" if picture else text


readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(
    long_description=CODE_OR_LINK.sub(_for_an_index, readme),
    long_description_content_type="text/markdown",
)
