"""What docstrings write as text, and Sphinx would take for mark-up or for names."""

import re

from curvcore import EstimatedGeometry, PullbackGeometry
from curvcore.caching import cached_quantity

BAR = "∣"  # |R| is no substitution; as wide, lest tables break
_LITERAL = re.compile(r"(``.*?``)")
_SEVERAL = re.compile(r"^:ivar (\w+(?:, \w+)+):")
_NAMES = re.compile(r"^:raises ((?:\w+Error[,;.]? ?)+):?$")


def setup(app):
    """Sphinx's entry point."""
    _show_as_properties(PullbackGeometry, EstimatedGeometry)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=900)
    app.connect("missing-reference", _by_last_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _show_as_properties(*classes):
    for owner in classes:
        for name, member in list(vars(owner).items()):
            if isinstance(member, cached_quantity):
                setattr(owner, name, property(member.__wrapped__))


def _before_napoleon(app, what, name, obj, options, lines):
    """Bars outside of code; and the first line of a property, "R: (B,)", is no type and a text."""
    code = None  # the indentation of what introduced a block of code
    for number, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if code is not None and line.strip() and indentation <= code:
            code = None
        if code is None:
            pieces = _LITERAL.split(line)
            pieces[::2] = [piece.replace("|", BAR) for piece in pieces[::2]]
            lines[number] = "".join(pieces)
            if line.rstrip().endswith("::"):
                code = indentation
    if what in ("attribute", "property"):
        lines[:0] = "..", ""  # an empty comment, of which nothing is seen


def _after_napoleon(app, what, name, obj, options, lines):
    """Attributes that share a line: of "a, b" the first word would be the type. So do errors."""
    lines[:] = [each for line in lines for each in _apart(line)]


def _apart(line):
    if names := _NAMES.match(line):
        return [f":raises {name}:" for name in re.findall(r"\w+", names[1])]
    return [_SEVERAL.sub(lambda found: ":ivar " + found[1].replace(", ", ",\u200b") + ":", line)]


def _by_last_name(app, env, node, contnode):
    """The one documented object that a name is the end of."""
    if node.get("refdomain") != "py" or node["reftype"] == "mod":
        return None
    domain = env.get_domain("py")
    end = "." + node["reftarget"].rpartition(".")[2]
    found = {entry.node_id: name for name, entry in domain.objects.items() if name.endswith(end)}
    if len(found) != 1:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", next(iter(found.values())), node, contnode
    )
