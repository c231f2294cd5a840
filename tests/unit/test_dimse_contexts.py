"""Presentation contexts: one for each pair, and no more than fit."""

from adit_core.dicom.contexts import (
    MOST_CONTEXTS,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    AcceptedContexts,
    PresentationContext,
    ProposedContext,
    storage_groups,
    storage_proposals,
)
from adit_core.dicom.references import is_valid_uid
from tests.fakes.ports import CT, EXPLICIT, IMPLICIT, J2K, MR


def test_each_transfer_syntax_of_a_class_gets_a_context_of_its_own():
    proposals = storage_proposals([CT])
    assert ProposedContext(CT, EXPLICIT) in proposals
    assert ProposedContext(CT, J2K) in proposals
    assert len(proposals) == len(set(proposals)) == len(STORAGE_TRANSFER_SYNTAXES)


def test_lists_hold_each_uid_once():
    for uids in (STORAGE_TRANSFER_SYNTAXES, STORAGE_SOP_CLASSES):
        assert len(set(uids)) == len(uids)
        assert all(map(is_valid_uid, uids))


def test_classes_are_divided_into_groups_that_fit_in_an_association():
    groups = storage_groups(STORAGE_SOP_CLASSES, reserved=2)
    assert [uid for group in groups for uid in group] == list(STORAGE_SOP_CLASSES)
    assert all(2 + len(storage_proposals(group)) <= MOST_CONTEXTS for group in groups)
    assert 2 + len(storage_proposals(groups[0])) > MOST_CONTEXTS - len(STORAGE_TRANSFER_SYNTAXES)


def test_no_classes_make_no_group():
    assert storage_groups([], reserved=2) == []


def test_context_is_chosen_by_class_and_transfer_syntax():
    proposals = [ProposedContext(CT, IMPLICIT), ProposedContext(CT, EXPLICIT), ProposedContext(MR, EXPLICIT)]
    implicit, explicit = PresentationContext(1, CT, IMPLICIT), PresentationContext(3, CT, EXPLICIT)
    contexts = AcceptedContexts(proposals, [explicit, implicit])
    assert contexts.accepting(ProposedContext(CT, EXPLICIT)) == explicit
    assert contexts.accepting(ProposedContext(MR, EXPLICIT)) is None
    assert contexts.was_proposed(ProposedContext(MR, EXPLICIT))
    assert not contexts.was_proposed(ProposedContext(MR, IMPLICIT))
    assert contexts.first_of(CT) == implicit
    assert contexts.first_of(MR) is None
    assert contexts.with_id(3) == explicit
    assert contexts.with_id(5) is None
    assert contexts.cover([MR, CT])
    assert not contexts.cover([MR])
