"""C-FIND that finds names which sound alike, where the archive can do that (PS3.4 C.2.2.2.1.1).

Whether it can is a matter of SOP class extended negotiation (PS3.4 C.5.1.1, PS3.7 D.3.3.5).
"""

from adit_core.dicom.association import Association
from adit_core.dicom.find import DimseSearcher
from adit_core.dicom.node import ServerNode
from adit_core.dicom.ports import FuzzySearcher
from adit_core.errors import AssociationRejected, PeerAborted

_FUZZY_ONLY = bytes((0, 0, 1))
"""No relational queries, no combined matching of dates and times, but fuzzy matching of names.

What these bytes do not say is not asked for: that time zones are adjusted, or enhanced images converted.
"""
_FUZZY = slice(2, 3)
"""Where an answer says whether names are matched fuzzily."""


class DimseFuzzySearcher(DimseSearcher, FuzzySearcher):
    """Searches an archive over associations for which fuzzy matching of names was proposed.

    ========================================= ==================
    the third byte of the archive's answer is names are matched
    ========================================= ==================
    1                                         fuzzily
    something else, or not there              literally
    ========================================= ==================

    An archive that does not want an association with such a proposal is asked again without it.

    All that is answered is handed on by `find_data_sets` only; what returns results compares names again.
    """

    def __init__(self, node: ServerNode) -> None:
        super().__init__(node)
        self._has_refused = False

    @property
    def has_matched_literally(self) -> bool:
        """Whether an association was opened for which the archive did not agree."""
        return self._has_refused

    def _open(self) -> Association:
        extended = {self._find_class: _FUZZY_ONLY}
        try:
            association = Association.open(self._node, self.proposals, extended=extended)
        except (AssociationRejected, PeerAborted):
            self._has_refused = True
            return super()._open()
        answer = association.extended.get(self._find_class, b"")
        self._has_refused |= answer[_FUZZY] != b"\1"
        return association
