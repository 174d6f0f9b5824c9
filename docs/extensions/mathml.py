"""Formulas as MathML, which browsers draw themselves: no script, no font and no network."""

from latex2mathml.converter import convert


def setup(app):
    """Sphinx's entry point."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("config-inited", _choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _choose(app, config):
    config.html_math_renderer = "mathml"


def _inline(self, node):
    from docutils.nodes import SkipNode

    self.body.append(convert(node.astext()))
    raise SkipNode


def _block(self, node):
    from docutils.nodes import SkipNode

    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode
