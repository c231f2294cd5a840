"""What the permissions of ADIT's first edition are here."""

from collections.abc import Mapping

from adit_core.db import Permission

_AS_ANYTHING = (Permission.CONVERT_TO_NIFTI, Permission.MAKE_ARCHIVES)
"""There, whoever may transfer may choose how a folder keeps it."""
_COUNTERPARTS: Mapping[str, tuple[Permission, ...]] = {
    "selective_transfer.add_selectivetransferjob": (Permission.TRANSFER_SELECTED, *_AS_ANYTHING),
    "batch_transfer.add_batchtransferjob": (Permission.TRANSFER_BATCHES, *_AS_ANYTHING),
    "mass_transfer.add_masstransferjob": (Permission.TRANSFER_MASSES, *_AS_ANYTHING),
    "upload.can_upload_data": (Permission.UPLOAD,),
    "batch_query.add_batchqueryjob": (Permission.QUERY,),
    "dicom_web.can_query": (Permission.DICOMWEB_QUERY,),
    "dicom_web.can_retrieve": (Permission.DICOMWEB_RETRIEVE, Permission.CONVERT_TO_NIFTI),
    "dicom_web.can_store": (Permission.DICOMWEB_STORE,),
    "token_authentication.add_token": (Permission.USE_API,),
}
_OF_ANY_APP: Mapping[str, tuple[Permission, ...]] = {
    "can_process_urgently": (Permission.PROCESS_URGENTLY,),
    "can_transfer_unpseudonymized": (Permission.TRANSFER_UNPSEUDONYMIZED,),
}
_JOB_APPS = ("selective_transfer", "batch_transfer", "mass_transfer", "batch_query")
_NEEDED_BY_NOBODY = ("view_", "change_", "delete_")
"""Own jobs and tokens are seen and changed by their owners, and all others by staff."""
_OWN_APPS = (*_JOB_APPS, "token_authentication")
_FREE = frozenset({"dicom_explorer.query_dicom_server"})
"""Whoever may use a node as a source may search in it."""


def counterparts(permission: str) -> tuple[Permission, ...]:
    """Return what a permission is here, such as ``upload.can_upload_data``; empty for nothing."""
    app, _, codename = permission.partition(".")
    if app in _JOB_APPS and codename in _OF_ANY_APP:
        return _OF_ANY_APP[codename]
    return _COUNTERPARTS.get(permission, ())


def is_needed_by_nobody(permission: str) -> bool:
    """Tell whether nobody needs a permission here for what it permits there."""
    app, _, codename = permission.partition(".")
    return permission in _FREE or (app in _OWN_APPS and codename.startswith(_NEEDED_BY_NOBODY))
