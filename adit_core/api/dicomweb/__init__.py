"""The DICOMweb proxy: makes a DICOMweb server of every archive that ADIT knows, whatever it speaks.

Its paths are those of ADIT's clients: ``/api/dicom-web/{ae_title}/qidors|wadors|stowrs/…``. Start at
`retrieve.py`.
"""

from fastapi import APIRouter

from adit_core.api.dicomweb import retrieve, search, store

router = APIRouter()
for _part in (search.router, retrieve.router, store.router):
    router.include_router(_part)
