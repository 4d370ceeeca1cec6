"""Answers as HTML: picture, text, bar and numbers of each; page.css and page.js do the
rest.

Not a `gr.Gallery`, whose captions cover the pictures, nor a `gr.Dataframe`, whose
columns do not fit a telephone. Whatever comes from a file or a visitor is escaped.
"""

from html import escape
from urllib.parse import urlencode

import pandas as pd

from clip_lib.web.words import number, percent

MORE = 10
"""Answers added at a time."""


def note(message: str) -> str:
    """Say why there is no answer, or what limits one."""
    return f'<p class="clip-note">{escape(message)}</p>'


def answer_list(
    answers: pd.DataFrame, heading: str, thumbnails, gallery: str, words, kind: str = ""
) -> str:
    """Lay out answers, best first.

    Args:
        answers: What `Index.search` returned, with a column ``text``, and ``picture``,
            a path, if there are pictures. Without a ``score``, an answer has no number.
        heading: What they are.
        thumbnails: The `Thumbnails` that may be shown.
        gallery: Its name, to ask the server for larger pictures.
        words: The page's words, see `words_for`.
        kind: "clip-cards" puts the pictures above their texts, side by side.
    """
    best = answers["probability"].iloc[0] if "probability" in answers else 0
    items = []
    for _, answer in answers.iterrows():
        text, picture = answer["text"], ""
        if "picture" in answer:
            picture = _picture(answer["picture"], text, thumbnails, gallery, words)
        if pd.isna(answer["score"]):
            items.append(f"<li>{picture}{_body(escape(text))}</li>")
            continue
        numbers, bar = [], ""
        if best:
            numbers.append(percent(answer["probability"], words))
            share = answer["probability"] / best
            bar = f'<div class="clip-bar" style="--share:{share:.1%}"></div>'
        for name in ("score", "margin"):
            if pd.notna(answer.get(name)):
                numbers.append(f"{words[name]} {number(answer[name], 3, words)}")
        spans = " ".join(f"<span>{one}</span>" for one in numbers)
        rest = f'{bar}<div class="clip-numbers">{spans}</div>'
        if kind:
            rest += _like(thumbnails.name(answer["picture"]), words)
        text = f"{answer['rank']:.0f}. {escape(text)}"
        items.append(f"<li>{picture}{_body(text, rest)}</li>")
    items = "".join(items)
    return (
        f'<p class="clip-heading">{escape(heading)}</p>'
        f'<ol class="clip-list {kind}" role="list">{items}</ol>'
    )


def more_button(words) -> str:
    """Return the button that asks for `MORE` answers."""
    return _button("more", words["more"].format(MORE))


def _body(text: str, rest: str = "") -> str:
    return f'<div class="clip-body"><p>{text}</p>{rest}</div>'


def _button(action: str, text: str, **data: str) -> str:
    """Return a button; page.js does what ``action`` says."""
    data = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    return f'<button type="button" data-do="{action}"{data}>{escape(text)}</button>'


def _like(name: str, words) -> str:
    return _button("like", words["more_like"], name=name)


def _picture(path: str, text: str, thumbnails, gallery: str, words) -> str:
    """Return a small picture, which is a button, and the larger view that it opens."""
    small = thumbnails.uri(path)
    if not small:
        return f'<span class="clip-picture">{escape(words["gone"])}</span>'
    name = thumbnails.name(path)
    address = escape(f"picture?{urlencode({'gallery': gallery, 'name': name})}")
    label, name_, text = map(escape, (f"{words['larger']} {name}", name, text))
    caption = f"<p>{text}</p>" if text != name_ else ""
    return (
        f'<button type="button" class="clip-picture" data-do="view" title="{name_}">'
        f'<img src="{small}" alt="{label}"></button>'
        f'<dialog aria-label="{name_}"><img data-src="{address}&amp;view=1" '
        f'alt="{text}">{caption}<code>{escape(str(thumbnails.file(path)))}</code>'
        f'<div class="clip-actions">{_like(name, words)}'
        f'<a href="{address}" target="_blank" rel="noopener">{words["open"]}</a>'
        f'<a href="{address}" download="{name_.rpartition("/")[2]}">'
        f"{words['download']}</a>{_button('copy', words['copy'], done=words['copied'])}"
        f"{_button('close', words['close'])}</div></dialog>"
    )
