"""The search page in a real browser: what a visitor types, drops and reads."""

import base64
import dataclasses
import os
import re
import shutil

import pytest
from test_page import hostile_files

from clip_lib.retrieval.index import Index
from clip_lib.retrieval.search import IMAGE_INDEX_FILE, MODEL_FILE, TEXT_INDEX_FILE
from clip_lib.web.page import Page
from clip_lib.web.words import ENGLISH, FRENCH

BROWSER = os.environ.get("CLIP_BROWSER") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
pytest.importorskip("gradio", reason="pip install -r requirements-app.txt")
pytest.importorskip("playwright", reason="pip install -r requirements-app.txt")
pytestmark = pytest.mark.skipif(
    BROWSER is None,
    reason="no browser: install Debian's chromium, or name one with CLIP_BROWSER",
)

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def model(run_config):
    return str(run_config.model_path(MODEL_FILE))


@pytest.fixture(scope="module")
def other_model(run_config, tmp_path_factory):
    """Another model, whose labels differ and whose pictures are all of one part."""
    folder = tmp_path_factory.mktemp("other") / "models"
    shutil.copytree(run_config.model_dir, folder)
    for name in (IMAGE_INDEX_FILE, TEXT_INDEX_FILE):
        index = Index.load(folder / name)
        labels = index.items["labels"].str.replace("ball", "grass")
        items = index.items.assign(splits="train", labels=labels)
        dataclasses.replace(index, items=items).save(folder / name)
    return str(folder / MODEL_FILE)


@pytest.fixture(scope="module")
def address(model, other_model):
    from clip_lib.web.app import launch

    page = Page.load([model, other_model])
    app, url, _ = launch(page, quiet=True, prevent_thread_lock=True)
    yield url
    app.blocks.close()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Open the page as a visitor; note what it asks of other addresses."""
    contexts, strangers = [], []

    def open_page(locale="en-US", width=1200, height=1000, **options):
        viewport = {"width": width, "height": height}
        context = browser.new_context(locale=locale, viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "data:", "blob:"))
                else strangers.append(request.url)
            ),
        )
        page.on("dialog", lambda dialog: strangers.append(dialog.message))
        page.goto(address)
        page.wait_for_selector("#text textarea, #text input")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert strangers == []


def type_text(page, text):
    page.locator("#text textarea, #text input").first.fill(text)
    page.click("#search")


def tab(page, number):
    page.locator("button[role=tab]").nth(number).click()


def choose(page, place, path):
    page.set_input_files(f"{place} input[type=file]", str(path))


def test_a_text_is_typed_and_five_pictures_come(visit, model):
    page = visit()
    type_text(page, "a dog on the grass")
    page.wait_for_selector("#pictures li")
    assert page.locator("#pictures li").count() == 5
    sizes = page.evaluate(
        "[...document.querySelectorAll('#pictures img')]"
        ".map(image => image.complete && image.naturalWidth)"
    )
    assert sizes == [64] * 5
    shown = page.locator("#pictures").inner_text()
    search, _ = Page.load([model]).galleries[model]["test"]
    best = search.images_for("a dog on the grass", 1, "all").iloc[0]
    assert f"score {best['score']:.3f}" in shown and "chance" in shown
    widths = page.evaluate(
        "[...document.querySelectorAll('#pictures i')].map(bar => bar.offsetWidth)"
    )
    assert widths == sorted(widths, reverse=True) and widths[0] > 50
    # The Enter key asks as well.
    page.locator("#text textarea, #text input").first.fill("zeppelin")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pictures .clip-problem")


def test_an_example_is_clicked(visit):
    page = visit()
    page.get_by_text("A boat on the water").click()
    # The tiny model knows "the" alone of it.
    page.wait_for_selector("#pictures li")
    assert "boat" in page.locator("#pictures .clip-note").inner_text()


@pytest.mark.parametrize(
    ("locale", "words"), [("en-GB", ENGLISH), ("fr-FR", FRENCH), ("de-DE", ENGLISH)]
)
def test_the_page_speaks_the_language_of_the_browser(visit, locale, words):
    page = visit(locale=locale)
    page.get_by_text(words["title"].removeprefix("# ")).wait_for()
    tabs = page.locator("button[role=tab]").all_inner_texts()
    assert tabs == [words["by_text"], words["by_picture"], words["by_labels"]]
    type_text(page, "")
    page.get_by_text(words["empty"]).wait_for()
    assert page.evaluate("document.documentElement.lang") == (
        "fr" if words is FRENCH else "en"
    )


def test_a_picture_is_chosen_and_five_texts_come(visit, tiny_folder):
    page = visit(locale="fr-FR")
    tab(page, 1)
    choose(page, "#picture", tiny_folder / "images/dog/dog_001.jpg")
    page.wait_for_selector("#texts li")
    assert page.locator("#texts li").count() == 5
    shown = page.locator("#texts").inner_text()
    assert "on the grass" in shown and re.search(r"score -?\d,\d{3}", shown)


def test_labels_are_edited(visit, tiny_folder):
    page = visit()
    tab(page, 2)
    choose(page, "#labelled", tiny_folder / "images/dog/dog_001.jpg")
    page.wait_for_selector("#found li")
    shown = page.locator("#found p").all_inner_texts()
    assert {one.partition(". ")[2] for one in shown[1:5]} == {
        *("ball", "bike", "dog", "water")
    }
    page.locator("#labels textarea, #labels input").first.fill("dog, the grass")
    page.click("#label")
    page.wait_for_function("document.querySelectorAll('#found li').length == 2")
    page.locator("#labels textarea, #labels input").first.fill("dog")
    page.click("#label")
    page.get_by_text(ENGLISH["few_labels"]).wait_for()
    page.locator("#labels textarea, #labels input").first.fill("dog, water")
    page.locator("#labelled button[aria-label='Remove Image']").click()
    page.click("#label")
    page.get_by_text(ENGLISH["choose_picture"]).wait_for()


def test_another_gallery_answers_anew(visit, model):
    size = Page.load([model]).sizes(model)["test"]
    page = visit()
    type_text(page, "a dog on the grass")
    page.get_by_text(f"Best 5 of {size} pictures").wait_for()
    page.click("#gallery input")
    page.get_by_role("option", name="all · 48").click()
    page.get_by_text("Best 5 of 48 pictures").wait_for()


def test_another_model_answers_anew(visit, other_model):
    page = visit()
    type_text(page, "a dog on the grass")
    page.wait_for_selector("#pictures li")
    page.click("#model input")
    page.get_by_role("option", name=other_model).click()
    # It has no part called test: the first of its parts is searched.
    page.get_by_text("Best 5 of 48 pictures").wait_for()
    assert page.locator("#gallery input").input_value() == "train · 48"
    tab(page, 2)
    labels = page.locator("#labels textarea, #labels input").first.input_value()
    assert labels == "bike, dog, grass, water"
    assert page.locator(".toast-body").count() == 0


@pytest.mark.parametrize("by", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(visit, tiny_folder, by):
    page = visit()
    tab(page, 1)
    photo = (tiny_folder / "images/dog/dog_001.jpg").read_bytes()
    page.evaluate(
        """([bytes, kind]) => {
            const data = new DataTransfer();
            const content = Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0));
            data.items.add(new File([content], "dog.jpg", {type: "image/jpeg"}));
            const options = {bubbles: true, cancelable: true};
            const event = kind === "paste"
                ? new ClipboardEvent("paste", {clipboardData: data, ...options})
                : new DragEvent("drop", {dataTransfer: data, ...options});
            const place = kind === "paste"
                ? document.body : document.querySelector("#picture button");
            place.dispatchEvent(event);
        }""",
        [base64.b64encode(photo).decode(), by],
    )
    page.wait_for_selector("#texts li")


def test_hostile_files_get_a_sentence(visit, tiny_folder, tmp_path):
    photo = tiny_folder / "images/dog/dog_001.jpg"
    page = visit()
    tab(page, 1)
    for name, message in hostile_files(tmp_path, photo).items():
        if not name.endswith((".jpg", ".png", ".svg")):
            continue  # The browser itself refuses what is not named like a picture.
        choose(page, "#picture", tmp_path / name)
        page.get_by_text(ENGLISH[message].partition("{")[0]).wait_for()
        page.locator("#picture button[aria-label='Remove Image']").click()
        page.wait_for_selector("#texts .clip-problem", state="detached")
    # After all that, a picture is answered.
    choose(page, "#picture", photo)
    page.wait_for_selector("#texts li")


def test_a_file_that_is_too_large_is_refused(visit, tmp_path):
    (tmp_path / "large.jpg").write_bytes(b"0" * 21_000_000)
    page = visit()
    tab(page, 1)
    choose(page, "#picture", tmp_path / "large.jpg")
    page.get_by_text("exceed the maximum allowed size").first.wait_for()


def test_it_fits_a_telephone(visit, tiny_folder):
    page = visit(width=390, height=844, is_mobile=True, has_touch=True)
    type_text(page, "a dog on the grass")
    page.wait_for_selector("#pictures li")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = page.evaluate(
        "[...document.querySelectorAll('#pictures li')]"
        ".map(card => card.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == 3  # Two pictures side by side.
    for number, place, found in ((1, "#picture", "#texts"), (2, "#labelled", "#found")):
        tab(page, number)  # Each tab is in view, not in a menu.
        choose(page, place, tiny_folder / "images/dog/dog_001.jpg")
        page.wait_for_selector(f"{found} li")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def luminance(colour):
    parts = [
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4
        for one in colour
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


CONTRAST = """(element) => {
    const ink = getComputedStyle(element);
    let below = element, paper;
    do {
        paper = getComputedStyle(below).backgroundColor;
        below = below.parentElement;
    } while (paper === "rgba(0, 0, 0, 0)" && below);
    return [ink.color, paper, Number(ink.opacity)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_day_and_by_night(visit, scheme):
    """Contrast of small print, WCAG 2.2, 1.4.3: at least 4.5."""
    page = visit(color_scheme=scheme)
    type_text(page, "a dog on the grass")
    page.wait_for_selector("#pictures li")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)  # The button's colour fades back.
    hint = page.get_by_text("pictures that the model never saw")
    for place in (page.locator(".clip-figures").first, hint, page.locator("#search")):
        *colours, opacity = place.evaluate(CONTRAST)
        text, paper = (
            [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
            for colour in colours
        )
        both = zip(text, paper, strict=True)
        ink = [opacity * one + (1 - opacity) * other for one, other in both]
        low, high = sorted([luminance(ink), luminance(paper)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, (place, colours)
    body = page.evaluate("getComputedStyle(document.body).backgroundColor")
    paper = [int(one) / 255 for one in re.findall(r"\d+", body)[:3]]
    assert (luminance(paper) > 0.5) == (scheme == "light")
