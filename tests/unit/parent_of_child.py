"""Runs until it is killed, with a child that tells its process id in the folder given."""

import sys
from pathlib import Path

from adit_core.services.children import ChildPool
from tests.unit.test_children import sleep_after_telling

if __name__ == "__main__":
    with ChildPool(1) as pool:
        pool.call(600, sleep_after_telling, str(Path(sys.argv[1]) / "pid")).result()
