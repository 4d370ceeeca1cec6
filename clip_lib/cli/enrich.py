"""The command that lengthens captions. Imports stand inside: they take long."""

import dataclasses
import sys
import time
from pathlib import Path

from clip_lib.cli.common import add
from clip_lib.cli.enrich_options import add_options
from clip_lib.errors import ClipError

SHOWN = 3
"""Captions that --dry-run shows."""


def enrich(arguments, config) -> None:
    """Lengthen the captions with a language model, into a new data folder.

    Each answer is checked; where two are refused, the original stays. Answers are kept
    in a file as they come: the same command goes on where it was interrupted.
    """
    from clip_lib.cli.output import print_json
    from clip_lib.data.dataset import load_dataset
    from clip_lib.data.source import find_folder
    from clip_lib.enrich.endpoint import checked_url
    from clip_lib.enrich.folder import check_places
    from clip_lib.enrich.prompt import instructions
    from clip_lib.enrich.runner import questions_of

    url = checked_url(arguments.url)
    # Found first and then fixed: to look twice could find two folders.
    folder, drawn = find_folder(config)
    # Resolved: "." has no name to which something could be added.
    beside = folder if folder.name.strip(".") else folder.resolve()
    output = Path(arguments.output or beside.with_name(f"{beside.name}_enriched"))
    check_places(folder, output)
    config = dataclasses.replace(config, dataset_dir=str(folder))
    dataset = dataclasses.replace(load_dataset(config, split=False), drawn=drawn)
    length = config.sequence_length
    prompt = instructions(dataset.class_names, length)
    questions = questions_of(dataset.records, dataset.class_names, length)
    if arguments.limit:
        # Spread over the table: its first captions are all of one label.
        count = min(arguments.limit, len(questions))
        questions = [questions[n * len(questions) // count] for n in range(count)]
    if arguments.dry_run:
        shown = _plan(questions, prompt, arguments)
        print_json(shown) if arguments.json else print(shown["text"])
        return
    asking, seconds = _ask(questions, prompt, url, output, arguments)
    if arguments.limit:
        _show_trial(dataset, questions, asking, seconds, arguments.json)
    else:
        _write(dataset, questions, asking, seconds, output, arguments)


def _plan(questions, prompt: str, arguments) -> dict:
    """Say what would be asked, and about how much that takes."""
    from clip_lib.enrich.prompt import expected_tokens, question

    captions = [one.caption for one in questions if one.has_room]
    count, sent, received = expected_tokens(prompt, captions, arguments.batch)
    cost = (sent * arguments.price_in + received * arguments.price_out) / 1e6
    lines = [prompt, question(captions[:SHOWN]), ""]
    lines += [f"{len(captions)} captions to {arguments.model} at {arguments.url}"]
    lines += [f"about {count} requests, {sent} + {received} tokens, cost {cost:.4f}"]
    lines += ["These are guesses; a refused answer is asked for once more."]
    return {
        "prompt": prompt,
        "captions": captions[:SHOWN],
        "requests": count,
        "tokens": {"sent": sent, "received": received},
        "cost": round(cost, 6),
        "text": "\n".join(lines),
    }


def _ask(questions, prompt: str, url: str, output: Path, arguments):
    """Ask every question; return the `Asking`, and how long it took."""
    from clip_lib.enrich.cache import Cache
    from clip_lib.enrich.endpoint import Endpoint
    from clip_lib.enrich.key import read_key
    from clip_lib.enrich.pace import Pace
    from clip_lib.enrich.runner import Asking

    # Beside the folder and not in it: it is there before, and outlives it.
    path = Path(arguments.cache or output.with_name(f"{output.name}.jsonl"))
    cache = Cache(path, arguments.model, prompt)
    if cache.damaged:
        print(f"{path}: {cache.damaged} damaged lines left out", file=sys.stderr)
    key, pace = read_key(arguments.api_key_file), Pace(arguments.per_minute)
    try:
        endpoint = Endpoint(url, arguments.model, pace, key, arguments.timeout)
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise ClipError(
            "enrich needs openai: pip install -r requirements-enrich.txt"
        ) from error
    price = arguments.price_in, arguments.price_out
    asking = Asking(endpoint, cache, prompt, arguments.workers, arguments.batch, price)
    started = time.monotonic()
    try:
        asking.ask_all(questions)
    except BaseException:
        known = sum(not one.is_open(cache) for one in questions)
        print(
            f"{known} of {len(questions)} captions are done, {asking.spent()}; their "
            f"answers are in {path}: the same command goes on from there.",
            file=sys.stderr,
        )
        raise
    finally:
        cache.close()
    return asking, time.monotonic() - started


def _show_trial(dataset, questions, asking, seconds: float, as_json: bool) -> None:
    """Show what was asked and answered; no folder is written."""
    from clip_lib.cli.output import print_json
    from clip_lib.enrich.report import outcomes, summary, totals

    asked = {one.caption for one in questions}
    records = dataset.records[dataset.records["caption"].isin(asked)]
    rows = outcomes(records.drop_duplicates("caption"), questions, asking.cache)
    total = totals(rows, asking, seconds)
    if as_json:
        print_json({"totals": total, "captions": rows})
        return
    for row in rows:
        print(f"{row['caption']}\n  -> {row['enriched'] or _kept(row)}")
    print(summary(total, asking.spent()))
    print(f"A trial: no folder is written; the answers are in {asking.cache.path}.")


def _kept(row: dict) -> str:
    refused = f" ({row['refused']})" if row["refused"] else ""
    return f"kept, {row['reason']}{refused}"


def _write(dataset, questions, asking, seconds: float, output, arguments) -> None:
    """Write the new folder and say what is in it."""
    from clip_lib.cli.output import print_json
    from clip_lib.enrich.folder import REPORT, write_folder
    from clip_lib.enrich.report import KEPT, outcomes, summary, totals

    rows = outcomes(dataset.records, questions, asking.cache)
    total = totals(rows, asking, seconds)
    report = {
        "model": arguments.model,
        "url": arguments.url,
        "source": dataset.source,
        "replace": arguments.replace,
        "prompt": asking.instructions,
        "totals": total,
        "captions": rows,
    }
    texts = write_folder(dataset, rows, output, report, arguments.replace)
    if not texts:
        print(
            f"{output}: no captions/, since pictures of one name would share a text.",
            file=sys.stderr,
        )
    if unanswered := total["kept_because"].get("not answered"):
        print(
            f"{unanswered} captions got no answer; to ask them again, remove {output} "
            "and run the same command.",
            file=sys.stderr,
        )
    if arguments.json:
        kept = [row for row in rows if row["status"] == KEPT]
        print_json({"folder": str(output), "totals": total, "kept": kept})
        return
    print(summary(total, asking.spent()))
    print(f"{output}: the new data folder; {REPORT} lists every caption")


def add_commands(choices) -> None:
    """Add this command to a parser's subparsers."""
    command = add(
        choices,
        "enrich",
        enrich,
        "--url http://localhost:11434/v1 --model llama3.2 --limit 10   Ollama, a trial",
        "--url http://localhost:11434/v1 --model llama3.2 --data ~/photos",
        "--url https://api.openai.com/v1 --model gpt-4o-mini --per-minute 60 "
        "--price-in 0.15 --price-out 0.60",
        model=False,
    )
    add_options(command)
