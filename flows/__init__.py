"""The Prefect flows: ids in, counts out. What they do is in `adit_core.services`."""
