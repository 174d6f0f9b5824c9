"""Sets the indices of formulas in docstrings, such as g_ij and e^{−f}, below and above the line."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

# ∂, ∇, or what begins a word, and the indices behind it, as in g_ij, ∂_i∂_jΨ, S_ij,kl, e^{−f}, R^D.
# Of indices the usual letters: names in snake case have others.
_BASE = r"[∂∇Α-Ω]|(?<![A-Za-z0-9_.])(?:II|Ric|Rm|[^\W\d_]′?)"
_BARE = r"(?:−?[a-dijklmnpqrstuv0-9α-ω]{1,4}(?:,[a-dijkl]{1,4})*|[A-Z])(?![A-Za-z0-9])"
_BRACED = r"\{[^{}]*\}"
INDEXED = re.compile(rf"({_BASE})((?:[_^](?:{_BRACED}|{_BARE}))+)")
_INDEX = re.compile(rf"([_^])({_BRACED}|{_BARE})")
_VERBATIM = nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw


class Indices(SphinxPostTransform):
    """Replaces them in all text that is not code."""

    default_priority = 900

    def run(self, **kwargs):
        """Of one page."""
        for text in list(self.document.findall(nodes.Text)):
            if not _is_verbatim(text) and INDEXED.search(text):
                text.parent.replace(text, list(_pieces(str(text))))


def _is_verbatim(node):
    while node is not None:
        if isinstance(node, _VERBATIM) or node.tagname.startswith("desc_"):
            return node.tagname != "desc_content"
        node = node.parent
    return False


def _pieces(text):
    end = 0
    for found in INDEXED.finditer(text):
        yield nodes.Text(text[end : found.end(1)])
        for sign, index in _INDEX.findall(found[2]):
            kind = nodes.subscript if sign == "_" else nodes.superscript
            yield kind("", nodes.Text(index.strip("{}")))
        end = found.end()
    yield nodes.Text(text[end:])


def setup(app):
    """Sphinx's entry point."""
    app.add_post_transform(Indices)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
