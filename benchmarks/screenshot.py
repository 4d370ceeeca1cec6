"""Take README's pictures: the search page, and one question to two models.

    python benchmarks/screenshot.py --models models

All on the drawn scenes, with the models that a run on them left (`make run`). Needs
Chromium (CLIP_BROWSER names another browser) and requirements-dev.txt.
"""

import argparse
import io
import os
import shutil
import tempfile

import matplotlib
from page import start_page
from PIL import Image
from record import ROOT

from clip_lib.config import PRETRAINED, Config, find_pretrained
from clip_lib.data.dataset import load_dataset
from clip_lib.errors import ClipError
from clip_lib.figures.image_grids import gallery_name, image_answers
from clip_lib.retrieval.search import MODEL_FILE, Clip, Search, build_indexes
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


def side_by_side(models: str) -> None:
    """Draw the answers of a run's model, and below them of the pretrained weights."""
    matplotlib.use("Agg")
    config = Config(model_dir=models, dataset_dir="scenes")
    scratch = Search.load(config.clip_file)
    if scratch.images.source != "drawn scenes":
        raise ClipError(f"{models}: a run on {scratch.images.source}; expected scenes.")
    clip = Clip.load(find_pretrained(PRETRAINED) / MODEL_FILE)
    pretrained = Search(clip, *build_indexes(clip, load_dataset(config)))
    drawn = []
    for name, search in (("de zéro", scratch), ("préentraîné", pretrained)):
        where = f"{gallery_name(search.images, 'test')}, modèle {name}"
        query = "A group of cyclists"
        figure, stored = (
            image_answers(search.images_for(query), query, where),
            io.BytesIO(),
        )
        figure.set_size_inches(12, 3.3)  # With the labels below.
        figure.savefig(stored, dpi=70)
        drawn.append(Image.open(stored).convert("RGB"))
    both = Image.new("RGB", (drawn[0].width, 2 * drawn[0].height))
    for place, one in enumerate(drawn):
        both.paste(one, (0, place * one.height))
    both.quantize(192).save(FIGURES / "side_by_side.png", optimize=True)


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="models", help="folder of a run on scenes")
    side_by_side(parser.parse_args().models)
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
