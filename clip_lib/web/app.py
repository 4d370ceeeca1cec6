"""The search page's server, with Gradio, an extra: see ``requirements-app.txt``."""

import os
import tempfile

# Before Gradio is imported. It would ask the network for news of itself; it sums up its
# last 10,000 answers after each one, which takes longer and longer; and it would serve
# the folders that the environment names.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
os.environ.pop("GRADIO_ALLOWED_PATHS", None)

import gradio as gr

from clip_lib.errors import ClipError
from clip_lib.web.cards import STYLE
from clip_lib.web.guard import guards
from clip_lib.web.layout import WORDS, build_app
from clip_lib.web.page import Page

MAX_UPLOAD = "20mb"
SESSIONS = 100
"""Visitors remembered."""
_ON_LOAD = """() => {
  const french = /^fr(-|$)/.test(navigator.language);
  document.documentElement.lang = french ? "fr" : "en";
  document.addEventListener("paste", (event) => {
    const pictures = [...event.clipboardData.files];
    const picture = pictures.find((file) => file.type.startsWith("image/"));
    const places = [...document.querySelectorAll("#picture, #labelled")];
    const place = places.find((one) => one.offsetParent !== null);
    const input = place && place.querySelector("input[type=file]");
    if (!picture || !input) return;
    const files = new DataTransfer();
    files.items.add(picture);
    input.files = files.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  });
}"""
_THEME = gr.themes.Default(
    font=["system-ui", "sans-serif"],  # Gradio's own would come from the network.
    font_mono=["monospace"],
).set(
    # Gradio's are too pale to be read (WCAG 2.2, 1.4.3).
    block_info_text_color="*neutral_600",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)


def launch(page: Page, port: int | None = None, open_browser: bool = False, **options):
    """Serve the page on this machine alone, http://127.0.0.1.

    In Jupyter and on Colab it appears below the cell, and the cell ends. Uploads lie in
    a folder of their own, which is removed when the program ends.

    Args:
        page: What to serve.
        port: A free one from 7860 on, if none is named.
        open_browser: Whether to show the page at once.
        options: Those of ``gradio.Blocks.launch`` that are not set here.

    Returns:
        Gradio's server, its address, and None.

    Raises:
        ClipError: If the port is taken.
    """
    uploads = tempfile.TemporaryDirectory(prefix="clip_uploads_")
    os.environ["GRADIO_TEMP_DIR"] = uploads.name
    blocks = build_app(page)
    blocks.uploads = uploads  # Removed with the page that they belong to.
    try:
        return blocks.launch(
            server_name="127.0.0.1",
            server_port=port,
            inbrowser=open_browser,
            share=False,
            max_file_size=MAX_UPLOAD,
            app_kwargs={"middleware": guards()},
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            footer_links=[],
            state_session_capacity=SESSIONS,
            i18n=WORDS,
            css=STYLE,
            js=_ON_LOAD,
            theme=_THEME,
            **options,
        )
    except OSError as error:
        if port is None:
            raise
        raise ClipError(f"port {port}: taken; name another with --port.") from error
