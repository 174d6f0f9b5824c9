"""Links of pages to files outside docs/, which work where sources are read, made to work here.

Tables of results/ are sections of the page ``tables``; of other files the path stands in the text.
"""

import re

_UPWARDS = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+)([\w./-]+)\)")
# In files beside docs/ that pages include.
_INSIDE = re.compile(r"\]\((?:docs/([\w./-]+)|(CONTRIBUTING|ARCHITECTURE)(\.md))\)")


def setup(app):
    """Sphinx's entry point."""
    app.connect("source-read", _rewrite)
    app.connect("include-read", lambda app, path, page, source: _rewrite(app, page, source))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _rewrite(app, page, source):
    source[0] = _UPWARDS.sub(lambda found: _link(page, found), source[0])
    source[0] = _INSIDE.sub(
        lambda found: f"](/{found[1] or found[2].lower() + found[3]})", source[0]
    )


def _link(page, found):
    """A link out of docs/ made one to a table, or the file's path; others as they are."""
    text, up, path = found.groups()
    if up.count("../") <= page.count("/"):
        return found[0]
    folder, _, name = path.rpartition("/")
    if folder == "results" and name.endswith(".md"):
        return f"[{text}](/tables.md#{name.removesuffix('.md').replace('_', '-')})"
    return f"{text}: `{path}`" if text.strip("`") not in path else f"`{path}`"
