"""The command that lengthens captions with a language model."""

import math
import os
from pathlib import Path

from clip_lib.cli.common import Answer, warn
from clip_lib.data.dataset import load_dataset
from clip_lib.enrich.endpoint import Endpoint
from clip_lib.enrich.folder import REPORT, check_places, write_folder
from clip_lib.enrich.runner import Enrichment


def enrich(arguments, config) -> Answer:
    """Lengthen the captions with a language model, into a new data folder."""
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
