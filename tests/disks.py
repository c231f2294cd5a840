"""File systems that are soon full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """Mount a file system of `size` (such as ``4m``) at `path`, which is made if need be.

    Ends the test if we may not, which takes root.
    """
    path.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield path
    finally:
        # Not at once: children of servers that were ended may still have files open.
        subprocess.run(["umount", "--lazy", path], check=True)
