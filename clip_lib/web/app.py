"""The search page and its server, with Gradio, an extra: see requirements-app.txt."""

import contextlib
import json
import os
import threading
from pathlib import Path

# Before Gradio is imported. It would ask the network for news of itself; it sums up its
# last 10,000 answers after each one, which takes longer and longer; and it would serve
# the folders that the environment names.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
os.environ.pop("GRADIO_ALLOWED_PATHS", None)

import gradio as gr
from gradio import image_utils
from gradio.utils import ipython_check
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from clip_lib.data.images import small_jpeg
from clip_lib.errors import ClipError
from clip_lib.retrieval.answers import QUERIES
from clip_lib.web.cards import note
from clip_lib.web.guard import Guard
from clip_lib.web.page import MAX_CHARACTERS, K, Page
from clip_lib.web.thumbnails import media_type
from clip_lib.web.uploads import make_folder
from clip_lib.web.words import ENGLISH, FRENCH, GRADIO_FRENCH, words_for

_UPLOADS, _LOCK = make_folder()
os.environ["GRADIO_TEMP_DIR"] = _UPLOADS.name
WORDS = gr.I18n(en=ENGLISH, fr=FRENCH)
_HERE = Path(__file__).parent
_SCRIPT = (_HERE / "page.js").read_text(encoding="utf-8")
_SCRIPT = _SCRIPT.replace("GRADIO_FRENCH", json.dumps(GRADIO_FRENCH))
_SCRIPT = _SCRIPT.replace("FAILED", json.dumps([ENGLISH["failed"], FRENCH["failed"]]))
_THEME = gr.themes.Default(
    font=["system-ui", "sans-serif"],  # Gradio's own would come from the network.
    font_mono=["monospace"],
).set(block_info_text_color="*neutral_600")  # Gradio's is too pale to be read.


class _Blocks(gr.Blocks):
    async def preprocess_data(self, *arguments, **options):
        """Refuse forged inputs as Gradio does, but without a traceback in the log."""
        try:
            return await super().preprocess_data(*arguments, **options)
        except Exception as error:
            raise gr.Error("Unexpected input.", print_exception=False) from error


def build_app(page: Page) -> gr.Blocks:
    """Lay the page out: where to look, then a tab for each kind of query."""
    # Every minute, uploads older than ten minutes are deleted.
    with _Blocks(title="CLIP", fill_width=True, delete_cache=(60, 600)) as blocks:
        gr.Markdown(WORDS("title"))
        gallery = gr.Dropdown(
            list(page.galleries),
            label=WORDS("gallery"),
            filterable=False,
            elem_id="gallery",
        )
        k = gr.Number(K, precision=0, visible=False)
        with gr.Tab(WORDS("by_text")):
            text = gr.Textbox(
                label=WORDS("text"),
                info=WORDS("text_hint"),
                placeholder=QUERIES[0],
                max_length=MAX_CHARACTERS,
                max_lines=1,
                submit_btn=WORDS("search"),
                autofocus=True,
                elem_id="text",
            )
            chosen = gr.Examples(list(QUERIES), text, label=WORDS("examples"))
            like = gr.Textbox("", visible=False)
            opened = blocks.load(
                _opened(page),
                None,
                [gallery, text],
                queue=False,
                api_visibility="private",
            )
            _answer(
                page.pictures_for,
                "search_text",
                {"gallery": gallery, "text": text, "like": like, "k": k},
                {
                    text.submit: "clip.ask",
                    chosen.load_input_event.success: "clip.ask",
                    gallery.input: "clip.ask",
                    opened.success: "clip.open",
                },
                more="clip.again",
            )
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
                    max_lines=1,
                    submit_btn=WORDS("search"),
                    elem_id="labels",
                )
                _answer(
                    page.texts_for,
                    "search_picture",
                    {"gallery": gallery, "upload": picture, "labels": labels, "k": k},
                    dict.fromkeys((picture.change, labels.submit, gallery.input)),
                    more="clip.more",
                )
        with gr.Accordion(WORDS("help"), open=False):
            gr.Markdown(WORDS("help_text"))
    # Without api_open=False a crowd could bypass the queue.
    return blocks.queue(max_size=64, api_open=False)


def _opened(page: Page):
    """Return what shows the gallery and the question of the page's address."""

    def opened(request: gr.Request):
        choices, about = page.choices(words_for(request.headers.get("accept-language")))
        gallery = request.query_params.get("gallery")
        gallery = gallery if gallery in page.galleries else next(iter(page.galleries))
        # What somebody types meanwhile stays.
        text = request.query_params.get("q", "")[:MAX_CHARACTERS] or gr.skip()
        return gr.Dropdown(choices, value=gallery, info=about), text

    return opened


def _answer(reply, name: str, inputs: dict, events: dict, more: str) -> None:
    """Show the answer to a query whenever one of the events happens.

    Programs call the server by the query's name. ``events`` name the function of
    page.js that is given the inputs and returns what is sent in their place, and so
    does ``more``, for the buttons among the answers.
    """
    answers = gr.HTML(
        elem_id=f"{name}_answers",
        js_on_load="element.classList.add('clip-answers'); element.send = trigger; "
        "watch('value', () => clip.shown(element));",
    )

    def ask(request: gr.Request, *values):
        words = words_for(request.headers.get("accept-language"))
        try:
            return reply(**dict(zip(inputs, values, strict=True)), words=words)
        except ClipError as error:
            return note(str(error))

    for place, (event, script) in enumerate({**events, answers.click: more}.items()):
        asked = event(
            ask,
            list(inputs.values()),
            answers,
            js=script and f"(...values) => {script}(...values)",
            api_name=None if place else name,
            api_visibility="private" if place else "public",
            # One query at a time, in all tabs: two cores answer no sooner in parallel,
            # and no crowd can fill the memory.
            concurrency_limit=1,
            concurrency_id="clip",
            show_progress="minimal",
            trigger_mode="always_last",
        )
        # No old answers below a new question.
        asked.failure(None, None, answers, js="() => clip.failed")


def _picture(page: Page) -> Route:
    """Return the route of one picture: small enough to be viewed, or the file."""
    decoding = threading.Lock()  # One at a time: no crowd can fill the memory.

    def picture(request: Request) -> Response:
        asked, path = request.query_params, None
        with contextlib.suppress(ClipError):
            if path := page.file(asked.get("gallery", ""), asked.get("name", "")):
                if "view" in asked:
                    with decoding:
                        view = small_jpeg(path, 1600)
                    return Response(view, media_type="image/jpeg")
                # Of the kind that the content says: a name may end in .html.
                return FileResponse(
                    path,
                    media_type=media_type(path),
                    filename=path.name,
                    content_disposition_type="inline",
                )
        words = words_for(request.headers.get("accept-language"))
        return PlainTextResponse(words["gone"], 404)

    return Route("/picture", picture)


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
    in_notebook = ipython_check()

    @contextlib.asynccontextmanager
    async def guard(app):
        # Outermost: around what app_kwargs name, Gradio sets headers of its own that
        # allow other ports of this machine to read everything.
        stack, uploads = app.middleware_stack, Path(_UPLOADS.name)
        app.middleware_stack = Guard(stack, uploads, in_notebook)
        yield

    try:
        return build_app(page).launch(
            server_name="127.0.0.1",
            server_port=port,
            inbrowser=open_browser,
            share=False,
            max_file_size="20mb",
            app_kwargs={"routes": [_picture(page)], "lifespan": guard},
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            state_session_capacity=100,
            i18n=WORDS,
            css_paths=_HERE / "page.css",
            js=_SCRIPT,
            theme=_THEME,
            **options,
        )
    except OSError as error:
        port = port or "from 7860 on"
        raise ClipError(f"port {port}: taken; name another with --port.") from error
