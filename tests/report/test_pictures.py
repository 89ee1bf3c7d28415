"""One process: pictures of made-up representations are asked what their SVG shows."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from orchestrator.report.figures import letters
from orchestrator.report.figures.representation import _point_style, draw_representation
from workloads.representation import (
    HeadSpectrum,
    InspectOptions,
    MapName,
    Representation,
    Shown,
    Space,
)

CLASSES = (
    "aardvark",
    "bee",
    "cat",
    "dodo",
    "emu",
    "fox",
    "gnu",
    "hen",
    "ibis",
    "jackdaw of the northern islands",
)
NUMBERS = np.random.default_rng(0)


def shown(*shape: int, labels: int = 10) -> Shown:
    pixels = NUMBERS.integers(0, 256, (*shape, 3, 8, 8), dtype=np.uint8)
    return Shown(NUMBERS.integers(0, 40, shape), NUMBERS.integers(0, labels, shape), pixels)


def points() -> NDArray[np.float32]:
    return NUMBERS.normal(size=(40, 2)).astype(np.float32)


def space(dimensions: int) -> Space:
    values = np.sort(NUMBERS.random(dimensions))[::-1]
    maps: dict[MapName, NDArray[np.float32]] = {"tsne": points(), "umap": points()}
    return Space(dimensions, values, maps, shown(2, 3))


WHOLE = Representation(
    results={"effective_rank_h": 12.34, "effective_rank_z": 5.6},
    spaces={"h": space(32), "z": space(16)},
    head=HeadSpectrum("eigenvalues", np.array([4.0, 1.0, 0.25, 0.0]), (4, 4)),
    mapped_labels=np.arange(40) % 10,
    queries=Shown(np.array([3, 9]), np.array([2, 9]), shown(2).images),
    classes=CLASSES,
    measured=38,
    searched=40,
    options=InspectOptions(),
    notes=(),
    warnings=("z has collapsed: so it is said",),
)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return draw_representation(WHOLE, "run 12ab of digits")


def texts(svg: bytes) -> list[str]:
    """What is written, line by line."""
    return [
        " ".join(found.split()) for found in re.findall(r"<!-- (.*?) -->", svg.decode(), re.DOTALL)
    ]


def panels(svg: bytes) -> int:
    return len(re.findall(r'<g id="axes_\d+">', svg.decode()))


@pytest.fixture
def fresh() -> Iterator[None]:
    """Fonts are looked for anew, before and after."""
    caches = (letters._others, letters._font_of, letters._letters)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


ODD = ("犬", "naïve", "cafe\u0301", "$5 and $6", "_hidden", "caf\udce9", "a\tb", "dog", "🐕", "$x")


@pytest.mark.usefixtures("fresh")
def test_every_name_is_drawn_in_letters_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors here, and matplotlib warns of a letter without a glyph."""
    monkeypatch.setattr(letters, "_others", tuple)
    odd = draw_representation(replace(WHOLE, classes=ODD), "run of caf\udce9/犬, $5 and $6")
    spelled = {
        *("U+72AC", "naïve", "café", "$5 and $6", "_hidden", "caf\\xe9", "a U+0009 b", "dog"),
        *("U+1F415", "$x"),
    }
    assert spelled <= {*texts(odd["tsne.svg"])}
    for name in ("tsne", "neighbours", "spectrum"):
        assert "run of caf\\xe9/U+72AC, $5 and $6" in texts(odd[f"{name}.svg"])


@pytest.mark.usefixtures("fresh")
def test_another_font_is_taken_where_it_has_the_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """STIX, which matplotlib brings with it, stands for a font of the system."""
    monkeypatch.setattr(letters, "_NO_LETTERS", ("cm", "stixnon", "stixsize", "lastresort"))
    only = sorted(letters._letters("STIXGeneral") - letters._letters("DejaVu Sans"))
    letter = next(chr(one) for one in only if chr(one).isalpha())
    assert letters.written(f"{letter}\udbff") == f"{letter} U+DBFF"
    drawn = draw_representation(replace(WHOLE, classes=(letter, *CLASSES[1:])), letter)
    assert letter in texts(drawn["tsne.svg"])
    assert letters._families(f"a{letter}") == ["DejaVu Sans", letters._font_of(letter)]


def test_there_is_a_png_and_an_svg_of_each_picture(files: dict[str, bytes]) -> None:
    names = {"spectrum", "head-spectrum", "tsne", "umap", "neighbours"}
    assert set(files) == {f"{name}.{form}" for name in names for form in ("png", "svg")}
    for name in names:
        with Image.open(io.BytesIO(files[f"{name}.png"])) as image:
            assert image.format == "PNG"
            assert min(image.size) > 300
        assert "run 12ab of digits" in texts(files[f"{name}.svg"])
        assert any("n = " in text for text in texts(files[f"{name}.svg"]))


def test_spectra_name_their_ranks_and_what_has_collapsed(files: dict[str, bytes]) -> None:
    said = texts(files["spectrum.svg"])
    assert "h, the representation: effective rank 12.3 of 32" in said
    assert "z = g(h), after the head: effective rank 5.6 of 16" in said
    assert any("Warning: z has collapsed: so it is said." in text for text in said)
    assert any("n = 38 test images" in text for text in said)


def test_the_head_is_drawn_on_a_uniform_and_on_a_logarithmic_axis(files: dict[str, bytes]) -> None:
    said = texts(files["head-spectrum.svg"])
    assert panels(files["head-spectrum.svg"]) == 2
    assert {
        "squared eigenvalue (modulus), linear scale",
        "squared eigenvalue (modulus), log scale",
    } <= {*said}


@pytest.mark.parametrize("name", ["tsne", "umap"])
def test_maps_have_a_panel_for_each_space_and_a_key_for_each_class(
    name: str, files: dict[str, bytes]
) -> None:
    svg = files[f"{name}.svg"]
    assert panels(svg) == 2
    groups = set(re.findall(r'<g id="([hz]-class-\d+)">', svg.decode()))
    assert groups == {f"{space}-class-{label}" for space in ("h", "z") for label in range(10)}
    said = texts(svg)
    assert [text for text in said if text in CLASSES] == list(CLASSES[:9]), (
        "each once, in the legend"
    )
    assert "jackdaw of the northe\u2026" in said
    assert any("n = 40 test images of 10 of 10 classes" in text for text in said)


def test_classes_differ_in_colour_and_in_marker() -> None:
    styles = [_point_style(index, 40) for index in range(100)]
    assert len({style["color"] for style in styles[:10]}) == 10
    assert len({style["marker"] for style in styles[:10]}) == 10
    assert len({(style["color"], style["marker"]) for style in styles}) == 100


def test_each_neighbour_is_marked_right_or_wrong_by_a_word_of_its_class(
    files: dict[str, bytes],
) -> None:
    said, expected = texts(files["neighbours.svg"]), []
    for found in (WHOLE.spaces["h"].neighbours, WHOLE.spaces["z"].neighbours):
        for (row, _), label in np.ndenumerate(found.labels):
            name = CLASSES[label] if label != 9 else "jackdaw\u2026"
            expected.append(("\u2713 " if label == WHOLE.queries.labels[row] else "\u2717 ") + name)
    assert [text for text in said if text[0] in "\u2713\u2717"] == expected
    assert "cat" in said, "the query's class"
    assert any("n = 40 test images, of n = 2 queries" in text for text in said)


def test_images_stand_in_rows_after_their_query_and_h_before_z() -> None:
    """Each image has a colour of its own, which is looked for in the picture."""
    colors = np.arange(2 + 2 * 6)[:, None] * np.array([17, 5, 11]) + np.array([20, 150, 90])
    plain = np.broadcast_to(colors[:, :, None, None], (14, 3, 8, 8)).astype(np.uint8)
    spaces = {
        name: replace(
            WHOLE.spaces[name],
            maps={},
            neighbours=replace(WHOLE.spaces[name].neighbours, images=images),
        )
        for name, images in (
            ("h", plain[2:8].reshape(2, 3, 3, 8, 8)),
            ("z", plain[8:].reshape(2, 3, 3, 8, 8)),
        )
    }
    drawn = replace(
        WHOLE, spaces=spaces, head=None, queries=replace(WHOLE.queries, images=plain[:2])
    )
    with Image.open(io.BytesIO(draw_representation(drawn, "colours")["neighbours.png"])) as image:
        pixels = np.asarray(image.convert("RGB"))
    centres = [np.argwhere((pixels == color).all(axis=2)).mean(axis=0) for color in colors]
    order = [[0, 2, 3, 4, 8, 9, 10], [1, 5, 6, 7, 11, 12, 13]]  # in each row from left to right
    for row in order:
        assert np.ptp([centres[tile][0] for tile in row]) < 2
        assert np.diff([centres[tile][1] for tile in row]).min() > 80, (
            "they do not lie over each other"
        )
    assert centres[1][0] - centres[0][0] > 100


@pytest.fixture(scope="module")
def of_h() -> Representation:
    return replace(WHOLE, spaces={"h": replace(WHOLE.spaces["h"], maps={})}, head=None, warnings=())


def test_of_a_run_without_a_head_h_alone_is_drawn(of_h: Representation) -> None:
    files = draw_representation(of_h, "supervised")
    assert set(files) == {"spectrum.png", "spectrum.svg", "neighbours.png", "neighbours.svg"}
    assert panels(files["neighbours.svg"]) == 1
    assert not any("g(h)" in text for text in texts(files["spectrum.svg"]))
    assert draw_representation(of_h, "supervised") == files, "equal files for equal representations"


def test_a_collapsed_representation_can_be_drawn() -> None:
    flat = replace(WHOLE.spaces["h"], singular_values=np.zeros(32), maps={})
    point = replace(WHOLE, spaces={"h": flat}, head=None, results={"effective_rank_h": 0.0})
    assert ("h, the representation: effective rank 0 of 32") in texts(
        draw_representation(point, "a point")["spectrum.svg"]
    )
