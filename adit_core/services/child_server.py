"""What the process that children are forked from imports, so that each of them has it ready.

What was imported is no garbage; a collection that looked through it would copy its memory into each child.
"""

import gc

from sqlalchemy.orm import configure_mappers

import adit_core.services.execute  # noqa: F401 - children call what is in it

configure_mappers()
gc.freeze()
