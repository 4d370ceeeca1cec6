"""Take README's pictures of the search page: pretrained weights on drawn scenes.

    python benchmarks/screenshot.py

Needs Chromium (CLIP_BROWSER names another browser) and requirements-dev.txt.
"""

import os
import shutil
import tempfile

from page import start_page
from record import ROOT

from clip_lib.scenes.folder import draw_scenes

FIGURES = ROOT / "report" / "figures"


def shoot(browser, address, name, question, **options) -> None:
    """Open the page, query it, and keep what is seen."""
    page = browser.new_context(**options).new_page()
    page.goto(address)
    page.wait_for_selector("#text textarea, #text input")
    question(page)
    page.wait_for_timeout(1000)  # Until the last picture has appeared.
    page.screenshot(path=FIGURES / name)


def by_text(page) -> None:
    """Search for the pictures of a text."""
    page.locator("#text textarea, #text input").first.fill("A boy rides a bike")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search_text_answers li")


def by_picture(page) -> None:
    """Search for the texts of an example."""
    page.locator("button[role=tab]").nth(1).click()
    page.locator("button.gallery-item:visible").first.click()
    page.wait_for_selector("#search_picture_answers li")


def main() -> None:
    from playwright.sync_api import sync_playwright

    browser_path = os.environ.get("CLIP_BROWSER") or shutil.which("chromium")
    # Photographs of the course must not be published.
    folder = tempfile.TemporaryDirectory()
    scenes = draw_scenes(f"{folder.name}/scenes", per_label=60)
    server, address, _ = start_page("--model", "pretrained", "--gallery", str(scenes))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
            )
            wide = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}}
            shoot(browser, address, "page.png", by_text, **wide)
            narrow = {"locale": "fr-FR", "viewport": {"width": 390, "height": 1190}}
            narrow["color_scheme"] = "dark"
            shoot(browser, address, "page_telephone.png", by_picture, **narrow)
            browser.close()
    finally:
        server.terminate()
        server.wait()
        folder.cleanup()


if __name__ == "__main__":
    main()
