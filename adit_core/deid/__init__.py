"""De-identification after DICOM PS3.15 Annex E: data set in, data set out, and nothing identifying in it.

Start reading at :mod:`adit_core.deid.engine`, which goes through a data set. What it does to an
attribute is decided in ``rules.py``, from the facts of the standard (``standard.py`` and the tables
beside it) and a project's ``profile.py``; how it does it is in ``values.py`` and, for free text, in
``descriptors.py``. :mod:`adit_core.deid.checker` looks at the result with other eyes.

This package is a library: no database, no settings, no network.
"""
