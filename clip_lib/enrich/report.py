"""What became of every caption, and what it took."""

from collections import Counter

import pandas as pd

from clip_lib.enrich.cache import Cache

ACCEPTED, KEPT = "accepted", "kept"


def outcomes(records: pd.DataFrame, questions, cache: Cache) -> list[dict]:
    """Say what became of each row of a table.

    Returns:
        A dict a row: image_path, label, caption, enriched (None if the original is
        kept), status, reason (of the last refusal), words_kept (share of the content
        words in the last answer, None without one), answers (their number) and refused
        (the last refused answer, where the original is kept).
    """
    found = {one.caption: one.outcome(cache) for one in questions}
    rows = []
    for row in records.itertuples():
        verdict, answers = found[row.caption]
        accepted = verdict.accepted
        rows.append(
            {
                "image_path": row.image_path,
                "label": row.label,
                "caption": row.caption,
                "enriched": verdict.text if accepted else None,
                "status": ACCEPTED if accepted else KEPT,
                "reason": verdict.reason,
                "words_kept": round(verdict.share, 3) if answers else None,
                "answers": answers,
                "refused": None if accepted or not answers else verdict.text,
            }
        )
    return rows


def totals(rows: list[dict], asking, seconds: float) -> dict:
    """Sum up: captions by what became of them, requests, tokens and cost.

    Args:
        rows: See `outcomes`.
        asking: The `Asking` that asked.
        seconds: How long that took.
    """
    endpoint, cache = asking.endpoint, asking.cache
    kept = [row for row in rows if row["status"] == KEPT]
    shares = [row["words_kept"] for row in rows if row["status"] == ACCEPTED]
    return {
        "captions": len(rows),
        "accepted": len(rows) - len(kept),
        "kept": len(kept),
        "kept_because": dict(
            Counter(row["reason"].split(":")[0] for row in kept).most_common()
        ),
        "accepted_at_second_answer": sum(
            row["status"] == ACCEPTED and row["answers"] > 1 for row in rows
        ),
        "words_kept": round(sum(shares) / len(shares), 4) if shares else None,
        "requests": endpoint.requests,
        "faults": dict(endpoint.faults.most_common()),
        "tokens": {"sent": asking.sent, "received": asking.received},
        "cost": round(asking.cost(asking.sent, asking.received), 6),
        "answers_without_a_count_of_tokens": asking.unmetered,
        "with_earlier_runs": {
            "sent": cache.sent,
            "received": cache.received,
            "cost": round(asking.cost(cache.sent, cache.received), 6),
        },
        "seconds": round(seconds, 1),
    }


def summary(total: dict, spent: str) -> str:
    """Lay totals out for reading."""
    because = [f"{kind} {count}" for kind, count in total["kept_because"].items()]
    faults = [f"{cause} {count}" for cause, count in total["faults"].items()]
    lines = [
        f"{total['captions']} captions: {total['accepted']} enriched, "
        f"{total['kept']} kept as they are"
        + (f" ({', '.join(because)})" * bool(because))
    ]
    if total["words_kept"] is not None:
        lines.append(f"content words kept: {100 * total['words_kept']:.1f} %")
    trouble = f", of which in vain: {', '.join(faults)}" if faults else ""
    lines.append(f"{total['requests']} requests{trouble}")
    lines.append(f"{spent} in {total['seconds']} seconds")
    return "\n".join(lines)
