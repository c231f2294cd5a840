"""In the place of Prefect's engine: a flow run that does what its environment says."""

import os
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

from adit_core.services.children import ChildPool

print(os.getpid(), flush=True)  # noqa: T201
match os.environ["DO"]:
    case "end":
        sys.exit(int(os.environ["STATUS"]))
    case "work":
        server = vars(forkserver._forkserver)["_forkserver_pid"]
        with ChildPool(1) as pool:
            assert pool.call(30, os.getppid).result() == server
        parent = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        assert parent == os.getpid()
    case "sleep":
        time.sleep(60)
