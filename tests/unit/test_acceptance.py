"""What a provider reads of a request for an association and answers to it, with pynetdicom as the oracle."""

import pytest
from pynetdicom import StoragePresentationContexts
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from adit_core.dicom.acceptance import accept_pdu, decode_request
from adit_core.dicom.contexts import PresentationContext
from adit_core.errors import ProtocolError
from tests.fakes.ports import EXPLICIT, IMPLICIT, J2K

SYNTAXES = (EXPLICIT, IMPLICIT, J2K)
CLASSES = [str(context.abstract_syntax) for context in StoragePresentationContexts]
NUMBERS = range(1, len(CLASSES) * 2, 2)
APPLICATION = "1.2.840.10008.3.1.1.1"


@pytest.fixture(scope="module")
def request_pdu() -> bytes:
    """A request of pynetdicom with more than a hundred contexts."""
    primitive = A_ASSOCIATE()
    primitive.called_ae_title, primitive.calling_ae_title = "CALLED ONE", "CALLING"
    primitive.application_context_name = APPLICATION
    contexts = [build_context(sop_class, list(SYNTAXES)) for sop_class in CLASSES]
    for number, context in enumerate(contexts):
        context.context_id = number * 2 + 1
    primitive.presentation_context_definition_list = contexts
    primitive.maximum_length_received = 12345
    primitive.implementation_class_uid = "1.2.3"
    return A_ASSOCIATE_RQ(primitive).encode()


def test_a_request_is_read_as_it_was_meant(request_pdu: bytes) -> None:
    request = decode_request("PEER", request_pdu)

    assert (request.called_ae_title, request.calling_ae_title) == ("CALLED ONE", "CALLING")
    assert (request.application_context_name, request.max_pdu_length) == (APPLICATION, 12345)
    assert request.is_version_1
    assert [context.sop_class_uid for context in request.contexts] == CLASSES
    assert [context.context_id for context in request.contexts] == list(NUMBERS)
    assert {context.transfer_syntax_uids for context in request.contexts} == {SYNTAXES}


def test_an_answer_is_understood(request_pdu: bytes) -> None:
    request = decode_request("PEER", request_pdu)
    accepted = [PresentationContext(1, CLASSES[0], J2K), PresentationContext(5, CLASSES[2], EXPLICIT)]

    answer = A_ASSOCIATE_AC()
    answer.decode(accept_pdu(request, accepted, max_pdu_length=1 << 20))

    results = {item.context_id: (item.result, item.transfer_syntax) for item in answer.presentation_context}
    assert results.keys() == set(NUMBERS)
    assert (results[1], results[5]) == ((0, J2K), (0, EXPLICIT))
    assert {result for number, (result, _) in results.items() if number not in {1, 5}} == {3}
    assert answer.application_context_name == APPLICATION
    assert answer.user_information is not None
    assert answer.user_information.maximum_length == 1 << 20
    assert answer.reserved_aet.strip() == "CALLED ONE"
    assert answer.reserved_aec.strip() == "CALLING"


@pytest.mark.parametrize("length", [0, 5, 73, 76, 100, 2000])
def test_a_request_that_is_cut_off_is_refused(request_pdu: bytes, length: int) -> None:
    with pytest.raises(ProtocolError, match="malformed"):
        decode_request("PEER", request_pdu[:length])


@pytest.mark.parametrize("number", [1, 2])
def test_contexts_with_an_even_number_or_one_that_is_taken_are_refused(
    request_pdu: bytes, number: int
) -> None:
    # The second context's item, after the fixed part, the application context and the first context.
    second = request_pdu.index(CLASSES[1].encode()) - 8
    changed = bytearray(request_pdu)
    assert changed[second] == 3
    changed[second] = number

    with pytest.raises(ProtocolError, match="invalid identifiers"):
        decode_request("PEER", bytes(changed))
