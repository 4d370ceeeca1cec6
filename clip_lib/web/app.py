"""The search page and its server, with Gradio, an extra: see requirements-app.txt."""

import os
import tempfile

# Before Gradio is imported. It would ask the network for news of itself; it sums up its
# last 10,000 answers after each one, which takes longer and longer; and it would serve
# the folders that the environment names.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
os.environ.pop("GRADIO_ALLOWED_PATHS", None)

import gradio as gr
from gradio import image_utils

from clip_lib.errors import ClipError
from clip_lib.retrieval.answers import QUERIES
from clip_lib.web.cards import STYLE, note
from clip_lib.web.guard import guards
from clip_lib.web.page import MAX_CHARACTERS, Page
from clip_lib.web.words import ENGLISH, FRENCH, words_for

# Uploads lie in a folder of their own, removed when the program ends.
_UPLOADS = tempfile.TemporaryDirectory(prefix="clip_uploads_")
os.environ["GRADIO_TEMP_DIR"] = _UPLOADS.name

WORDS = gr.I18n(en=ENGLISH, fr=FRENCH)

_ON_LOAD = """() => {
  const french = /^fr(-|$)/.test(navigator.language);
  document.documentElement.lang = french ? "fr" : "en";
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData.files;
    const input = document.querySelector("#picture input[type=file]");
    const hidden = !input || !input.closest("#picture").offsetParent;
    if (hidden || !files.length || !files[0].type.startsWith("image/")) return;
    input.files = files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  });
}"""
_THEME = gr.themes.Default(
    font=["system-ui", "sans-serif"],  # Gradio's own would come from the network.
    font_mono=["monospace"],
).set(block_info_text_color="*neutral_600")  # Gradio's is too pale to be read.


def build_app(page: Page) -> gr.Blocks:
    """Lay the page out: where to look, then a tab for each kind of query."""
    # Every minute, uploads older than ten minutes are deleted.
    with gr.Blocks(title="CLIP", delete_cache=(60, 600)) as blocks:
        gr.Markdown(WORDS("title"))
        gallery = gr.Dropdown(
            [
                (f"{name} · {len(search.images.items)}", name)
                for name, (search, _) in page.galleries.items()
            ],
            label=WORDS("gallery"),
            info=WORDS("gallery_hint") if "test" in page.galleries else None,
            filterable=False,
            elem_id="gallery",
        )
        with gr.Tab(WORDS("by_text")):
            text = gr.Textbox(
                label=WORDS("text"),
                placeholder=QUERIES[0],
                max_length=MAX_CHARACTERS,
                submit_btn=WORDS("search"),
                autofocus=True,
                elem_id="text",
            )
            chosen = gr.Examples(list(QUERIES), text, label=WORDS("examples"))
            events = [text.submit, chosen.load_input_event.success, gallery.change]
            _answer(page.pictures_for, "search_text", [gallery, text], events)
        with gr.Tab(WORDS("by_picture")), gr.Row():
            with gr.Column(scale=2):
                picture = gr.Image(
                    type="filepath",
                    sources=["upload", "clipboard"],
                    label=WORDS("picture"),
                    height=260,
                    buttons=[],
                    elem_id="picture",
                )
                # Gradio would open the file with any of Pillow's readers; ours is safe.
                picture.preprocess = lambda payload: payload and payload.path
                samples = map(image_utils.decode_base64_to_image, page.examples())
                gr.Examples(list(samples), picture, label=WORDS("examples"))
            with gr.Column(scale=3):
                labels = gr.Textbox(
                    label=WORDS("labels"),
                    info=WORDS("labels_hint"),
                    placeholder="dog, bike, ball, water",
                    max_length=MAX_CHARACTERS,
                    submit_btn=WORDS("search"),
                    elem_id="labels",
                )
                events = [picture.change, labels.submit, gallery.change]
                inputs = [gallery, picture, labels]
                _answer(page.texts_for, "search_picture", inputs, events)
        with gr.Accordion(WORDS("help"), open=False):
            gr.Markdown(WORDS("help_text"))
    # Without api_open=False a crowd could bypass the queue.
    return blocks.queue(max_size=64, api_open=False)


def _answer(reply, name: str, inputs, events) -> None:
    """Show the answer to a query whenever one of the events happens.

    Programs call the server by the query's name.
    """
    answers = gr.HTML(elem_id=f"{name}_answers")

    def ask(request: gr.Request, *values):
        try:
            return reply(*values, words_for(request.headers.get("accept-language")))
        except ClipError as error:
            return note(str(error))

    for place, event in enumerate(events):
        event(
            ask,
            inputs,
            answers,
            api_name=None if place else name,
            api_visibility="private" if place else "public",
            # One query at a time, in all tabs: two cores answer no sooner in parallel,
            # and no crowd can fill the memory.
            concurrency_limit=1,
            concurrency_id="clip",
            show_progress="minimal",
        )


def launch(page: Page, port: int | None = None, open_browser: bool = False, **options):
    """Serve the page on this machine alone, http://127.0.0.1.

    In Jupyter and on Colab it appears below the cell, and the cell ends.

    Args:
        page: What to serve.
        port: By default a free one from 7860 on.
        open_browser: Whether to show the page at once.
        options: Of ``gradio.Blocks.launch``, whose result is returned.

    Raises:
        ClipError: If the port is taken.
    """
    try:
        return build_app(page).launch(
            server_name="127.0.0.1",
            server_port=port,
            inbrowser=open_browser,
            share=False,
            max_file_size="20mb",
            app_kwargs={"middleware": guards()},
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            state_session_capacity=100,
            i18n=WORDS,
            css=STYLE,
            js=_ON_LOAD,
            theme=_THEME,
            **options,
        )
    except OSError as error:
        port = port or "from 7860 on"
        raise ClipError(f"port {port}: taken; name another with --port.") from error
