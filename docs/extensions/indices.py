"""Sets the indices of formulas in docstrings, such as g_ij and e^{−f}, below and above the line."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

# A letter, ∂, ∇, II or Ric that begins a word, and its indices, as in g_ij, S_ij,kl, e^{−f}, e^−2u.
_BARE = r"−?[^\W_]{1,5}(?:,[^\W_]{1,5})*(?![^\W_])"
_INDEXED = re.compile(rf"(?<![\w.])((?:II|Ric|[^\W\d_]′?|[∂∇]))(?:[_^](?:\{{[^{{}}]*\}}|{_BARE}))+")
_INDEX = re.compile(rf"([_^])(?:\{{([^{{}}]*)\}}|({_BARE}))")
_VERBATIM = nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw


class Indices(SphinxPostTransform):
    """Replaces them in all text that is not code."""

    default_priority = 900

    def run(self, **kwargs):
        """Of one page."""
        for text in list(self.document.findall(nodes.Text)):
            if not _is_verbatim(text) and _INDEXED.search(text):
                text.parent.replace(text, list(_pieces(str(text))))


def _is_verbatim(node):
    while node is not None:
        if isinstance(node, _VERBATIM) or node.tagname.startswith("desc_"):
            return node.tagname != "desc_content"
        node = node.parent
    return False


def _pieces(text):
    end = 0
    for found in _INDEXED.finditer(text):
        yield nodes.Text(text[end : found.end(1)])
        for sign, braced, bare in _INDEX.findall(found[0][len(found[1]) :]):
            kind = nodes.subscript if sign == "_" else nodes.superscript
            yield kind("", nodes.Text(braced or bare))
        end = found.end()
    yield nodes.Text(text[end:])


def setup(app):
    """Sphinx's entry point."""
    app.add_post_transform(Indices)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
