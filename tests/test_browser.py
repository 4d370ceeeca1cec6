"""The search page in a real browser: what a visitor types, drops and reads."""

import base64
import os
import re
from pathlib import Path
from shutil import which

import pytest

from clip_lib.web.words import ENGLISH, FRENCH

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("CLIP_BROWSER") or next(filter(None, map(which, NAMES)), None)
pytest.importorskip("playwright", reason="pip install -r requirements-app.txt")
pytestmark = pytest.mark.skipif(
    BROWSER is None,
    reason="no browser: install Debian's chromium, or name one with CLIP_BROWSER",
)
TEXT, LABELS = "#text textarea, #text input", "#labels textarea, #labels input"
PICTURES, TEXTS = "#search_text_answers", "#search_picture_answers"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Open the page as a visitor: it asks no other address, and no script pops up."""
    addresses, dialogs = [], []

    def open_page(**options):
        page = browser.new_page(**options)
        page.set_default_timeout(20_000)
        page.on("request", lambda request: addresses.append(request.url))
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.goto(address)
        page.wait_for_selector(TEXT)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert all(one.startswith((address, "data:", "blob:")) for one in addresses)
    assert dialogs == []


def ask(page, text):
    page.locator(TEXT).first.fill(text)
    page.keyboard.press("Enter")


def by_picture(page, path):
    page.locator("button[role=tab]").nth(1).click()
    page.set_input_files("#picture input[type=file]", path)


def test_a_text_is_asked_in_every_way(visit, page):
    search, _ = page.galleries["test"]
    page = visit(locale="de-DE")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.locator(TEXT).first.fill("a dog on the grass")
    page.get_by_role("button", name="Search").first.click()
    page.wait_for_selector(f"{PICTURES} li")
    widths = "images => images.map(image => image.complete && image.naturalWidth)"
    assert page.locator(f"{PICTURES} img").evaluate_all(widths) == [64] * 5
    best = search.images_for("a dog on the grass", 1, "all").iloc[0]
    assert f"score {best['score']:.3f}" in page.locator(PICTURES).inner_text()
    # Another gallery answers anew, and so does an example, of which the tiny model
    # knows "the" alone.
    page.get_by_text(f"Best 5 of {len(search.images.items)}").wait_for()
    page.click("#gallery input")
    page.get_by_role("option", name="all · 48").click()
    page.get_by_text("Best 5 of 48").wait_for()
    page.get_by_text("A boat on the water").click()
    page.get_by_text("The model never saw:").wait_for()
    ask(page, "zeppelin")
    page.get_by_text(ENGLISH["none_known"].partition("{")[0]).wait_for()
    assert page.locator(f"{PICTURES} li").count() == 0


def test_a_picture_is_chosen_and_labels_are_written(visit, photo):
    page = visit(locale="fr-FR")
    assert page.evaluate("document.documentElement.lang") == "fr"
    tabs = page.locator("button[role=tab]").all_inner_texts()
    assert tabs == [FRENCH["by_text"], FRENCH["by_picture"]]
    by_picture(page, photo)
    page.wait_for_selector(f"{TEXTS} li")
    assert page.locator(f"{TEXTS} li").count() == 5
    shown = page.locator(TEXTS).inner_text()
    assert re.search(r"(?s)1\. .* on the grass.*score [\u2212]?\d,\d{3}", shown)
    page.locator(LABELS).first.fill("dog, the grass")
    page.keyboard.press("Enter")
    page.get_by_text("Les 2 meilleures").wait_for()
    page.locator(LABELS).first.fill("dog")
    page.keyboard.press("Enter")
    page.get_by_text(FRENCH["few_labels"]).wait_for()
    page.locator("#picture button").first.click()  # Takes the picture away.
    page.wait_for_function(f"document.querySelector('{TEXTS}').innerText.trim() == ''")


def test_a_picture_is_pasted(visit, photo):
    page = visit()
    page.locator("button[role=tab]").nth(1).click()
    page.locator("#picture button").first.wait_for()
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            const content = Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0));
            data.items.add(new File([content], "dog.jpg", {type: "image/jpeg"}));
            const event = new ClipboardEvent("paste", {clipboardData: data});
            document.dispatchEvent(event);
        }""",
        base64.b64encode(Path(photo).read_bytes()).decode(),
    )
    page.wait_for_selector(f"{TEXTS} li")


def test_what_cannot_be_read_gets_a_sentence(visit, photo, tmp_path):
    hostile, large = tmp_path / "hostile.jpg", tmp_path / "large.jpg"
    hostile.write_bytes(b"<html><script>alert(1)</script></html>")
    large.write_bytes(b"0" * 21_000_000)
    page = visit()
    by_picture(page, hostile)
    page.get_by_text(ENGLISH["no_picture"].partition("{")[0]).wait_for()
    page.locator("#picture button").first.click()
    page.wait_for_selector(f"{TEXTS} .clip-note", state="detached")
    by_picture(page, large)
    page.get_by_text("exceed the maximum allowed size").first.wait_for()
    # After all that, a picture is answered.
    by_picture(page, photo)
    page.wait_for_selector(f"{TEXTS} li")


def test_it_fits_a_telephone(visit, photo):
    size = {"width": 390, "height": 844}
    page = visit(viewport=size, is_mobile=True, has_touch=True, color_scheme="dark")
    ask(page, "a dog on the grass")
    page.wait_for_selector(f"{PICTURES} li")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", dark)[:3])) < 60
    tops = page.locator(f"{PICTURES} li").evaluate_all(
        "cards => cards.map(card => card.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 3  # Two pictures side by side.
    by_picture(page, photo)
    page.wait_for_selector(f"{TEXTS} li")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
