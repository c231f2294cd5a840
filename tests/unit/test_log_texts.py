"""What nobody foresaw is logged by type and place, without a word of what it quotes."""

import logging

import pytest
from pydantic import TypeAdapter, ValidationError

from adit_core.api.log_texts import leave_texts_out
from adit_core.errors import kind_and_place


def test_the_text_of_an_error_is_left_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    leave_texts_out(["a server"])
    caplog.set_level(logging.INFO)
    logger = logging.getLogger("a server")
    with pytest.raises(ValidationError, match="Doe") as caught:
        TypeAdapter(int).validate_python("Doe^Jane")
    logger.error("Uncaught %s", "execution", exc_info=caught.value)
    logger.info("%d are well", 2)

    assert "Doe" not in caplog.text
    unforeseen, usual = caplog.messages
    assert unforeseen.startswith("Unexpected ValidationError at ")
    assert usual == "2 are well"


def test_an_error_that_was_not_raised_has_no_place() -> None:
    assert kind_and_place(ValueError("Doe^Jane")) == "ValueError at an unknown place"
