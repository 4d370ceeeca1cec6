"""Measure the wait between return and the first answer, with LiteRT and with Keras.

    python benchmarks/startup.py --data FOLDER [--rclip FILE]

Fresh processes, each timed from its start to its end: an empty Python, the imports of a
search, the model with one text, the whole command with an index that is up to date. For
comparison rclip, if it is installed, prints its help: its weights come from the hub.
Then the milliseconds of a picture file and of a text in a running process.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
from record import ROOT, options, provenance, write_result

from clip_lib.config import PRETRAINED, find_pretrained
from clip_lib.data.captions_table import picture_files
from clip_lib.retrieval.runtime import open_clip
from clip_lib.retrieval.search import MODEL_FILE, Clip

MODEL = find_pretrained(PRETRAINED) / MODEL_FILE
QUERY = "a dog on the beach"
LOADERS = {
    "litert": "from clip_lib.retrieval.runtime import open_clip as load",
    "keras": "import clip_lib.models\n"
    "from clip_lib.retrieval.search import Clip; load = Clip.load",
}
SEARCH = """
from clip_lib.__main__ import main, sys
from clip_lib.retrieval import photo_folder
photo_folder.open_clip = load
sys.exit(main(sys.argv[1:]))
"""


def seconds(command: list[str], repeats: int) -> float:
    """Return the median time of a command; CalledProcessError if it fails."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def milliseconds(function, items) -> float:
    """Return the median time of a call, after five to warm up."""
    times = []
    for item in [*items[:5], *items]:
        began = time.perf_counter()
        function(item)
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times[5:]))


def measure(folder: str, rclip: str | None, repeats: int) -> dict:
    """Measure both ways to run the pretrained encoders, on a folder of pictures."""
    python, result = [sys.executable, "-c"], {}
    search = ["search", QUERY, "--model", "pretrained", "--gallery", folder]
    first = f"{LOADERS['litert']}; load({str(MODEL)!r})"
    result["first_use_seconds"] = seconds([*python, first], 1)
    subprocess.run([sys.executable, "-m", "clip_lib", *search], cwd=ROOT)  # Its index.
    result["python_seconds"] = seconds([*python, ""], repeats)
    if rclip:
        result["rclip_help_seconds"] = seconds([rclip, "--help"], repeats)
    paths = [os.path.join(folder, path) for path in picture_files(folder)][:200]
    for name, load in (("litert", open_clip), ("keras", Clip.load)):
        imports, clip = f"{LOADERS[name]}; import clip_lib.cli.ask", load(MODEL)
        embed = f"{LOADERS[name]}; load({str(MODEL)!r}).embed_text({QUERY!r})"
        whole = [*python, f"{LOADERS[name]}{SEARCH}", *search]
        result[name] = {
            "imports_seconds": seconds([*python, imports], repeats),
            "model_and_text_seconds": seconds([*python, embed], repeats),
            "first_answer_seconds": seconds(whole, repeats),
            "picture_milliseconds": milliseconds(clip.embed_image, paths),
            "text_milliseconds": milliseconds(clip.embed_text, [QUERY] * 200),
        }
    return result


def main() -> None:
    """Measure, print, and write benchmarks/results/startup.json."""
    parser = options(__doc__, jobs=False)
    parser.add_argument("--rclip", default=shutil.which("rclip"), help="its command")
    given = parser.parse_args()
    about, repeats = provenance(), 1 if given.quick else 10
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        result = measure(os.path.abspath(given.data), given.rclip, repeats)
    print(result)
    if not given.quick:
        write_result("startup", about | result)


if __name__ == "__main__":
    main()
