"""The status page in a real browser, without a screen: chromium, steered by its driver."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from supervisor.ctl.client import Client
from tests.integration.supervised import Creched
from tests.support.waiting import DEADLINE

pytestmark = [pytest.mark.root, pytest.mark.slow]

SLEEPER = """
[container]
args = ["/usr/bin/sh", "-c", "while :; do sleep 0.05; done"]

[stop]
timeout = "1s"
"""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1200,900",
)  # fmt: skip


@pytest.fixture
def creched(tmp_path: Path) -> Iterator[Creched]:
    """One creched with two workloads and the page, ended at the end, which leaves nothing."""
    made = Creched(tmp_path)
    made.add("web", SLEEPER)
    made.add("job", '[container]\nargs = ["/usr/bin/sh", "-c", "exit 3"]\n[restart]\nlimit = 1\n')
    config = tmp_path / "creched.toml"
    config.write_text(
        f'[http]\nlisten = "127.0.0.1:{free_port()}"\n[networks.a]\nsubnet = "10.79.0.0/24"\n'
    )
    config.chmod(0o644)
    tmp_path.chmod(0o755)
    yield made.start("--config", str(config))
    made.clean()
    made.check_clean()


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    """With a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path}/profile"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def eventually(browser: WebDriver, condition: Callable[[WebDriver], object]) -> None:
    """Wait for the page."""
    try:
        WebDriverWait(browser, DEADLINE, poll_frequency=0.05).until(condition)
    except TimeoutException:
        shown = browser.find_element(By.TAG_NAME, "body").text
        raise TimeoutError(f"the page shows {shown}") from None


def row(browser: WebDriver, name: str) -> str:
    """The text of a workload's row; "" if there is none."""
    for found in browser.find_elements(By.CSS_SELECTOR, "#workloads tbody tr"):
        if found.find_element(By.TAG_NAME, "th").text == name:
            return found.text
    return ""


def test_live(creched: Creched, browser: WebDriver, tmp_path: Path) -> None:
    """It shows how workloads stand, and changes with them; nothing is wrong by the browser."""
    creched.wait_for("started", "web")
    address = (tmp_path / "creched.toml").read_text().split('"')[1]
    browser.get(f"http://{address}/")
    eventually(browser, lambda page: "running" in row(page, "web"))
    eventually(browser, lambda page: page.find_element(By.ID, "live").text == "live")
    eventually(browser, lambda page: "MiB" in row(page, "web") or "KiB" in row(page, "web"))
    # The drawing of the networks: an image that this browser takes for one.
    drawn = browser.find_element(By.CSS_SELECTOR, "#networks img")
    eventually(browser, lambda page: drawn.is_displayed())
    eventually(browser, lambda page: drawn.get_property("naturalWidth") == 910)
    creched.wait_for("gave-up", "job")
    eventually(browser, lambda page: "failed" in row(page, "job"))
    eventually(browser, lambda page: "gave-up" in page.find_element(By.ID, "events").text)

    client = Client(str(creched.root / ".creched" / "control.sock"))
    client.post("workloads", "web", "stop")
    eventually(browser, lambda page: "stopped" in row(page, "web"))
    client.close()
    # What a program or a file says is text, and never markup.
    hostile = '"<img src=x onerror=document.title=1>" = 1\n'
    creched.add("evil", hostile)
    eventually(browser, lambda page: "<img src=x" in page.find_element(By.ID, "events").text)
    eventually(browser, lambda page: "refused" in row(page, "evil"))
    assert "<img src=x" in row(browser, "evil")
    assert browser.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
    assert browser.title == "creched"
    complaints = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [each for each in complaints if "chrome://" not in each["message"]] == []

    creched.stop()
    eventually(browser, lambda page: page.find_element(By.ID, "live").text != "live")


def test_light_and_dark(creched: Creched, browser: WebDriver, tmp_path: Path) -> None:
    """As the reader's system is."""
    creched.wait_for("supervisor-started")
    address = (tmp_path / "creched.toml").read_text().split('"')[1]
    grounds = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get(f"http://{address}/")
        grounds.append(
            browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
        )
    assert grounds == ["rgba(246, 247, 249, 1)", "rgba(20, 24, 29, 1)"]
