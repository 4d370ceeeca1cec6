"""Answers as HTML: picture, text, bar and numbers of each.

Not a `gr.Gallery`, whose captions cover the pictures, nor a `gr.Dataframe`, whose
columns do not fit a telephone. Whatever comes from a file or a visitor is escaped.
"""

from html import escape

import pandas as pd

from clip_lib.web.words import number, percent

STYLE = """
.html-container {padding: 0 !important}
.input-container {border: 1px solid var(--border-color-primary); padding-right: .3rem;
  border-radius: var(--input-radius); align-items: center !important}
.clip-list {display: grid; gap: .6rem; padding: 0; margin: .6rem 0; list-style: none}
.clip-cards {grid-template-columns: repeat(auto-fit, minmax(min(9.5rem, 46%), 1fr))}
.clip-list li {display: flex; margin: 0; overflow: hidden; overflow-wrap: anywhere;
  border: 1px solid var(--border-color-primary); border-radius: var(--block-radius);
  background: var(--block-background-fill); color: var(--body-text-color)}
.clip-cards li {flex-direction: column; max-width: 20rem}
.clip-picture {width: 5.5rem; aspect-ratio: 1; flex: none; margin: 0 !important;
  object-fit: contain; background: var(--background-fill-secondary); font-size: .75rem}
.clip-cards .clip-picture {width: 100%}
.clip-body {padding: .5rem .75rem; flex: 1; display: flex; flex-direction: column}
.clip-body p {margin: 0; line-height: 1.35; flex: 1}
.clip-bar {height: .4rem; margin: .4rem 0 .3rem; border-radius: .2rem;
  background: linear-gradient(90deg, var(--color-accent) var(--share),
  var(--border-color-primary) 0)}
.clip-numbers {font-variant-numeric: tabular-nums; font-size: .85rem; opacity: .75;
  display: flex; flex-wrap: wrap; column-gap: .8em; white-space: nowrap}
.clip-note {border-left: .3rem solid var(--color-accent); padding: .5rem .75rem;
  background: var(--block-background-fill); color: var(--body-text-color)}
"""


def note(message: str) -> str:
    """Say why there is no answer, or what limits one."""
    return f'<p class="clip-note" role="alert">{escape(message)}</p>'


def answer_list(answers: pd.DataFrame, total: int, thumbnails, words, kind="") -> str:
    """Lay out answers, best first.

    Args:
        answers: What `Index.search` returned, with a column ``text``, and ``picture``,
            a path, if there are pictures.
        total: The number of candidates.
        thumbnails: The `Thumbnails` that may be shown.
        words: The page's words, see `words_for`.
        kind: "clip-cards" puts the pictures above their texts, side by side.
    """
    items = []
    for _, answer in answers.iterrows():
        text, picture = escape(answer["text"]), ""
        if "picture" in answer:
            address = thumbnails.uri(answer["picture"])
            picture = f'<span class="clip-picture">{escape(words["gone"])}</span>'
            if address:
                picture = f'<img class="clip-picture" src="{address}" alt="{text}">'
        numbers = [percent(answer["probability"], words)]
        for name in ("score", "margin"):
            if pd.notna(answer[name]):
                numbers.append(f"{words[name]} {number(answer[name], 3, words)}")
        share = answer["probability"] / (answers["probability"].iloc[0] or 1)
        items.append(
            f'<li>{picture}<div class="clip-body"><p>{answer["rank"]}. {text}</p>'
            f'<div class="clip-bar" style="--share:{share:.1%}"></div>'
            f'<div class="clip-numbers"><span>{"</span> <span>".join(numbers)}</span>'
            "</div></div></li>"
        )
    heading = escape(words["best"].format(len(items), total))
    items = "".join(items)
    return f'<p role="status">{heading}</p><ol class="clip-list {kind}">{items}</ol>'
