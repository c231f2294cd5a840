"""Pictures of pages: taken in light and dark, made small, and checked that they show something."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

WIDTH, LEAST_HEIGHT, MOST_HEIGHT = 1280, 980, 2000
_COLORS = (128, 64, 32, 16)
_LEAST_BYTES, _MOST_BYTES = 5_000, 60_000
_LEAST_COVERED = 0.02
"""How much of a picture is not of its most frequent shade, at least."""
_HEIGHT = """() => {
    document.activeElement?.blur();
    const main = document.querySelector('[data-testid="stMain"]');
    const block = document.querySelector('[data-testid="stMainBlockContainer"]');
    if (!block) return 0;
    const room = parseFloat(getComputedStyle(block).paddingBottom);
    return main.getBoundingClientRect().top + block.scrollHeight - room + 32;
}"""


def fit(page: Page) -> None:
    """Make the window as high as what the page shows, within reason."""
    height = int(page.evaluate(_HEIGHT))
    page.mouse.move(WIDTH - 2, 2)  # where nothing shows more for it
    page.get_by_test_id("stMain").evaluate_all("each => each.forEach(main => main.scrollTo(0, 0))")
    page.set_viewport_size({"width": WIDTH, "height": min(MOST_HEIGHT, max(LEAST_HEIGHT, height))})


def in_both_schemes(page: Page) -> Iterator[str]:
    """Yield ``light`` and ``dark`` in turn while the page is shown so, as high as it is."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        fit(page)
        page.wait_for_timeout(300)  # the components of Streamlit follow one after the other
        yield scheme


def take(page: Page, path: Path) -> None:
    """Write a picture of what the window shows, with as many colours as its size allows."""
    shot = Image.open(BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    for colors in _COLORS:
        few = shot.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
        if path.stat().st_size < _MOST_BYTES:
            return


def check(path: Path, scheme: str) -> None:
    """Raise AssertionError unless a picture is small, of its scheme, and shows more than an empty page."""
    size = path.stat().st_size
    assert _LEAST_BYTES < size < _MOST_BYTES, f"{path.name} has {size} bytes"
    picture = Image.open(path)
    assert picture.mode == "P"
    assert picture.width == WIDTH
    gray = picture.convert("L")
    shades = gray.histogram()
    usual = shades.index(max(shades))
    assert (usual > 128) == (scheme == "light"), f"{path.name} is not {scheme}"
    covered = 1 - shades[usual] / (picture.width * picture.height)
    assert covered > _LEAST_COVERED, f"{path.name} is all but blank"
