"""The command that lengthens captions with a language model."""

import argparse
import math
import os
from pathlib import Path

from clip_lib.cli.common import Answer, add, warn


def enrich(arguments, config) -> Answer:
    """Lengthen the captions with a language model, into a new data folder.

    Each answer is checked; where two are rejected, the original is kept. Answers are
    cached beside the data as they come: run the same command again to continue.

    python -m clip_lib enrich --url http://localhost:11434/v1 --model llama3.2
    OPENAI_API_KEY=... python -m clip_lib enrich --url https://api.openai.com/v1
        --model gpt-4o-mini --price-in 0.15 --price-out 0.60 --limit 10
    """
    from clip_lib.data.dataset import load_dataset
    from clip_lib.enrich.endpoint import Endpoint
    from clip_lib.enrich.folder import REPORT, check_places, write_folder
    from clip_lib.enrich.runner import Enrichment

    dataset = load_dataset(config, split=False)
    # "." has no name to which something could be added.
    beside = f"{os.path.abspath(dataset.folder)}_enriched"
    output = Path(arguments.output or beside)
    check_places(dataset.folder, output)
    cache_file, length = f"{beside}.jsonl", config.sequence_length
    enrichment = Enrichment(dataset, length, cache_file, arguments.model)
    if arguments.limit:
        enrichment.limit(arguments.limit)
    if arguments.dry_run:
        return _plan(enrichment, arguments)
    endpoint = Endpoint(arguments.url, arguments.model)
    try:
        enrichment.run(endpoint, arguments.workers, arguments.batch)
    except BaseException:
        left = len(enrichment.pending())
        warn(f"{left} captions are left; the same command continues from {cache_file}")
        raise
    records = dataset.records
    if arguments.limit:
        records = records[records["caption"].isin(enrichment.foreign)]
    rows = enrichment.rows(records)
    totals = enrichment.totals(rows)
    sent, received = totals["tokens"].values()
    totals["cost"] = (sent * arguments.price_in + received * arguments.price_out) / 1e6
    because = [f"{kind} {count}" for kind, count in totals["kept_because"].items()]
    text = (
        f"{totals['captions']} captions: {totals['enriched']} enriched, "
        f"{totals['kept']} kept as they are ({', '.join(because) or 'none'})\n"
        f"{sent} + {received} tokens, cost {totals['cost']:.4f}, with earlier runs\n"
    )
    about = {"totals": totals, "captions": rows}
    if arguments.limit:
        for row in rows:
            kept = f"kept, {row['reason']} ({row['refused']})"
            print(f"{row['caption']}\n  -> {row['enriched'] or kept}")
        text += f"A trial: no folder is written; the answers are in {cache_file}."
        return Answer(text, about)
    report = {"model": arguments.model, "source": dataset.source}
    report |= {"replace": arguments.replace, "prompt": enrichment.prompt} | about
    write_folder(dataset, rows, output, report, arguments.replace)
    text += f"{output}: the new data folder; {REPORT} lists every caption"
    return Answer(text, {"folder": str(output)} | about)


def _plan(enrichment, arguments) -> Answer:
    """Show what would be requested."""
    pending, prompt = enrichment.pending(), enrichment.prompt
    requests = math.ceil(len(pending) / arguments.batch)
    text = (
        f"{prompt}\n{enrichment.question(pending[:3])}\n\n{len(pending)} captions to "
        f"{arguments.model} at {arguments.url}, in about {requests} requests"
    )
    about = {"prompt": prompt, "captions": pending, "requests": requests}
    return Answer(text, about)


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or "@" in text:
        expected = "an address such as http://localhost:11434/v1, without a password"
        raise argparse.ArgumentTypeError(f"expected {expected}")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 on")
    return int(text)


def add_commands(choices) -> None:
    """Add this command to a parser's subparsers."""
    command = add(choices, "enrich", enrich, "--data")
    about = "an OpenAI-compatible endpoint, usually ending in /v1"
    command.add_argument("--url", type=_url, required=True, help=about)
    about = "name of a language model, as the endpoint knows it"
    command.add_argument("--model", required=True, help=about)
    command.add_argument("--output", help="the new data folder (<data>_enriched)")
    command.add_argument("--limit", type=_count, help="a trial: so many captions")
    for name, about in (
        ("--replace", "the enriched caption replaces the original, not beside it"),
        ("--dry-run", "show what would be requested; request nothing"),
    ):
        command.add_argument(name, action="store_true", help=about)
    for name, kind, default, about in (
        ("--batch", _count, 5, "captions a request"),
        ("--workers", _count, 4, "requests at a time"),
        ("--price-in", float, 0, "of a million tokens sent, in any currency"),
        ("--price-out", float, 0, "of a million tokens received"),
    ):
        about = f"{about} ({default})"
        command.add_argument(name, type=kind, default=default, help=about)
