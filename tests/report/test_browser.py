"""The report in a real browser: no errors, no requests, no overflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from passerby.evaluation.evaluation import Evaluation
from passerby.report.inputs import Run
from passerby.report.page import create_report, write_report

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
OPTIONS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync hide-scrollbars disable-dev-shm-usage"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("Chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in OPTIONS.split():
        options.add_argument(f"--{option}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(make: Callable[..., Evaluation], run: Path, tmp_path: Path) -> Path:
    """One evaluation and one run."""
    write_report(tmp_path / "report.html", create_report([Run.load(run)], [make()]))
    return tmp_path / "report.html"


def open_page(browser: Any, page: Path, *, width: int, scheme: str = "light") -> None:
    browser.get_log("browser"), browser.get_log("performance")  # discard earlier entries
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())


def test_no_console_errors_and_no_external_requests(browser: Any, page: Path) -> None:
    open_page(browser, page, width=1280)
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    assert [e for e in events if e["method"] == "Network.loadingFailed"] == []
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {url for url in sent if not url.startswith("data:")} == {page.as_uri()}


def test_all_pictures_and_charts_are_visible(browser: Any, page: Path) -> None:
    open_page(browser, page, width=1280)
    widths = browser.execute_script("return [...document.images].map(i => i.complete ? i.naturalWidth : 0)")
    assert len(widths) >= 24
    assert min(widths) > 0
    heights = browser.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().height)"
    )
    assert len(heights) == 5
    assert min(heights) > 150


@pytest.mark.parametrize("width", [390, 320, 768, 1280])
def test_nothing_overflows(browser: Any, page: Path, width: int) -> None:
    open_page(browser, page, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width


def test_several_evaluations_on_a_phone(
    browser: Any, make: Callable[..., Evaluation], run: Path, tmp_path: Path
) -> None:
    one, two = make(seed=0), make(seed=1)
    two = replace(two, metadata={**two.metadata, "variant": "a_variant_with_quite_a_long_name_indeed"})
    write_report(tmp_path / "two.html", create_report([Run.load(run)] * 2, [one, two], pictures=3))
    open_page(browser, tmp_path / "two.html", width=390)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    assert browser.get_log("browser") == []


def test_the_page_follows_the_colour_scheme(browser: Any, page: Path) -> None:
    backgrounds, texts = set(), set()
    for scheme in ("light", "dark"):
        open_page(browser, page, width=1280, scheme=scheme)
        backgrounds.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
        texts.add(
            browser.execute_script(
                "return getComputedStyle(document.querySelector('#training svg text')).fill"
            )
        )
    assert len(backgrounds) == len(texts) == 2
