"""Figures and pages: the same bytes from the same content, one legend, light to import."""

import base64
import hashlib
import os
import re
import struct
import subprocess
import sys
from itertools import pairwise

import matplotlib
import pytest
from jinja2 import UndefinedError
from matplotlib import style
from matplotlib.figure import Figure

from fgrpo.presentation.figures import HEIGHT, WIDTH, draw, draw_panels, render, save
from fgrpo.presentation.page import fill
from fgrpo.presentation.series import arm_style, base_style

pytestmark = pytest.mark.slow

WORDS = ("curves", "Two curves", "What they are.", "A rises from 1 to 3 & B falls.")


def curves(*places):
    """Paint the base and the arms of these places; the y axis has a log scale and a name."""

    def paint(axes):
        axes.plot([1, 2, 4], [1, 2, 300], **base_style("Base").main())
        for place in places:
            axes.plot([1, 2, 4], [1 + place, 50, 100.25], **arm_style(f"arm {place}", place).main())
        axes.set_yscale("log")
        axes.set_ylabel("solved")

    return paint


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    ).stdout.strip()


def contents(drawn):
    return drawn.svg, drawn.png


def pixels(png):
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def inches(figure, artist):
    box = artist.get_window_extent()
    return box.transformed(figure.dpi_scale_trans.inverted())


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("", ("matplotlib", "jinja2")),
        (".series", ("matplotlib", "jinja2")),
        (".numbers", ("matplotlib", "jinja2", "scipy")),
        (".tables", ("matplotlib", "jinja2", "scipy")),
        (".figures", ("matplotlib.pyplot", "jinja2", "fgrpo.report")),
        (".page", ("matplotlib", "fgrpo.report", "fgrpo.diagnose")),
    ],
)
def test_importing_loads_no_more_than_it_needs(modules, absent):
    code = f"import sys, fgrpo.presentation{modules}; print(*sorted(sys.modules))"
    loaded = python(code).split()
    assert f"fgrpo.presentation{modules}" in loaded
    assert not set(absent) & set(loaded)


def test_a_figure_is_drawn_shown_and_saved_without_pyplot():
    code = (
        "import sys\n"
        "from fgrpo.presentation.figures import draw, save\n"
        "figure = draw(lambda axes: axes.plot([1, 2], label='a'))\n"
        "png, _ = figure._repr_png_()\n"
        "assert png.startswith(b'\\x89PNG')\n"
        "assert save(figure, 'n', 't', 'c', 'a').svg.startswith(b'<?xml')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert python(code, MPLBACKEND="module://no_such_backend") == "False"


def test_the_bytes_do_not_depend_on_the_process():
    code = (
        "import hashlib, sys\n"
        "from test_presentation import WORDS, contents, curves, render\n"
        "drawn = render(*WORDS, curves(0, 1))\n"
        "print(*(hashlib.sha256(part).hexdigest() for part in contents(drawn)))"
    )
    here = [hashlib.sha256(part).hexdigest() for part in contents(render(*WORDS, curves(0, 1)))]
    later = {"SOURCE_DATE_EPOCH": "1000000000"}  # a date, if there were one
    assert python(code, PYTHONHASHSEED="1", TZ="Asia/Tokyo", **later).split() == here


def test_the_bytes_do_not_depend_on_what_was_drawn_before():
    paints = [curves(0), curves(1, 2)]
    first = draw_panels(paints)
    saved = save(first, *WORDS)
    shown = draw_panels(paints)
    shown._repr_png_()
    assert contents(save(first, *WORDS)) == contents(saved)
    assert contents(save(shown, *WORDS)) == contents(saved)


def test_the_users_own_style_changes_nothing_and_stays():
    mine = {"axes.unicode_minus": False, "savefig.bbox": "tight", "svg.hashsalt": "mine"}
    usual = render(*WORDS, curves(0))
    with style.context(["dark_background", mine]):
        before = dict(matplotlib.rcParams)
        assert contents(render(*WORDS, curves(0))) == contents(usual)
        figure = draw(curves(0))
        png, _ = figure._repr_png_()
        assert dict(matplotlib.rcParams) == before
    assert png == usual.png
    assert contents(save(figure, *WORDS)) == contents(usual)


def test_the_ids_of_an_svg_come_from_its_name():
    """Two SVGs inside one page must not refer to each other's clip paths."""
    figure = draw(curves(0))
    one, two = (save(figure, name, *WORDS[1:]) for name in ("one", "two"))
    ids = [set(re.findall(rb'<clipPath id="(\w+)"', drawn.svg)) for drawn in (one, two)]
    assert all(ids)
    assert not ids[0] & ids[1]
    assert one.png == two.png


def test_render_is_draw_and_save_and_keeps_the_words():
    drawn = render(*WORDS, curves(0), size=(3.0, 2.0), legend=False)
    figure = draw(curves(0), size=(3.0, 2.0), legend=False)
    assert contents(save(figure, *WORDS)) == contents(drawn)
    assert (drawn.name, drawn.title, drawn.caption, drawn.alt) == WORDS
    assert not figure.legends
    assert pixels(drawn.png) == (600, 400)  # 200 to the inch
    assert WORDS[3] in repr(drawn)
    assert len(repr(drawn)) < 500


def test_a_figure_is_matplotlibs_own_and_shown_at_100_pixels_to_the_inch():
    figure = draw(curves(0), size=(3.0, 2.0))
    assert isinstance(figure, Figure)
    png, size = figure._repr_png_()
    assert size == {"width": 300, "height": 200}
    assert pixels(png) == (600, 400)


def test_panels_lie_side_by_side_under_one_legend():
    figure = draw_panels([curves(0), curves(2, 0), curves(1)])
    assert tuple(figure.get_size_inches()) == pytest.approx((3 * WIDTH, HEIGHT))
    assert legend_of(figure) == ["Base", "arm 0", "arm 2", "arm 1"]
    save(figure, *WORDS)
    boxes = [inches(figure, axes) for axes in figure.axes]
    assert len(boxes) == 3
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0
        assert (left.y0, left.y1, left.width) == pytest.approx((right.y0, right.y1, right.width))
    (legend,) = figure.legends
    assert max(box.y1 for box in boxes) < inches(figure, legend).y0
    rows = {round(inches(figure, text).y1, 1) for text in legend.get_texts()}
    assert len(rows) == 1  # three panels have the width for all
    colours = [handle.get_color() for handle in legend.legend_handles]
    assert colours == [base_style("").colour, *(arm_style("", place).colour for place in (0, 2, 1))]
    assert [axes.get_ylabel() for axes in figure.axes] == ["solved"] * 3


def test_panels_stand_in_rows_and_share_their_axes():
    """Five panels in rows of three: names and numbers only at the left and where none is below."""

    def paint(place):
        def fill(axes):
            axes.plot([0, place], [0, 10 * place], label="line")
            axes.set_xlabel("across")
            axes.set_ylabel("up")

        return fill

    figure = draw_panels([paint(p) for p in range(5)], size=(2.0, 1.5), columns=3, share=True)
    assert tuple(figure.get_size_inches()) == pytest.approx((6.0, 3.0))
    save(figure, *WORDS)
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    assert figure.axes[0].get_ylim()[1] >= 40
    assert [axes.get_ylabel() for axes in figure.axes] == ["up", "", "", "up", ""]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "across", "across", "across"]
    for axis, named in (("x", (2, 3, 4)), ("y", (0, 3))):
        shown = [
            any(
                tick.label1.get_visible() for tick in getattr(axes, f"{axis}axis").get_major_ticks()
            )
            for axes in figure.axes
        ]
        assert [place for place, numbers in enumerate(shown) if numbers] == list(named)
    boxes = [inches(figure, axes) for axes in figure.axes]
    assert boxes[0].y0 > boxes[3].y1
    assert (boxes[3].x0, boxes[4].x0) == pytest.approx((boxes[0].x0, boxes[1].x0))


def test_the_columns_of_a_legend_are_as_many_as_its_figure_is_wide():
    """Four panels of half the usual width have the room of two usual ones."""

    def paint(axes):
        for place in range(6):
            axes.plot([1, 2], [place, 1], label=f"an arm of {place}")

    for size, rows in ((0.5 * WIDTH, 2), (WIDTH, 1)):
        figure = draw_panels([paint] * 4, size=(size, HEIGHT))
        save(figure, *WORDS)
        (legend,) = figure.legends
        assert len({round(inches(figure, one).y1, 1) for one in legend.get_texts()}) == rows
        assert inches(figure, legend).x1 <= 4 * size


def test_one_panel_lists_a_label_as_often_as_it_has_it():
    """Arms whose names were cut to the same text are all there."""

    def twice(axes):
        for place in range(2):
            axes.plot([1, 2], **arm_style("same", place).main())

    assert legend_of(draw(twice)) == ["same", "same"]


def test_a_long_legend_makes_room_for_itself():
    def many(number):
        def paint(axes):
            for place in range(number):
                label = f"an arm with a long name {place}"
                axes.plot([1, 2], [place, 1], **arm_style(label, place).main())

        return paint

    heights = []
    for number in (2, 9):
        figure = draw(many(number))
        save(figure, *WORDS)
        (legend,) = figure.legends
        box = inches(figure, legend)
        assert box.y1 <= figure.get_size_inches()[1] + 1e-9
        assert box.x1 <= WIDTH
        assert inches(figure, figure.axes[0]).y1 < box.y0
        heights.append(inches(figure, figure.axes[0]).height)
    assert heights[0] <= heights[1] < heights[0] + 0.4  # room was added for the rows


def test_no_panel_and_no_label_are_refused():
    with pytest.raises(ValueError, match="paints is empty; give one function for each panel"):
        draw_panels([])
    with pytest.raises(ValueError, match=r"nothing painted has a label; .*legend=False"):
        draw(lambda axes: axes.plot([1, 2]))


def test_arms_look_different():
    looks = [(one.colour, one.line, one.marker) for one in (arm_style("", i) for i in range(40))]
    assert len(set(looks)) == 40
    assert len({colour for colour, _, _ in looks[:7]}) == 7
    assert len({str(line) for _, line, _ in looks[:5]}) == 5
    assert base_style("").colour not in {colour for colour, _, _ in looks}


@pytest.fixture
def template(tmp_path, monkeypatch):
    """Return a function that makes a package of one template."""

    def make(name, text):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "template.html").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        return name

    return make


def test_a_page_holds_the_picture_its_alt_text_and_the_style(template):
    text = (
        "<style>{{ css }}</style>{{ said }} {{ 0.0004 | percent }} {{ -0.125 | points }}"
        '<img src="{{ figure | uri }}" alt="{{ figure.alt }}">'
    )
    drawn = render(*WORDS, curves(0))
    page = fill(template("page_with_picture", text), figure=drawn, said="<script>")
    inside = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', page)
    assert inside
    assert base64.b64decode(inside[1]) == drawn.svg
    assert 'alt="A rises from 1 to 3 &amp; B falls."' in page
    assert '"Segoe UI"' in page.partition("</style>")[0]
    assert page.partition("</style>")[2].startswith("&lt;script&gt; &lt;0.1% −12.5<img")


def test_a_value_that_the_template_lacks_is_an_error(template):
    with pytest.raises(UndefinedError, match="missing"):
        fill(template("page_with_gap", "{{ missing }}"))
