"""TensorFlow's start-up noise never reaches the notebook."""

import subprocess
import sys


def test_importing_and_computing_prints_nothing():
    process = subprocess.run(
        [sys.executable, "-c", "import clip_lib, tensorflow as tf; tf.zeros(3) + 1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (process.stdout, process.stderr) == ("", "")


def test_a_failing_import_still_says_why():
    code = "import sys; sys.modules['keras_nlp'] = None; import clip_lib"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert process.returncode != 0
    assert "keras_nlp" in process.stderr
