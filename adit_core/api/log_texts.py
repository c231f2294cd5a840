"""Logs without the texts of errors that nobody foresaw: they quote values, and these may be patient data."""

import logging
from collections.abc import Iterable

from adit_core.errors import kind_and_place


class WithoutTexts(logging.Filter):
    """Replaces the traceback of a record by type and place of its error."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, changed if it has a traceback."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.msg, record.args = f"Unexpected {kind_and_place(error)}", ()
            record.exc_info = record.exc_text = None
        return True


_filter = WithoutTexts()


def leave_texts_out(loggers: Iterable[str]) -> None:
    """Have these loggers write no text of an error; they may be told so several times."""
    for name in loggers:
        logging.getLogger(name).addFilter(_filter)
