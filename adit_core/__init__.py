"""ADIT, Automated DICOM Transfer: moves imaging studies between archives and accounts for every image.

Start reading at :mod:`adit_core.dicom.transfer`, the path that every study takes. Around it:

- ``dicom/`` speaks DICOM and knows no database, no Prefect and no web;
- ``db/`` holds the tables, ``services/`` the use cases on them;
- ``api/`` and ``cli.py`` are faces of the services, as are ``ui/`` and ``flows/`` beside this package.
"""
