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
pytest.importorskip("playwright", reason="pip install -r requirements-dev.txt")
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
        page.set_default_timeout(60_000)
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


def wait_for(page, answers, text):
    page.locator(answers).get_by_text(text).first.wait_for()


def test_a_text_is_asked_in_every_way(visit, page):
    search, *_ = page.galleries["test"]
    page = visit(locale="de-DE")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.locator(TEXT).first.fill("a dog on the grass")
    page.get_by_role("button", name="Search").first.click()
    page.wait_for_selector(f"{PICTURES} li")
    widths = "images => images.map(image => image.complete && image.naturalWidth)"
    small = page.locator(f"{PICTURES} li > button img")
    assert small.evaluate_all(widths) == [64] * 5
    best = search.images_for("a dog on the grass", 1, "all").iloc[0]
    assert f"score {best['score']:.3f}" in page.locator(PICTURES).inner_text()
    # Another gallery answers anew, and so does an example, of which the tiny model
    # knows "the" alone.
    wait_for(page, PICTURES, f"Best 5 of {len(search.images.items)}")
    page.click("#gallery input")
    page.get_by_role("option", name="all · 48 pictures").click()
    wait_for(page, PICTURES, "Best 5 of 48")
    page.get_by_role("button", name="10 more answers").click()
    wait_for(page, PICTURES, "Best 15 of 48")
    # What was read out, and where the keyboard goes on.
    said = page.locator("[aria-live=polite].clip-said").inner_text()
    assert said.endswith("Best 15 of 48")
    page.wait_for_function(
        f"document.activeElement.closest('li') ==="
        f"document.querySelectorAll('{PICTURES} li')[5]"
    )
    page.get_by_text("A boat on the water").click()
    wait_for(page, PICTURES, "The model never saw:")
    ask(page, "zeppelin")
    wait_for(page, PICTURES, ENGLISH["none_known"].partition("{")[0])
    assert page.locator(f"{PICTURES} li").count() == 0


def test_gallery_and_question_survive_in_the_address(visit, address):
    page = visit()
    # The number of pictures comes in the visitor's language, a moment later.
    page.wait_for_function(
        "document.querySelector('#gallery input').value.startsWith('test · ')"
    )
    assert page.url.rstrip("/") == address
    page.click("#gallery input")
    page.get_by_role("option", name="train · ").click()
    ask(page, "a dog & the grass")
    wait_for(page, PICTURES, "Best 5 of")
    assert page.url == f"{address}/?q=a+dog+%26+the+grass&gallery=train"
    shown = page.locator(f"{PICTURES} li p").all_inner_texts()
    page.reload()
    page.wait_for_selector(f"{PICTURES} li")
    assert page.locator(f"{PICTURES} li p").all_inner_texts() == shown
    assert page.locator(TEXT).first.input_value() == "a dog & the grass"
    assert page.locator("#gallery input").input_value().startswith("train · ")
    # So do pictures like one; and what is no gallery here shows the first.
    page.get_by_role("button", name="More like this").nth(1).click()
    wait_for(page, PICTURES, "Similar to ")
    page.goto(page.url.replace("gallery=train", "gallery=nowhere"))
    wait_for(page, PICTURES, ENGLISH["gone"])
    assert page.locator("#gallery input").input_value().startswith("test · ")


def test_the_keyboard_suffices(visit, photo):
    page = visit(locale="fr-FR")

    def tab_to(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches('{selector}')"):
                return
        raise AssertionError(f"no way to {selector}")

    page.keyboard.type("a dog on the grass")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{PICTURES} li")
    tab_to(".clip-picture")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    picture = dialog.locator("img")
    picture.wait_for()
    page.wait_for_function("document.querySelector('dialog[open] img').naturalWidth")
    path = dialog.locator("code").inner_text()
    assert os.path.isfile(path) and picture.get_attribute("alt")
    names = [FRENCH[key] for key in ("more_like", "open", "download", "copy", "close")]
    assert dialog.locator("button, a").all_inner_texts() == names
    tab_to("a[download]")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.path().read_bytes() == Path(path).read_bytes()
    assert download.value.suggested_filename == os.path.basename(path)
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("document.activeElement.className") == "clip-picture"
    tab_to("li [data-do=like]")
    page.keyboard.press("Enter")
    wait_for(page, PICTURES, "Semblables à")


def test_a_path_is_copied(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    ask(page, "a dog on the grass")
    page.locator(f"{PICTURES} .clip-picture").first.click()
    page.get_by_role("button", name="Copy path").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.get_by_role("dialog").locator("code").inner_text()
    page.mouse.click(2, 2)  # Beside it.
    page.get_by_role("dialog").wait_for(state="detached")


def test_no_old_answers_below_a_question_that_failed(visit):
    page = visit(locale="fr-FR")
    ask(page, "a dog on the grass")
    page.wait_for_selector(f"{PICTURES} li")
    full = {"status": 503, "json": {"detail": "Queue is full. Max size is 64."}}
    page.route("**/queue/join**", lambda route: route.fulfill(**full))
    ask(page, "the grass")
    wait_for(page, PICTURES, "Pas de réponse")
    page.get_by_test_id("toast-body").get_by_text("Trop de questions").wait_for()
    assert page.locator(f"{PICTURES} li").count() == 0
    # A server that is gone; once it is back, the question is answered.
    page.unroute("**/queue/join**")
    ask(page, "a dog")
    page.wait_for_selector(f"{PICTURES} li")
    page.route("**/*", lambda route: route.abort())
    ask(page, "the grass")
    page.get_by_test_id("toast-body").get_by_text(
        "Le serveur ne répond plus"
    ).wait_for()
    page.wait_for_selector(f"{PICTURES} li", state="hidden")
    page.unroute("**/*")
    page.wait_for_selector(f"{PICTURES} li")
    assert page.locator(TEXT).first.input_value() == "the grass"


def test_in_french_nothing_is_english(visit, photo, tmp_path):
    large = tmp_path / "large.jpg"
    large.write_bytes(b"0" * 21_000_000)
    page = visit(locale="fr-FR")
    assert page.evaluate("document.documentElement.lang") == "fr"
    tabs = page.locator("button[role=tab]").all_inner_texts()
    assert tabs == [FRENCH["by_text"], FRENCH["by_picture"]]
    by_picture(page, large)
    toast = page.get_by_test_id("toast-body")
    toast.get_by_text("Fichier trop lourd\u00a0: 20 Mo au plus.").wait_for()
    by_picture(page, photo)
    page.wait_for_selector(f"{TEXTS} li")
    shown = page.locator(TEXTS).inner_text()
    assert re.search(r"(?s)1\. .* on the grass.*score [\u2212]?\d,\d{3}", shown)
    # Names of buttons, too: what is said to who cannot see them.
    names = page.evaluate(
        "Array.from(document.querySelectorAll('[aria-label], [title]'), (one) => "
        "one.ariaLabel ?? one.title).join(' | ')"
    )
    found = re.findall(r"(?i)upload|clipboard|remove|close|error|picture", names)
    assert found == [], names


def test_labels_are_written(visit, photo):
    page = visit(locale="fr-FR")
    by_picture(page, photo)
    wait_for(page, TEXTS, "Images semblables\u00a0: 5 sur")
    assert page.locator(f"{TEXTS} li").count() == 10
    page.locator(LABELS).first.fill("dog, the grass")
    page.keyboard.press("Enter")
    wait_for(page, TEXTS, "Les 2 meilleures")
    page.locator(LABELS).first.fill("dog")
    page.keyboard.press("Enter")
    wait_for(page, TEXTS, FRENCH["few_labels"])
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
    wait_for(page, TEXTS, ENGLISH["no_picture"].partition("{")[0])
    page.locator("#picture button").first.click()
    page.wait_for_selector(f"{TEXTS} .clip-note", state="detached")
    by_picture(page, large)
    page.get_by_text("exceed the maximum allowed size").first.wait_for()
    # After all that, a picture is answered.
    by_picture(page, photo)
    page.wait_for_selector(f"{TEXTS} li")


def test_it_fits_a_desktop_and_a_telephone(visit, photo):
    page = visit(viewport={"width": 1280, "height": 900})
    ask(page, "a dog on the grass")
    page.wait_for_selector(f"{PICTURES} li")
    boxes = [card.bounding_box() for card in page.locator(f"{PICTURES} li").all()]
    assert len({box["y"] for box in boxes}) == 1  # Five side by side, all the width.
    assert boxes[-1]["x"] + boxes[-1]["width"] - boxes[0]["x"] > 1200
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
