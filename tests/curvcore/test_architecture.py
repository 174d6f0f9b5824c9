"""ARCHITECTURE.md: its layers hold every module, and its arrows are those of the code."""

import re

import pytest

from tests.curvcore.test_structure import ROOT, files_of, imports_of, name_of
from tests.support.arrows import ARROWS

PACKAGES = ("curvcore", "training", "verification")


def page():
    return (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def section(package):
    """The text under the heading of that package."""
    return page().split(f"\n## {package}\n", 1)[1].split("\n## ", 1)[0]


def rows(package):
    """Layer -> (patterns of modules, layers that it imports), from the table of that package."""
    found = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \|$", section(package), re.MULTILINE)
    return {
        layer: (
            [_full(name, package) for name in re.findall(r"`(.+?)`", modules)],
            set() if imports == "nothing" else set(imports.split(", ")),
        )
        for layer, modules, imports in found
    }


def _full(name, package):
    return name if name.partition(".")[0] == package else f"{package}.{name}"


def matches(pattern, module):
    stem = pattern.removesuffix(".*")
    return module == stem or (pattern != stem and module.startswith(f"{stem}."))


def layers_of(package):
    """Module -> its layer: that of the longest pattern which it matches, if there is any."""
    patterns = {pattern: layer for layer, (names, _) in rows(package).items() for pattern in names}
    found = {}
    for module in map(name_of, files_of(package)):
        fitting = [pattern for pattern in patterns if matches(pattern, module)]
        found[module] = patterns[max(fitting, key=len)] if fitting else None
    return found


def imports(package):
    """Module -> those of its package that it imports; ``test_structure`` holds ARROWS to that."""
    if package == "curvcore":
        return {m: {_full(n, package) for n in names} for m, names in ARROWS.items()}
    own = {name_of(path): imports_of(path) for path in files_of(package)}
    return {m: {n for n in names if n.partition(".")[0] == package} for m, names in own.items()}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_a_layer_and_every_name_a_module(package):
    layers = layers_of(package)
    assert not [module for module, layer in layers.items() if layer is None]
    names = [name for patterns, _ in rows(package).values() for name in patterns]
    assert len(set(names)) == len(names)
    assert not [name for name in names if not any(matches(name, module) for module in layers)]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_arrows_drawn_are_those_of_the_code(package):
    layers, found = layers_of(package), {layer: set() for layer in rows(package)}
    for module, names in imports(package).items():
        found[layers[module]] |= {layers[name] for name in names} - {layers[module]}
    assert found == {layer: drawn for layer, (_, drawn) in rows(package).items()}


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_point_down(package):
    below = list(rows(package))
    for layer, (_, drawn) in rows(package).items():
        assert drawn <= set(below[below.index(layer) + 1 :]), layer


@pytest.mark.parametrize("package", PACKAGES)
def test_the_picture_shows_the_layers_of_the_table_from_top_to_bottom(package):
    (picture,) = re.findall(r"```text\n(.*?)```", section(package), re.DOTALL)
    shown = re.findall(r"^[│ ]*([a-z]+(?: [a-z]+)*?)  ", picture, re.MULTILINE)
    assert shown == list(rows(package))


def test_files_that_the_page_names_exist():
    named = re.findall(r"`([\w/.]+/[\w.]+\.(?:py|md|yaml|toml))`", page())
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
