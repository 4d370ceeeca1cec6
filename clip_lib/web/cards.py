"""Answers as HTML: pictures, texts or labels with their figures and a bar each.

Whatever comes from a file or from a visitor is escaped: a caption is never markup.
"""

from html import escape
from pathlib import Path

import pandas as pd

from clip_lib.web.thumbnails import Thumbnails
from clip_lib.web.words import number, percent

STYLE = """
.clip-line, .clip-figures, .clip-help {color: var(--body-text-color); opacity: .75;
  font-size: .85rem}
.clip-line {margin: .2rem 0 .6rem}
.clip-cards {display: grid; gap: .75rem; padding: 0; margin: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(min(9.5rem, 46%), 1fr))}
.clip-rows {display: grid; gap: .5rem; padding: 0; margin: 0; list-style: none}
.clip-cards li, .clip-rows li {margin: 0; overflow: hidden;
  border: 1px solid var(--border-color-primary); border-radius: var(--block-radius);
  background: var(--block-background-fill); color: var(--body-text-color)}
.clip-rows li {display: flex; align-items: center}
.clip-cards img, .clip-cards .clip-gone {width: 100%; aspect-ratio: 1; margin: 0;
  object-fit: contain; background: var(--background-fill-secondary)}
.clip-rows img, .clip-rows .clip-gone {width: 5rem; height: 5rem; flex: none; margin: 0;
  object-fit: cover; background: var(--background-fill-secondary)}
.clip-gone {display: grid; place-items: center; text-align: center; font-size: .75rem;
  padding: .5rem; box-sizing: border-box}
.clip-cards li {display: flex; flex-direction: column}
.clip-body {padding: .5rem .75rem; flex: 1; min-width: 0; overflow-wrap: anywhere;
  display: flex; flex-direction: column}
.clip-body p {margin: 0 0 .35rem; line-height: 1.35; flex: 1}
.clip-figures {font-variant-numeric: tabular-nums; line-height: 1.4; display: flex;
  flex-wrap: wrap; column-gap: .8em; white-space: nowrap}
.clip-bar {height: .4rem; border-radius: .2rem; overflow: hidden; margin: .3rem 0;
  background: var(--border-color-primary)}
.clip-bar i {display: block; height: 100%; background: var(--color-accent)}
.clip-problem, .clip-note {border-left: .3rem solid var(--color-accent);
  margin: .5rem 0; padding: .5rem .75rem; background: var(--block-background-fill);
  color: var(--body-text-color)}
.clip-problem {border-color: #d97706}
.clip-help {margin-top: .8rem}
#model input {text-overflow: ellipsis; padding-right: 1.5rem}
@media (max-width: 30rem) {
  /* The three tabs side by side, not in a menu. */
  .tab-container button {padding: 0 .35rem !important; font-size: .8rem !important}
}
"""


def problem(message: str) -> str:
    """Say why there is no answer."""
    return f'<p class="clip-problem" role="alert">{escape(message)}</p>'


def note(message: str) -> str:
    """Say what goes with an answer; nothing if there is nothing to say."""
    return f'<p class="clip-note">{escape(message)}</p>' if message else ""


def picture_cards(
    answers: pd.DataFrame, total: int, thumbnails: Thumbnails, words
) -> str:
    """Lay out pictures, best first.

    Args:
        answers: What `Index.search` returned, with captions where there are any.
        total: Size of the gallery.
        thumbnails: What may be shown.
        words: The page's words, see `words`.
    """
    cards = []
    for _, answer in answers.iterrows():
        title = answer.get("captions", "") or Path(answer["paths"]).name
        image = _image(answer["paths"], title, thumbnails, words)
        cards.append(image + _body(answer, title, answers, total, words))
    return _list("clip-cards", "among_pictures", cards, total, words)


def text_rows(answers: pd.DataFrame, total: int, thumbnails: Thumbnails, words) -> str:
    """Lay out texts, best first, each beside the picture that it was written for."""
    rows = []
    for _, answer in answers.iterrows():
        image = _image(answer["image_paths"], "", thumbnails, words)
        rows.append(image + _body(answer, answer["captions"], answers, total, words))
    return _list("clip-rows", "among_captions", rows, total, words)


def label_rows(answers: pd.DataFrame, words) -> str:
    """Lay out labels, the most probable first."""
    rows = [
        _body(answer, answer["labels"], answers, len(answers), words)
        for _, answer in answers.iterrows()
    ]
    return _list("clip-rows", "among_labels", rows, len(answers), words)


def _list(name: str, heading: str, items: list[str], total: int, words) -> str:
    line = words[heading].format(k=len(items), n=total)
    items = "".join(f"<li>{item}</li>" for item in items)
    return (
        f'<p class="clip-line" role="status">{escape(line)}</p>'
        f'<ol class="{name}">{items}</ol>'
        f'<details class="clip-help"><summary>{escape(words["help"])}</summary>'
        f"<p>{escape(words['help_text'])}</p></details>"
    )


def _image(path: str, title: str, thumbnails: Thumbnails, words) -> str:
    if address := thumbnails.uri(path):
        return f'<img src="{address}" alt="{escape(title)}">'
    return f'<span class="clip-gone">{escape(words["gone"])}</span>'


def _body(answer: pd.Series, text: str, answers, total: int, words) -> str:
    """Lay out one answer's text, bar and figures."""
    probability = answer["probability"]
    best = answers["probability"].iloc[0] or 1
    times = probability * total
    figures = [
        percent(probability, words),
        words["chance"].format(number(times, 1 if times < 10 else 0, words)),
        f"{words['score']} {number(answer['score'], 3, words)}",
    ]
    if pd.notna(answer["margin"]):
        figures.append(f"{words['margin']} {number(answer['margin'], 3, words)}")
    spans = "".join(f"<span>{escape(figure)}</span> " for figure in figures)
    title = f"{answer['rank']}. {text}"
    return (
        f'<div class="clip-body"><p>{escape(title)}</p>'
        f'<div class="clip-bar"><i style="width:{100 * probability / best:.1f}%"></i>'
        f'</div><div class="clip-figures">{spans}</div></div>'
    )
