"""Entry point of a flow run: Prefect's engine, while a second process imports what its children need.

Prefect's own command imports Prefect twice, in a process that finds the flow and in the next one, which runs
it, and what the children need would be imported only then: jobs would begin three to four seconds later
(docs/performance.md). What is imported is no garbage: it is looked through neither meanwhile nor later.
"""

import gc
import os
import runpy
from contextlib import suppress
from importlib import import_module

from adit_core.errors import AditError
from adit_core.services.children import start_fork_server
from deployments.stack import HOME

if __name__ == "__main__":
    os.chdir(HOME)  # the directory that Prefect has made for this run is gone before the children are
    gc.disable()
    start_fork_server()
    with suppress(AditError):  # bad settings, which Prefect's engine meets again, and tells of
        import_module("flows.perform")
    gc.freeze()
    gc.enable()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
