"""The commit of the working copy that a figure is of."""

import pathlib
import subprocess

_FOLDER = pathlib.Path(__file__).resolve().parent


def source_commit():
    """Full hash, or "unknown"."""
    try:
        result = subprocess.run(["git", "-C", str(_FOLDER), "rev-parse", "HEAD"],
                                capture_output=True, text=True, check=False)
    except OSError:  # no git
        return "unknown"
    return result.stdout.strip() or "unknown"
