"""The DICOMweb services as a user: QIDO-RS, WADO-RS and STOW-RS in modules of their own (PS3.18 10).

All of them run on :class:`~adit_core.dicom.web_session.WebSession`.
"""

from adit_core.dicom.qido import WebSearcher
from adit_core.dicom.stow import WebDestination
from adit_core.dicom.wado import WebSource

__all__ = ["WebDestination", "WebSearcher", "WebSource"]
