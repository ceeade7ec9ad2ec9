"""The report in headless Chromium: no console message, switches and keys work, it fits a phone."""

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write
from test_report import trained
from test_training import make_folder

from unetseg.report import write_report
from unetseg.report.later import score_later
from unetseg.run import Run

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1200,900"
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium or chromedriver is not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    data = make_folder(folder / "data")
    runs = [trained(folder, name, data) for name in ("one", "a & <b>two")]
    one, both = write_report(runs[:1], folder / "one.html"), write_report(runs, folder / "both.html")
    return {"one": one, "both": both}


def media(browser: Any, width: int, scheme: str = "light", kind: str = "screen") -> None:
    wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def visible_layers(browser: Any) -> list[str]:
    layers = browser.find_elements(By.CSS_SELECTOR, ".overlays .layer")
    shown = [e for e in layers if e.value_of_css_property("visibility") == "visible"]
    return sorted({e.get_attribute("class").removeprefix("layer ") for e in shown})


@pytest.fixture(params=["one", "both"])
def opened(browser: Any, pages: dict[str, Path], request: pytest.FixtureRequest) -> Any:
    media(browser, 1200)
    browser.get_log("browser")
    browser.get(pages[request.param].as_uri())
    return browser


def test_no_console_message_and_nothing_is_loaded(opened: Any) -> None:
    assert opened.get_log("browser") == []
    loaded = opened.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert opened.execute_script(broken) == 0


def test_layers_switch_by_mouse_and_by_arrow_keys(opened: Any) -> None:
    assert visible_layers(opened) == ["both"]
    radios = opened.find_elements(By.CSS_SELECTOR, ".overlays input[type=radio]")[:4]
    radios[1].click()
    assert "truth" in visible_layers(opened)
    radios[1].send_keys(Keys.ARROW_RIGHT)
    assert "prediction" in visible_layers(opened)
    radios[2].send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert not {"truth", "prediction"} & set(visible_layers(opened))
    assert opened.switch_to.active_element.get_attribute("value") == "image"


def test_zoom_by_buttons_and_keys_keeps_the_middle(opened: Any) -> None:
    pane = opened.find_element(By.CSS_SELECTOR, ".pane")
    output = opened.find_element(By.CSS_SELECTOR, ".overlays output")
    middle = (
        "const p = arguments[0]; return [(p.scrollLeft + p.clientWidth / 2) / p.scrollWidth,"
        " (p.scrollTop + p.clientHeight / 2) / p.scrollHeight]"
    )
    opened.find_element(By.CSS_SELECTOR, "[data-zoom=in]").click()
    assert output.text == "150 %"
    pane.send_keys("+")
    assert output.text == "225 %"
    assert opened.execute_script(middle, pane) == pytest.approx([0.5, 0.5], abs=0.02)
    pane.send_keys(Keys.ARROW_RIGHT)
    opened.find_element(By.CSS_SELECTOR, "[data-zoom=fit]").send_keys(Keys.ENTER)
    assert output.text == "100 %"
    assert opened.execute_script("return arguments[0].scrollWidth - arguments[0].clientWidth", pane) == 0


def test_the_layer_fades(opened: Any) -> None:
    opened.find_element(By.CSS_SELECTOR, ".strength").send_keys(Keys.HOME)
    assert opened.find_element(By.CSS_SELECTOR, ".layer").value_of_css_property("opacity") == "0"


def test_tables_sort_by_a_column(opened: Any) -> None:
    table = opened.find_element(By.CSS_SELECTOR, "table.sortable")
    button = table.find_elements(By.CSS_SELECTOR, "th button")[1]
    for order in ("ascending", "descending"):
        button.send_keys(Keys.ENTER)
        assert table.find_elements(By.CSS_SELECTOR, "thead th")[1].get_attribute("aria-sort") == order
        cells = table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(2)")
        values = [float(c.get_attribute("data-value")) for c in cells]
        assert values == sorted(values, reverse=order == "descending")


def test_the_name_of_a_frame_leads_to_its_picture(
    browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    """Labels that were scored afterwards: two frames, whose pictures are in a folded part."""
    truth = np.zeros((40, 40), np.uint16)
    truth[5:15, 5:15] = 1
    for folder, name in product(("truth", "found"), ("a", "b")):
        write(tmp_path / folder / f"{name}.tif", truth)
    later = score_later(tmp_path / "found", tmp_path / "truth", None)
    run = Run.open(pages["one"].parent / "one")
    media(browser, 1200)
    browser.get(write_report([run], tmp_path / "later.html", later=later).as_uri())
    link = browser.find_elements(By.CSS_SELECTOR, "#scores table.sortable tbody a")[1]
    assert not browser.find_element(By.ID, "frame-2").is_displayed()
    link.send_keys(Keys.ENTER)
    picture = browser.find_element(By.ID, "frame-2")
    assert picture.is_displayed()
    assert 0 <= picture.rect["y"] - browser.execute_script("return scrollY") < 800


def test_the_first_tab_skips_to_the_content(opened: Any) -> None:
    opened.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = opened.switch_to.active_element
    assert skip.text == "Skip to the content"
    skip.send_keys(Keys.ENTER)
    assert opened.switch_to.active_element.get_attribute("id") == "main"


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_the_page_never_scrolls_sideways(opened: Any, width: int) -> None:
    media(opened, width)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width


CONTRAST = """
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map((v) => (v /= 255) <= 0.04045 ?
  v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!c.startsWith("rgba(") && !c.startsWith("color(")) return c; } return "rgb(255,255,255)"; };
const texts = "p, dt, dd, th, td, a, summary, span, figcaption, svg text, button, code";
return [...document.querySelectorAll(texts)]
  .filter((e) => e.textContent.trim() && e.checkVisibility() && !e.closest(".skip, .hidden"))
  .map((e) => { const s = getComputedStyle(e), ink = e.namespaceURI.endsWith("svg") ? s.fill : s.color;
    const [x, y] = [light(ink), light(behind(e))].sort((a, b) => b - a);
    return [(x + 0.05) / (y + 0.05), e.outerHTML.slice(0, 80)]; }).filter(([r]) => r < 4.5);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(opened: Any, scheme: str) -> None:
    """Contrast of at least 4.5 (WCAG 2.2, 1.4.3)."""
    media(opened, 1200, scheme)
    dark = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(20, 23, 26)") == (scheme == "dark")
    assert opened.execute_script(CONTRAST) == []


def test_print_hides_what_paper_cannot_do(opened: Any) -> None:
    media(opened, 800, kind="print")
    for selector in ("nav", ".controls", ".copy"):
        assert not opened.find_element(By.CSS_SELECTOR, selector).is_displayed()
    assert opened.find_element(By.CSS_SELECTOR, ".viewer img").is_displayed()
