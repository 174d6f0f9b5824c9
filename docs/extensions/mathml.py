"""Formulas as MathML, which browsers draw themselves: no script, no font and no network."""

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def setup(app):
    """Sphinx's entry point; conf.py chooses the renderer by its name."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(self, node):
    self.body.append(convert(node.astext()))
    raise SkipNode


def _block(self, node):
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode
