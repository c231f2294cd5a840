"""What the permissions of ADIT's first edition are here."""

from adit_core.db import Permission

_COUNTERPARTS = {
    "selective_transfer.add_selectivetransferjob": Permission.TRANSFER,
    "batch_transfer.add_batchtransferjob": Permission.TRANSFER,
    "mass_transfer.add_masstransferjob": Permission.TRANSFER,
    "upload.can_upload_data": Permission.TRANSFER,
    "batch_query.add_batchqueryjob": Permission.QUERY,
    "dicom_web.can_query": Permission.DICOMWEB_QUERY,
    "dicom_web.can_retrieve": Permission.DICOMWEB_RETRIEVE,
    "dicom_web.can_store": Permission.DICOMWEB_STORE,
}
_OF_ANY_APP = {
    "can_process_urgently": Permission.PROCESS_URGENTLY,
    "can_transfer_unpseudonymized": Permission.TRANSFER_UNPSEUDONYMIZED,
}
_NEEDED_BY_NOBODY = ("view_", "change_", "delete_")
"""Own jobs are seen and changed by their owners, and all others by staff."""
_JOB_APPS = ("selective_transfer", "batch_transfer", "mass_transfer", "batch_query")
_FREE = frozenset({"dicom_explorer.query_dicom_server"})
"""Whoever may use a node as a source may search in it."""


def counterpart(permission: str) -> Permission | None:
    """Return what a permission is here, such as ``upload.can_upload_data``; None for nothing."""
    app, _, codename = permission.partition(".")
    if app in _JOB_APPS and codename in _OF_ANY_APP:
        return _OF_ANY_APP[codename]
    return _COUNTERPARTS.get(permission)


def is_needed_by_nobody(permission: str) -> bool:
    """Tell whether nobody needs a permission here for what it permits there."""
    app, _, codename = permission.partition(".")
    return permission in _FREE or (app in _JOB_APPS and codename.startswith(_NEEDED_BY_NOBODY))
