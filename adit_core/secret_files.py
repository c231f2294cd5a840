"""Secrets that lie in files, one each, instead of in the environment, as Docker and Kubernetes mount them.

A file is named like the variable that it stands for: ``/run/secrets/adit_secret_keys`` is ADIT_SECRET_KEYS.
Another folder than that is named by ADIT_SECRETS_DIR. What the environment says goes before the files.

This module needs nothing but the standard library, so that it can be used before anything else is imported.
"""

import os
from pathlib import Path

_VARIABLE = "ADIT_SECRETS_DIR"
_USUAL = "/run/secrets"


def secrets_folder() -> Path | None:
    """Return the folder with the secrets, None if there is none.

    Raises:
        NotADirectoryError: ADIT_SECRETS_DIR names a folder that cannot be read.
    """
    named = os.environ.get(_VARIABLE, "")
    folder = Path(named or _USUAL)
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        return folder
    if named:
        raise NotADirectoryError(f"{_VARIABLE} is no folder that can be read: {named}")
    return None


def adopt_secrets_of_prefect() -> None:
    """Put Prefect's secrets into the environment, which is all that it reads, as soon as it is imported."""
    folder = secrets_folder()
    if folder is None:
        return
    for file in folder.iterdir():
        if file.name.lower().startswith("prefect_") and os.access(file, os.R_OK):
            os.environ.setdefault(file.name.upper(), file.read_text(encoding="utf-8").strip())
