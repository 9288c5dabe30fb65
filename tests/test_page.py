"""The report's page in a real Chromium: what it shows, how it is worked, and what it never does."""

import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import cat_sentences, corpus_of, random_checkpoint, train

from charlm.api import Model
from charlm.extras import report
from charlm.inspection import colours
from charlm.inspection.activations import Cell, trace
from charlm.inspection.matching import match
from charlm.inspection.surprise import MOST_BITS

pytest.importorskip("jinja2", reason="pip install '.[report]'")
pytest.importorskip("selenium", reason="pip install '.[dev]' for the tests in a browser")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium: apt-get install chromium chromium-driver, for the tests in a browser",
)

HOSTILE = (
    "</script><script>window.bad = 1</script></style><img src=x onerror='window.bad = 1'>\n"
    "\"quotes\" and 'quotes' &amp; {{ 7 * 7 }} {% raw %} <!-- --> \u202ereversed\u202c\n"
)
TEXT = "".join(f"{line}\n" for line in cat_sentences(24, seed=3)) + HOSTILE
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
VIEWS = ("surprise", "cell", "context", "matches")
SIZES = ((360, 740), (1600, 900))


@pytest.fixture(scope="module")
def model() -> Model:
    text = HOSTILE + "".join(f"{line}\n" for line in cat_sentences(200))
    return Model(train(corpus_of(text), steps=250, layers=2, learning_rate=0.01).checkpoint())


@pytest.fixture(scope="module")
def made(model: Model) -> report.Report:
    return report.make(model, "</title><script>window.bad = 1</script>", text=("a text", TEXT))


@pytest.fixture(scope="module")
def page(made: report.Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from charlm.extras.page import render

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def short_page(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from charlm.extras.page import render

    made = report.make(model, "short", text=("the beginning of a text", TEXT[:120]))
    path = tmp_path_factory.mktemp("short") / "report.html"
    path.write_text(render(made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


Open = Callable[..., Any]


@pytest.fixture
def opened(chromium: Any, page: Path) -> Iterator[Open]:
    """Opens the page anew; afterwards the browser's console must be empty."""

    def open_page(
        size: tuple[int, int] = SIZES[1], scheme: str = "light", path: Path = page
    ) -> Any:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        chromium.get(path.as_uri())
        wait(chromium, "return document.documentElement.dataset.ready")
        return chromium

    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    yield open_page
    assert chromium.get_log("browser") == []


def wait(browser: Any, script: str) -> Any:
    """What a script gives once it gives something."""
    for _ in range(400):
        if value := browser.execute_script(script):
            return value
        time.sleep(0.05)
    raise AssertionError(f"never true: {script}")


def press(browser: Any, *keys: str, shift: bool = False) -> None:
    from selenium.webdriver import ActionChains, Keys

    chain = ActionChains(browser)
    if shift:
        chain.key_down(Keys.SHIFT)
    for key in keys:
        chain.send_keys(getattr(Keys, key))
    if shift:
        chain.key_up(Keys.SHIFT)
    chain.perform()


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def token(browser: Any, t: int) -> Any:
    return find(browser, f'#text [data-t="{t}"]')


def tab_to(browser: Any, selector: str) -> None:
    """Tabs on until something that the selector means has the focus."""
    for _ in range(60):
        press(browser, "TAB")
        if browser.execute_script(f"return document.activeElement.matches('{selector}')"):
            return
    raise AssertionError(f"{selector} cannot be tabbed to")


def tab_to_text(browser: Any) -> None:
    tab_to(browser, "#text [role=option]")


def focused(browser: Any) -> int:
    return int(browser.execute_script("return document.activeElement.dataset.t"))


def expected_rows(browser: Any) -> list[str]:
    return [row.text for row in browser.find_elements("css selector", "#expected tbody th")]


def symbols(made: report.Report, t: int) -> list[str]:
    names = [made.reading.names[k] for k in made.reading.expected.likeliest[t]]
    shown = [name.replace("\u202e", "<U+202E>").replace("\u202c", "<U+202C>") for name in names]
    return [name.replace("\n", "↵").replace(" ", "␣") for name in shown]


def test_it_shows_the_text_and_asks_for_nothing(opened: Open, page: Path) -> None:
    browser = opened()
    shown = browser.execute_script(
        "return [...document.querySelectorAll('#text [data-t]')].map(s => s.textContent).join('')"
    )
    assert shown.replace("↵", "") == TEXT.replace("\u202e", "<U+202E>").replace(
        "\u202c", "<U+202C>"
    )
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == WILL_BE_SENT]
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}


WILL_BE_SENT = "Network.requestWillBeSent"


def test_hostile_text_is_only_text(opened: Open) -> None:
    browser = opened()
    assert browser.execute_script("return window.bad") is None
    assert len(browser.find_elements("css selector", "script")) == 2
    assert len(browser.find_elements("css selector", "style")) == 1
    assert not browser.find_elements("css selector", "img")
    assert find(browser, "h1").text == "</title><script>window.bad = 1</script>"


def test_its_policy_forbids_other_scripts_and_the_network(chromium: Any, page: Path) -> None:
    chromium.get(page.as_uri())
    chromium.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        "document.body.append(s);"
    )
    assert chromium.execute_script("return window.bad") is None
    refused = chromium.execute_async_script(
        "const done = arguments[0];"
        "fetch('data:text/plain,x').then(() => done('loaded'), () => done('refused'));"
    )
    assert refused == "refused"
    complaints = [entry["message"] for entry in chromium.get_log("browser")]
    assert len(complaints) >= 2
    assert all("Content Security Policy" in text or "Fetch API" in text for text in complaints)


def test_pointing_at_a_character_shows_what_was_expected(opened: Open, made: report.Report) -> None:
    from selenium.webdriver import ActionChains

    browser = opened()
    for t in (3, 40):
        ActionChains(browser).move_to_element(token(browser, t)).perform()
        assert expected_rows(browser) == symbols(made, t)
        assert f"{made.reading.expected.bits[t]:.2f} bits" in find(browser, "#figures").text
        assert f"token {t + 1} of" in find(browser, "#panel-title").text


def test_tabbing_and_arrows_do_the_same(opened: Open, made: report.Report) -> None:
    browser = opened()
    tab_to_text(browser)
    assert focused(browser) == 0
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")
    assert focused(browser) == 3
    assert expected_rows(browser) == symbols(made, 3)
    assert "bits, expected" in find(browser, "#spoken").get_attribute("textContent")
    press(browser, "ARROW_DOWN")
    below = focused(browser)
    assert below > TEXT.index("\n")
    press(browser, "ARROW_UP")
    assert focused(browser) == 3
    press(browser, "END")
    assert focused(browser) == TEXT.index("\n")
    press(browser, "HOME")
    assert focused(browser) == 0
    press(browser, "TAB")  # leaves the text: it is one stop
    assert browser.execute_script("return document.activeElement.closest('#text')") is None


def test_surprise_is_the_colour_of_the_bits(opened: Open, made: report.Report) -> None:
    browser = opened()
    for t in (0, 7, 30):
        bits = round(float(made.reading.expected.bits[t]), 4)
        shade = math.floor(min(bits / MOST_BITS, 1) * 32 + 0.5)  # as the page has and rounds them
        assert token(browser, t).get_attribute("class") == f"s{shade}"


def test_the_browser_of_cells(opened: Open, made: report.Report, model: Model) -> None:
    browser = opened()
    groups = [
        group.get_attribute("label")
        for group in find(browser, "#cell").find_elements("css selector", "optgroup")
    ]
    assert groups == ["Found features", "Layer 1", "Layer 2"]
    offered = find(browser, "#cell optgroup").find_elements("css selector", "option")
    told = {name for name, found in made.reading.found.items() if found.beyond_chance}
    assert {option.text.split(", ")[1] for option in offered} == told
    for row in find(browser, "#found tbody").find_elements("css selector", "tr"):
        feature = find(row, "th").text.split()[0]
        assert bool(row.find_elements("css selector", "button")) == (feature in told)
        assert ("no cell tells it better than chance" in row.text) == (feature not in told)
    first = find(browser, "#found tbody button")
    name = first.text.split()[0]
    first.click()
    assert find(browser, "input[value=cell]").is_selected()
    assert f"cell {name}" in find(browser, "#legend").text
    values = trace(model.engine, made.reading.passage.ids, Cell.parse(name, model.engine.config))
    for t in (0, 11, 60):
        level = min(int((values[t] + 1) * 8), 15)
        assert token(browser, t).get_attribute("class") == f"c{level}"
    find(browser, "#next").click()
    assert f"cell {name} " not in find(browser, "#legend").text
    find(browser, "#cell").send_keys("2:5")
    assert "cell 2:5" in find(browser, "#legend").text


def test_all_of_it_can_be_worked_by_keyboard_alone(opened: Open) -> None:
    """Tab, arrows, Enter and Escape: no pointer is moved."""
    browser = opened()
    press(browser, "TAB", "ENTER")  # the link that skips to the text
    tab_to_text(browser)
    press(browser, *["ARROW_RIGHT"] * 4)
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", shift=True)
    assert places(browser)
    tab_to(browser, "#cell")
    for number in (1, 2, 3):
        press(browser, "ARROW_DOWN")
        assert find(browser, "#cell").get_property("selectedIndex") == number
    assert find(browser, "input[value=cell]").is_selected()
    tab_to(browser, "#found button")
    press(browser, "ENTER")
    assert "cell " in find(browser, "#legend").text
    tab_to(browser, "#threshold")
    before = find(browser, "#span-cells").text
    press(browser, *["ARROW_DOWN"] * 5)
    assert find(browser, "#span-cells").text != before
    tab_to(browser, "#places button")
    press(browser, "ENTER")
    assert find(browser, "input[value=matches]").is_selected()
    press(browser, "ESCAPE")
    assert not places(browser)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_scheme(opened: Open, scheme: str) -> None:
    browser = opened(scheme=scheme)
    dark = scheme == "dark"
    shades = colours.sequential if dark else colours.sequential_on_light
    levels = colours.diverging_on_dark if dark else colours.diverging
    shade = int(token(browser, 7).get_attribute("class").removeprefix("s"))
    assert background(browser, 7) == shades(shade / 32)
    find(browser, "input[value=cell]").click()
    level = int(token(browser, 7).get_attribute("class").removeprefix("c"))
    assert background(browser, 7) == levels((2 * level + 1) / 16 - 1)


def background(browser: Any, t: int) -> tuple[int, ...]:
    shown = browser.execute_script(
        "return getComputedStyle(arguments[0]).backgroundColor", token(browser, t)
    )
    return tuple(map(int, re.findall(r"\d+", shown)))


def places(browser: Any) -> list[tuple[int, int]]:
    found = []
    for row in browser.find_elements("css selector", "#places small"):
        words = row.text.split()
        found.append((int(words[0]), int(words[4])))
    return found


def test_a_span_selected_by_keyboard_shows_its_matches(
    opened: Open, made: report.Report, model: Model
) -> None:
    browser = opened()
    tab_to_text(browser)
    begin = made.reading.passage.text.index("cat")
    press(browser, *["ARROW_RIGHT"] * begin)
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", shift=True)
    chosen = browser.find_elements("css selector", "#text [aria-selected=true]")
    assert [int(one.get_attribute("data-t")) - begin for one in chosen] == [0, 1, 2]
    found = match(model.engine, made.reading.passage.ids, begin, begin + 3, 0.25)
    assert places(browser) == [(place.shared, place.others) for place in found.places]
    assert f"{len(found.cells)} cells are on" in find(browser, "#span-cells").text
    find(browser, "#places button").click()
    assert focused(browser) == found.places[0].begin
    assert "match" in token(browser, found.places[0].begin).get_attribute("class")
    assert find(browser, "#legend").text == f"the {len(found.places)} places most like it"
    press(browser, "ESCAPE")
    assert not browser.find_elements("css selector", "#places li")


def test_white_space_has_a_name_that_can_be_spoken(opened: Open, tmp_path: Path) -> None:
    from charlm.extras.page import render

    made = report.make(Model(random_checkpoint()), "white", text=("a text", "\t \n\u3000a"))
    path = tmp_path / "white.html"
    path.write_text(render(made), encoding="utf-8")
    browser = opened(path=path)
    names = [token(browser, t).get_attribute("aria-label") for t in range(5)]
    assert names == ["tab", "space", "newline", "white space", None]


def test_a_place_that_shares_no_cell_is_no_match(opened: Open, tmp_path: Path) -> None:
    from charlm.extras.page import render

    made = report.make(Model(random_checkpoint("gru")), "few", text=("a text", TEXT[:40]))
    path = tmp_path / "few.html"
    path.write_text(render(made), encoding="utf-8")
    browser = opened(path=path)
    tab_to_text(browser)
    press(browser, "ARROW_RIGHT")
    press(browser, "ARROW_RIGHT", shift=True)
    found = match(Model(random_checkpoint("gru")).engine, made.reading.passage.ids, 1, 3, 0.25)
    assert 0 < len(found.places) < 12
    assert places(browser) == [(place.shared, place.others) for place in found.places]


def test_values_without_bound_are_shown_as_they_are(opened: Open, tmp_path: Path) -> None:
    """The levels of a ReLU's cells are of v / (1 + |v|)."""
    from charlm.extras.page import render

    model = Model(random_checkpoint("rnn-relu"))
    made = report.make(model, "relu", text=("a text", TEXT[:40]))
    path = tmp_path / "relu.html"
    path.write_text(render(made), encoding="utf-8")
    browser = opened(path=path)
    find(browser, "input[value=cell]").click()
    tab_to_text(browser)
    values = [trace(model.engine, made.reading.passage.ids, cell) for cell in made.reading.cells]
    row = int(np.argmax([one.max() for one in values]))
    t = int(np.argmax(values[row]))
    assert values[row][t] > 1
    browser.execute_script(f"document.querySelector('#cell').value = {row}")
    find(browser, "#show-cell").click()
    press(browser, *["ARROW_RIGHT"] * t)
    shown = float(find(browser, "#more").text.split()[-1].replace("−", "-"))
    squashed = [value / (1 + abs(value)) for value in (shown, float(values[row][t]))]
    assert squashed[0] == pytest.approx(squashed[1], abs=1 / 16 + 0.01)
    assert "|v|" not in find(browser, "#legend").text
    assert find(browser, "#threshold").text.split() == THRESHOLDS
    found = match(model.engine, made.reading.passage.ids, 1, 3, 1 / 3)
    press(browser, "HOME", "ARROW_RIGHT")
    press(browser, "ARROW_RIGHT", shift=True)
    assert f"{len(found.cells)} cells are on" in find(browser, "#span-cells").text


THRESHOLDS = ["0.143", "0.333", "0.6", "1", "1.667", "3", "7"]


def test_a_span_selected_by_mouse_shows_its_matches(
    opened: Open, made: report.Report, model: Model
) -> None:
    from selenium.webdriver import ActionChains

    browser = opened()
    begin, end = token(browser, 4), token(browser, 8)
    drag = ActionChains(browser).move_to_element_with_offset(begin, -3, 0).click_and_hold()
    drag.move_to_element_with_offset(end, 3, 0).release().perform()
    wait(browser, "return document.querySelectorAll('#places li').length > 0")
    chosen = browser.find_elements("css selector", "#text [aria-selected=true]")
    numbers = [int(one.get_attribute("data-t")) for one in chosen]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert len(numbers) >= 4
    found = match(model.engine, made.reading.passage.ids, numbers[0], numbers[-1] + 1, 0.25)
    assert places(browser) == [(place.shared, place.others) for place in found.places]


def test_context_is_that_of_the_chosen_character(opened: Open, made: report.Report) -> None:
    from selenium.webdriver import Keys

    browser = opened()
    find(browser, "input[value=surprise]").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert find(browser, "input[value=context]").is_selected()
    tab_from = find(browser, "input[value=context]")
    tab_from.send_keys(Keys.TAB)
    press(browser, *["ARROW_RIGHT"] * 12)
    assert token(browser, 12).get_attribute("class") == "first"
    strengths = made.contexts.strengths[12]
    for back in (0, 3, 11):
        share = round(63 * strengths[back] / strengths.max()) / 63
        assert (
            token(browser, 11 - back).get_attribute("class") == f"s{np.floor(share * 32 + 0.5):.0f}"
        )
    assert token(browser, 13).get_attribute("class") == ""
    start, share = find(browser, "#text span"), round(63 * strengths[12] / strengths.max()) / 63
    assert start.text == "<EOS>"
    assert start.get_attribute("class") == f"s{np.floor(share * 32 + 0.5):.0f}"
    assert "how strongly <EOS> and each earlier character" in find(browser, "#legend").text
    find(browser, "input[value=surprise]").click()
    assert not start.is_displayed()


def test_the_end_of_a_line_is_called_as_it_is_expected(opened: Open, tmp_path: Path) -> None:
    from charlm.extras.page import render

    model = Model(random_checkpoint(per_line=True))
    path = tmp_path / "lines.html"
    made = report.make(model, "lines", text=("a text", "cat\nfish\n"))
    path.write_text(render(made), encoding="utf-8")
    browser = opened(path=path)
    tab_to_text(browser)
    press(browser, "END")
    assert find(browser, "#panel-title").text == "“<EOS>” is token 4 of 9"
    assert find(browser, "#spoken").get_attribute("textContent").startswith("<EOS>, ")
    assert token(browser, 3).text == "↵"


@pytest.mark.parametrize(
    ("size", "scheme", "view"),
    [
        *((size, scheme, "surprise") for size in SIZES for scheme in ("light", "dark")),
        *((SIZES[1], scheme, view) for scheme in ("light", "dark") for view in VIEWS[1:]),
    ],
    ids=str,
)
def test_nothing_hinders_people(
    opened: Open, short_page: Path, size: tuple[int, int], scheme: str, view: str
) -> None:
    """axe-core, with contrast: nothing serious; and no sideways scrolling."""
    axe = pytest.importorskip("axe_core_python.selenium", reason="pip install '.[dev]'")
    browser = opened(size, scheme, short_page)
    tab_to_text(browser)
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT", shift=True)
    browser.execute_script(f"document.querySelector('input[value={view}]').click()")
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= size[0]
    found = axe.Axe().run(browser)["violations"]
    serious = [
        (one["id"], [node["target"] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
