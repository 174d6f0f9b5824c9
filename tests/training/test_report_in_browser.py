"""The report in a real browser, without a network: what a reader sees and can do."""

import numpy as np
import pytest

from tests.support.chromium import opened
from tests.support.small_runs import CURVATURE, fit, gaussians, of_file
from training.__main__ import main

pytestmark = [
    pytest.mark.slow,
    # jsonargparse 4.49 and later, which Lightning asks to be older than 5
    pytest.mark.filterwarnings(r"ignore:\s*skip_none parameter:DeprecationWarning"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def report(chromium, tmp_path_factory):
    """Two runs of one data set, and one of images."""
    folder = tmp_path_factory.mktemp("runs")
    images = np.random.default_rng(0).uniform(size=(60, 6))
    runs = [
        fit(folder / "plain", gaussians(), epochs=3),
        fit(folder / "regularised", gaussians(), epochs=3, terms=CURVATURE),
        fit(folder / "images", of_file(folder, images, image_shape=[2, 3]), D=6, d=3),
    ]
    path = folder / "report.html"
    assert main(["report", *map(str, runs), "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def page(chromium, report):
    """The report, every picture drawn."""
    page = opened(chromium, report)
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.and_(page.locator("[data-drawn]")).wait_for()
    yield page
    assert page.errors == []


def values(page, selector, name, field):
    """A field of the trace of this name in the figure at the selector, once nothing changes."""
    page.locator(".plot[aria-busy=true]").first.wait_for(state="detached")
    script = """([selector, name, field]) => {
        const trace = document.querySelector(selector)._fullData.find((t) => t.name === name);
        const value = field.split(".").reduce((object, key) => object[key], trace);
        const plain = (x) => ArrayBuffer.isView(x) || Array.isArray(x) ? Array.from(x, plain) : x;
        return plain(value);
    }"""
    return page.evaluate(script, [selector, name, field])


def pixel(page, selector, index):
    """Where in the window the latent point number ``index`` is."""
    script = """([selector, index]) => {
        const plot = document.querySelector(selector);
        const { xaxis, yaxis } = plot._fullLayout;
        const points = plot._fullData.find((t) => t.name === "points");
        const box = plot.getBoundingClientRect();
        return [box.left + xaxis._offset + xaxis.d2p(points.x[index]),
                box.top + yaxis._offset + yaxis.d2p(points.y[index])];
    }"""
    page.locator(selector).scroll_into_view_if_needed()
    return page.evaluate(script, [selector, index])


def details(page, run, chapter=0):
    """name -> value of the table below a run."""
    rows = page.locator(f"#chapter-{chapter} [data-run='{run}'] .details tr").all()
    return {row.locator("th").inner_text(): row.locator("td").inner_text() for row in rows}


LATENT = "#chapter-0 [data-run='{}'] .latent"
SPACE = "#chapter-0 [data-run='{}'] .space"


def test_nothing_is_asked_of_a_network_and_every_picture_is_there(page, report):
    assert page.requests == [report.absolute().as_uri()]
    assert page.errors == []
    kinds = [plot.get_attribute("class").split()[1] for plot in page.locator(".plot").all()]
    assert sorted(kinds) == sorted(
        3 * ["latent", "space"] + 2 * ["map", "histogram"] + 5 * ["history"] + ["pairs"]
    )
    for plot in page.locator(".plot").all():
        assert plot.locator("svg.main-svg").first.bounding_box()["height"] > 100
    assert page.locator(".plot.space canvas").count() >= 3
    titles = page.locator(".modebar-btn").evaluate_all("all => all.map((b) => b.dataset.title)")
    assert "download plot as a png" in map(str.lower, titles)
    assert not any("hare" in title or "loud" in title for title in titles)


def test_hover_tells_the_curvature_in_every_picture_and_below(page):
    page.locator("#chapter-0 [name=point]").fill("5")  # then let go of it
    x, y = pixel(page, LATENT.format(0), 5)
    page.mouse.click(x, y)
    page.mouse.move(5, 5)
    index = 17
    x, y = pixel(page, LATENT.format(0), index)
    page.mouse.move(x, y)
    label = page.locator(f"{LATENT.format(0)} .hovertext")
    label.wait_for()
    assert "R = " in label.text_content()
    shown = details(page, 0)
    chosen = int(shown["point"])  # the one on top, if two are very near
    assert np.hypot(*np.subtract(pixel(page, LATENT.format(0), chosen), (x, y))) < 3
    assert float(shown["R"].replace("−", "-")) == pytest.approx(
        values(page, LATENT.format(0), "points", "customdata")[chosen][0], rel=1e-3
    )
    assert {"z", "g", "eigenvalues of g", "√det g", "reconstruction error |x − x̂|"} <= set(shown)
    assert details(page, 1)["point"] == shown["point"]  # the same point in the other run
    for run in (0, 1):
        place = values(page, SPACE.format(run), "selected", "x")
        assert place == [values(page, SPACE.format(run), "points", "x")[chosen]]


def test_a_click_keeps_a_point_until_the_next(page):
    page.locator("#chapter-0 [name=point]").fill("30")
    assert page.locator("#chapter-0 .point-number").inner_text() == "30, kept"
    page.mouse.move(*pixel(page, LATENT.format(0), 3))
    page.wait_for_timeout(300)
    assert details(page, 0)["point"] == "30"
    page.keyboard.press("Escape")
    assert page.locator("#chapter-0 .point-number").inner_text() == "30"


def test_the_slider_moves_the_latents_through_the_training(page):
    ended = values(page, LATENT.format(0), "points", "x")
    slider = page.locator("#chapter-0 [name=epoch]")
    epochs = page.locator("#chapter-0 .epoch")
    assert epochs.all_inner_texts() == ["epoch 3", "epoch 3"]
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert epochs.all_inner_texts() == ["epoch 2", "epoch 2"]
    page.keyboard.press("Home")
    assert epochs.all_inner_texts() == ["epoch 0", "epoch 0"]
    began = values(page, LATENT.format(0), "points", "x")
    assert not np.allclose(began, ended)
    assert values(page, LATENT.format(0), "landmarks", "visible") is False
    page.keyboard.press("End")
    np.testing.assert_array_equal(values(page, LATENT.format(0), "points", "x"), ended)
    assert values(page, LATENT.format(0), "landmarks", "visible") is True


def test_play_shows_the_whole_training(page):
    page.evaluate("""() => {
        window.seen = [];
        const epoch = document.querySelector("#chapter-0 .epoch");
        const note = () => window.seen.push(epoch.textContent);
        new MutationObserver(note).observe(epoch, { childList: true });
    }""")
    play = page.locator("#chapter-0 [name=play]")
    play.click()
    assert play.inner_text() == "Stop"
    play.filter(has_text="Play").wait_for()
    assert page.evaluate("window.seen") == [f"epoch {i}" for i in range(4)]


def test_points_take_every_colour(page):
    before = values(page, LATENT.format(1), "points", "marker.color")
    select = page.locator("#chapter-0 [name=colour]")
    for option in select.locator("option").all():
        select.select_option(option.get_attribute("value"))
        bar = values(page, LATENT.format(1), "points", "marker.colorbar.title.text")
        assert bar == option.inner_text()
        colours = [values(page, p.format(1), "points", "marker.color") for p in (LATENT, SPACE)]
        assert colours[0] == colours[1]
    assert colours[0] != before
    select.select_option("0")
    assert values(page, LATENT.format(1), "points", "marker.color") == before


def test_geodesics_are_drawn_with_their_length(page):
    page.locator("#chapter-0 [name=from]").select_option("1")
    assert page.locator("#chapter-0 .geodesic").first.inner_text() == ""
    page.locator("#chapter-0 [name=to]").select_option("0")
    for run in (0, 1):
        text = page.locator(f"#chapter-0 [data-run='{run}'] .geodesic").inner_text()
        assert text.startswith("Geodesic: length ")
        x, y = (values(page, LATENT.format(run), "geodesic", axis) for axis in "xy")
        ends = [values(page, LATENT.format(run), "landmarks", axis)[:2] for axis in "xy"]
        np.testing.assert_allclose([[x[0], x[-1]], [y[0], y[-1]]], ends, rtol=1e-5)
        assert len(values(page, SPACE.format(run), "straight", "z")) == len(x)
    page.locator("#chapter-0 [name=to]").select_option("")
    assert values(page, LATENT.format(0), "geodesic", "x") == []


MAP = "#chapter-0 .map[data-run='{}']"


def test_geodesics_between_points_of_a_map_that_are_chosen(page):
    article = page.locator("#chapter-0 .run:has(.map[data-run='0'])")
    x, y = (values(page, MAP.format(0), "map", axis) for axis in "xy")
    ends = [[x[len(x) // 4], y[len(y) // 4]], [x[len(x) // 2], y[len(y) // 2]]]
    for name, end in zip(("start", "end"), ends, strict=True):
        article.locator(f"[name={name}]").fill(f"{end[0]:.6g}, {end[1]:.6g}")
        article.locator(f"[name={name}]").press("Enter")
    text = article.locator(".geodesic").inner_text()
    assert text.startswith("Geodesic: length ")
    assert "Straight line: " in text
    for axis, i in (("x", 0), ("y", 1)):
        curve = values(page, MAP.format(0), "geodesic", axis)
        assert len(curve) == 65
        assert [curve[0], curve[-1]] == pytest.approx([end[i] for end in ends], rel=1e-4)
        assert len(values(page, MAP.format(0), "straight", axis)) == 65
    plot = page.locator(MAP.format(0))
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    for share in (0.3, 0.6):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + share * box["height"])
        page.wait_for_timeout(500)  # two clicks, not a double click
    assert article.locator(".geodesic").inner_text() != text
    assert article.locator("[name=end]").input_value() != ""
    article.locator("[name=clear]").click()
    assert article.locator(".geodesic").inner_text() == ""
    assert values(page, MAP.format(0), "geodesic", "x") == []


def test_maps_show_every_quantity(page):
    maps = [f"#chapter-0 .map[data-run='{run}']" for run in (0, 1)]
    select, seen = page.locator("#chapter-0 [name=quantity]"), set()
    for option in select.locator("option").all():
        select.select_option(option.get_attribute("value"))
        assert values(page, maps[0], "map", "colorbar.title.text") == option.inner_text()
        limits = [[values(page, m, "map", end) for end in ("zmin", "zmax")] for m in maps]
        assert limits[0] == limits[1]
        seen.add(str(values(page, maps[0], "map", "z")[0]))
    assert len(seen) == 3
    page.locator("#chapter-0 [name=own]").check()
    own = [[values(page, m, "map", end) for end in ("zmin", "zmax")] for m in maps]
    assert own[0] != own[1]
    page.locator("#chapter-0 [name=own]").uncheck()
    assert [values(page, m, "map", "zmax") for m in maps] == [limits[0][1]] * 2


def test_the_flow_has_a_slider_and_its_maps_move(chromium, tmp_path):
    term = {
        "functional": {"class_path": "training.functionals.PerelmanF"},
        "weight": 1e-3,
        "measure": {"class_path": "training.measures.UniformBox"},
    }
    run = fit(tmp_path / "flow", gaussians(), epochs=3, terms={"perelman": term})
    path = tmp_path / "report.html"
    assert main(["report", str(run), "--out", str(path)]) == 0
    page = opened(chromium, path)
    plot = page.locator(".plot.flow")
    plot.scroll_into_view_if_needed()
    plot.and_(page.locator("[data-drawn]")).wait_for()
    ended = [values(page, ".plot.flow", name, "z") for name in ("flow R", "flow f")]
    page.locator("[name=flow]").focus()
    assert page.locator(".flow-epoch").inner_text() == "epoch 3"
    page.keyboard.press("Home")
    assert page.locator(".flow-epoch").inner_text() == "epoch 0"
    began = [values(page, ".plot.flow", name, "z") for name in ("flow R", "flow f")]
    assert all(not np.allclose(a, b) for a, b in zip(began, ended, strict=True))
    page.keyboard.press("End")
    again = [values(page, ".plot.flow", name, "z") for name in ("flow R", "flow f")]
    assert again == ended
    assert page.locator(".plot.flow-curve").count() == 7
    assert page.errors == []


def test_two_runs_are_compared_in_words(page):
    cells = page.locator("#chapter-0 .metrics tbody tr").all()
    heads = [row.locator("td").count() for row in cells]
    assert set(heads) == {2}
    text = page.locator("#chapter-0 .metrics").inner_text()
    assert "▲ better" in text or "▼ worse" in text
    names = page.locator("#chapter-0 .metrics thead th").all_inner_texts()
    assert names == ["metric", "plain", "regularised"]


def test_images_are_decoded_below(page):
    page.locator("#chapter-1 [name=point]").fill("4")
    canvases = page.locator("#chapter-1 .details canvas")
    assert canvases.count() == 2
    pixels = page.evaluate(
        """() => Array.from(document.querySelectorAll("#chapter-1 .details canvas"), (c) =>
            [c.width, c.height, ...c.getContext("2d").getImageData(0, 0, 3, 2).data])"""
    )
    assert [shape[:2] for shape in pixels] == [[3, 2]] * 2
    assert pixels[0] != pixels[1]


def test_all_can_be_reached_by_keyboard(page):
    reached = set()
    page.locator(".skip").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.name || document.activeElement.className")
        )
    assert {"colour", "point", "epoch", "play", "from", "to", "quantity"} <= reached


def test_more_surfaces_than_a_browser_holds(chromium, report, tmp_path):
    text = report.read_text(encoding="utf-8").replace(
        "const MOST_SCENES = 8", "const MOST_SCENES = 0"
    )
    (tmp_path / "few.html").write_text(text, encoding="utf-8")
    page = opened(chromium, tmp_path / "few.html")
    first = page.locator(SPACE.format(0))
    first.scroll_into_view_if_needed()
    first.and_(page.locator("[data-drawn]")).wait_for()
    page.locator("#chapter-0 [name=colour]").select_option("1")
    page.locator("#reproduce").scroll_into_view_if_needed()
    first.and_(page.locator(":not([data-drawn])")).wait_for()
    assert first.locator("canvas").count() == 0
    first.scroll_into_view_if_needed()
    first.and_(page.locator("[data-drawn]")).wait_for()
    limits = [values(page, SPACE.format(0), "points", f"marker.{end}") for end in ("cmin", "cmax")]
    assert limits[0] == -limits[1]  # still coloured by R
    assert page.errors == []
    page.context.close()


def test_on_a_phone_nothing_is_wider_than_the_screen(chromium, report):
    page = opened(chromium, report, 375, 700, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    plot = page.locator(LATENT.format(0))
    plot.scroll_into_view_if_needed()
    plot.and_(page.locator("[data-drawn]")).wait_for()
    assert plot.bounding_box()["width"] <= 375
    box = plot.bounding_box()
    below = page.locator(LATENT.format(1)).bounding_box()
    assert below["y"] >= box["y"] + box["height"]  # runs one below the other
    page.touchscreen.tap(*pixel(page, LATENT.format(0), 9))
    page.locator("#chapter-0 [data-run='0'] .details table").wait_for()
    page.wait_for_timeout(600)  # plotly tells of a tap twice
    assert page.locator("#chapter-0 .point-number").inner_text().endswith(", kept")
    assert page.errors == []
    page.context.close()
