"""What can be wrong in what is said of nodes."""

import re
from pathlib import Path

from adit_core.errors import InputProblem

# The default character repertoire without backslash and control characters (PS3.5 6.2, VR AE).
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,255}")
_MOST_ASSOCIATIONS = 100


def name_problems(name: str) -> list[InputProblem]:
    """Return what is wrong with the name of a node."""
    if name.strip() and _NAME.fullmatch(name):
        return []
    return [InputProblem("A node needs a name of 1 to 64 characters, in one line.", field="name")]


def ae_title_problems(field: str, title: str) -> list[InputProblem]:
    """Return what is wrong with the AE title that `field` gives."""
    if _AE_TITLE.fullmatch(title):
        return []
    rule = "1 to 16 characters of ASCII that are not all spaces, without backslash"
    return [InputProblem(f"This cannot be an AE title; use {rule}.", field=field)]


def address_problems(host: str, port: int) -> list[InputProblem]:
    """Return what is wrong with the address of a server."""
    problems = []
    if not _HOST.fullmatch(host):
        problems.append(InputProblem("Give a host name or an IP address.", field="host"))
    if not 1 <= port <= 65535:
        problems.append(InputProblem("A port is a number from 1 to 65535.", field="port"))
    return problems


def path_problems(path: str) -> list[InputProblem]:
    """Return what is wrong with the path of a folder."""
    if Path(path).is_absolute() and "\x00" not in path:
        return []
    return [InputProblem("Give an absolute path, one that begins with a slash.", field="path")]


def max_associations_problems(number: int) -> list[InputProblem]:
    """Return what is wrong with the number of places at a node."""
    if 1 <= number <= _MOST_ASSOCIATIONS:
        return []
    message = f"Connections at the same time: from 1 to {_MOST_ASSOCIATIONS}."
    return [InputProblem(message, field="max_associations")]
