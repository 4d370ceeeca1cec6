"""How the search page looks: a tab a kind of question. With Gradio, an extra."""

import gradio as gr

from clip_lib.retrieval.answers import QUERIES
from clip_lib.retrieval.zero_shot import TEMPLATES
from clip_lib.web.page import MAX_CHARACTERS, Page
from clip_lib.web.words import ENGLISH, FRENCH, words_for

WAITING = 64
"""Questions that may wait; beyond, Gradio says that the page is busy."""
KEPT_SECONDS = 600
"""How long an uploaded picture stays on the disk."""

WORDS = gr.I18n(en=ENGLISH, fr=FRENCH)


def build_app(page: Page) -> gr.Blocks:
    """Lay the page out: a tab a kind of question."""
    models = list(page.galleries)
    with gr.Blocks(
        title="CLIP",
        analytics_enabled=False,
        delete_cache=(KEPT_SECONDS // 10, KEPT_SECONDS),
    ) as blocks:
        gr.Markdown(WORDS("title"))
        with gr.Row():
            gallery = gr.Dropdown(
                _choices(page, models[0]),
                label=WORDS("gallery"),
                info=WORDS("gallery_hint"),
                filterable=False,
                min_width=260,
                elem_id="gallery",
            )
            model = gr.Dropdown(
                models,
                label=WORDS("model"),
                filterable=False,
                min_width=260,
                elem_id="model",
            )

        def other_galleries(name, kept):
            # The gallery stays, if the other model has it.
            names = list(page.galleries[name])
            value = kept if kept in names else names[0]
            return gr.Dropdown(_choices(page, name), value=value)

        switched = model.change(
            other_galleries,
            [model, gallery],
            gallery,
            api_visibility="private",
        ).success
        with gr.Tab(WORDS("by_text")):
            _text_tab(page, model, gallery, switched)
        with gr.Tab(WORDS("by_picture")):
            _picture_tab(page, model, gallery, switched)
        with gr.Tab(WORDS("by_labels")):
            _labels_tab(page, model)
    # Without api_open=False there would be a way round the queue, for a crowd.
    return blocks.queue(max_size=WAITING, api_open=False)


def _text_tab(page: Page, model, gallery, switched) -> None:
    with gr.Row(equal_height=True):
        text = gr.Textbox(
            label=WORDS("text"),
            placeholder=QUERIES[0],
            max_length=MAX_CHARACTERS,
            autofocus=True,
            scale=4,
            elem_id="text",
        )
        button = gr.Button(WORDS("search"), variant="primary", elem_id="search")
    examples = gr.Examples(list(QUERIES), text, label=WORDS("examples"))
    answers = gr.HTML(elem_id="pictures")
    _answer(
        page.pictures_for,
        [text.submit, button.click, examples.load_input_event.success],
        [gallery.change, switched],
        [model, gallery, text],
        text,
        answers,
        "search_text",
    )


def _picture_tab(page: Page, model, gallery, switched) -> None:
    with gr.Row():
        with gr.Column(scale=2):
            picture = _picture_input(page, model.value, "picture")
        with gr.Column(scale=3):
            answers = gr.HTML(elem_id="texts")
    _answer(
        page.texts_for,
        [],
        [picture.change, gallery.change, switched],
        [model, gallery, picture],
        picture,
        answers,
        "search_picture",
    )


def _labels_tab(page: Page, model) -> None:
    with gr.Row():
        with gr.Column(scale=2):
            picture = _picture_input(page, model.value, "labelled")
        with gr.Column(scale=3):
            labels = gr.Textbox(
                ", ".join(page.labels(model.value)),
                label=WORDS("labels"),
                elem_id="labels",
            )
            with gr.Accordion(WORDS("more"), open=False):
                templates = gr.Textbox(
                    "\n".join(TEMPLATES), label=WORDS("templates"), lines=3
                )
            button = gr.Button(WORDS("find_label"), variant="primary", elem_id="label")
            answers = gr.HTML(elem_id="found")
    relabelled = model.change(
        lambda name: ", ".join(page.labels(name)),
        model,
        labels,
        api_visibility="private",
    )
    _answer(
        page.labels_for,
        [labels.submit, button.click],
        [picture.change, relabelled.success],
        [model, picture, labels, templates],
        picture,
        answers,
        "classify",
    )


def _picture_input(page: Page, model: str, name: str) -> gr.Image:
    """Lay out a place for a picture, and pictures to try."""
    picture = gr.Image(
        type="filepath",
        sources=["upload", "clipboard"],
        label=WORDS("picture"),
        height=260,
        buttons=[],
        elem_id=name,
    )
    # Gradio would open the file with any of Pillow's readers, and answer what is no
    # picture with "Error"; images.py reads it, as it does everywhere.
    picture.preprocess = lambda payload: payload and payload.path
    gr.Examples(page.examples(model), picture, label=WORDS("examples"))
    return picture


def _answer(reply, asked, again, inputs, question, answers, name: str) -> None:
    """Answer when asked, and anew when something else changes.

    Args:
        reply: Function of the inputs and the page's words; gives HTML.
        asked: Events that ask.
        again: Events that ask if there is a question: no reproach for an empty one.
        inputs, question: The components that are read; the one that holds the question.
        answers: Where the HTML goes.
        name: Of the question, for programs that ask the server.
    """
    place = inputs.index(question)

    def ask(request: gr.Request, *values):
        return reply(*values, words_for(request.headers.get("accept-language")))

    def ask_again(request: gr.Request, *values):
        return ask(request, *values) if values[place] else ""

    for number, event in enumerate([*asked, *again]):
        event(
            ask if number < len(asked) else ask_again,
            inputs,
            answers,
            # The same question of a program has one name.
            api_name=None if number else name,
            api_visibility="private" if number else "public",
            # One question at a time, in all tabs: two cores answer no sooner in
            # parallel, and no crowd can fill the memory.
            concurrency_limit=1,
            concurrency_id="clip",
            show_progress="minimal",
        )


def _choices(page: Page, model: str) -> list[tuple[str, str]]:
    """Name the galleries of a model as the visitor reads them: test · 90."""
    sizes = page.sizes(model)
    return [(f"{name} · {size}", name) for name, size in sizes.items()]
