"""Encrypted archive files read by the libraries alone, without the code under test."""

import tempfile
from pathlib import Path

import py7zr
import pyzipper

from adit_core.dicom.node import ArchiveNode
from tests.factories import instances_in


def archive_files(node: ArchiveNode) -> list[Path]:
    return sorted(node.path.glob(f"*.{node.format}"))


def extract(path: Path, password: str, folder: Path) -> None:
    """Unpack an archive file."""
    if path.suffix == ".zip":
        with pyzipper.AESZipFile(path) as archive:
            archive.setpassword(password.encode())
            archive.extractall(folder)
    else:
        with py7zr.SevenZipFile(path, password=password) as archive:
            archive.extractall(folder)


def archived_instances(node: ArchiveNode) -> dict[str, str]:
    """Return the hash of each instance in all archives by its SOP Instance UID."""
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(archive_files(node)):
            extract(path, node.password, Path(folder, str(number)))
        return instances_in(Path(folder))
