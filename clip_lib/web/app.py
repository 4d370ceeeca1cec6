"""The search page's server, with Gradio, an extra: see ``requirements-app.txt``."""

import os

# Before Gradio is imported. It would ask the network for news of itself; and it sums up
# its last 10,000 answers after each one, which takes longer and longer.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")

import gradio as gr

from clip_lib.web.cards import STYLE
from clip_lib.web.layout import WAITING, WORDS, build_app
from clip_lib.web.page import Page

MAX_UPLOAD = "20mb"
_NAME_LANGUAGE = """() => {
  document.documentElement.lang = navigator.language.startsWith("fr") ? "fr" : "en";
}"""
_FONTS = ["system-ui", "sans-serif"]  # Gradio's own would come from the network.


def launch(page: Page, port: int | None = None, open_browser: bool = False, **options):
    """Serve the page on this machine alone, http://127.0.0.1.

    In Jupyter and on Colab it appears below the cell, and the cell ends.

    Args:
        page: What to serve.
        port: A free one from 7860 on, if none is named.
        open_browser: Whether to show the page at once.
        options: More of ``gradio.Blocks.launch``.
    """
    return build_app(page).launch(
        server_name="127.0.0.1",
        server_port=port,
        inbrowser=open_browser,
        share=False,
        max_file_size=MAX_UPLOAD,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        footer_links=[],
        state_session_capacity=WAITING,
        i18n=WORDS,
        css=STYLE,
        js=_NAME_LANGUAGE,
        theme=gr.themes.Default(font=_FONTS, font_mono=["monospace"]),
        **options,
    )
