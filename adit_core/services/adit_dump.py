"""Dumps of ADIT's first edition: what Django's ``dumpdata`` writes, read into values.

A dump is a list of entries, each with ``model``, ``pk`` and ``fields``. References are keys, or natural keys
(``--natural-foreign``). What an entry lacks, or has wrongly, is told by model, key and field, without its
value: there are passwords among them. Entries of other models, such as jobs, are not read.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from adit_core.errors import InputProblem, InvalidInput

_LARGEST_FILE = 256 << 20
_LONGEST_LIST = 100_000
_INSTITUTE, _INSTITUTE_ACCESS = "accounts.institute", "core.dicomnodeinstituteaccess"
Key = int | str
Reference = int | str | list[Any]
"""A key, or a natural key: the name of a group, the three words of a permission."""


class _Fields(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=False)


class DumpedGroup(_Fields):
    """A group (auth.group)."""

    name: str
    permissions: list[Reference] = []


class DumpedUser(_Fields):
    """A user (accounts.user)."""

    username: str
    password: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    is_staff: bool = False
    is_superuser: bool = False
    is_active: bool = True
    groups: list[Reference] = []
    user_permissions: list[Reference] = []


class DumpedNode(_Fields):
    """What servers and folders have in common (core.dicomnode)."""

    name: str


class DumpedServer(_Fields):
    """What only a server has (core.dicomserver)."""

    ae_title: str
    host: str
    port: int
    patient_root_find_support: bool = False
    patient_root_get_support: bool = False
    patient_root_move_support: bool = False
    study_root_find_support: bool = False
    study_root_get_support: bool = False
    study_root_move_support: bool = False
    store_scp_support: bool = False
    dicomweb_root_url: str = ""
    dicomweb_qido_support: bool = False
    dicomweb_wado_support: bool = False
    dicomweb_stow_support: bool = False
    dicomweb_qido_prefix: str = ""
    dicomweb_wado_prefix: str = ""
    dicomweb_stow_prefix: str = ""
    dicomweb_authorization_header: str = ""
    max_search_results: int | None = None

    @property
    def speaks_dimse(self) -> bool:
        """Whether it supports any service of DIMSE."""
        roots = ("patient_root", "study_root")
        services = ("find", "get", "move")
        asked = any(getattr(self, f"{root}_{name}_support") for root in roots for name in services)
        return asked or self.store_scp_support

    @property
    def speaks_web(self) -> bool:
        """Whether it supports any service of DICOMweb."""
        asked = self.dicomweb_qido_support or self.dicomweb_wado_support or self.dicomweb_stow_support
        return bool(self.dicomweb_root_url) and asked


class DumpedFolder(_Fields):
    """What only a folder has (core.dicomfolder)."""

    path: str
    quota: int | None = None
    """In GB."""
    warn_size: int | None = None
    suspended: bool = False


class DumpedAccess(_Fields):
    """What a group may use a node as (core.dicomnodegroupaccess)."""

    dicom_node: Key
    group: Reference
    source: bool = False
    destination: bool = False


class DumpedInstitute(_Fields):
    """What in older versions joined users to nodes, as groups do now (accounts.institute)."""

    name: str
    users: list[Reference] = []


class DumpedInstituteAccess(_Fields):
    """What the users of an institute may use a node as (core.dicomnodeinstituteaccess)."""

    dicom_node: Key
    institute: Key
    source: bool = False
    destination: bool = False


class DumpedPermission(_Fields):
    """A permission (auth.permission)."""

    codename: str
    content_type: Reference


class DumpedContentType(_Fields):
    """What a permission is about (contenttypes.contenttype)."""

    app_label: str
    model: str


@dataclass(frozen=True, slots=True)
class DumpProblem:
    """What is wrong with an entry, or cannot be taken over."""

    model: str
    pk: str
    field: str
    message: str


@dataclass(slots=True)
class Dump:
    """What of a dump can be taken over, by keys, and what is wrong with the rest."""

    groups: dict[Key, DumpedGroup] = field(default_factory=dict)
    users: dict[Key, DumpedUser] = field(default_factory=dict)
    nodes: dict[Key, DumpedNode] = field(default_factory=dict)
    servers: dict[Key, DumpedServer] = field(default_factory=dict)
    folders: dict[Key, DumpedFolder] = field(default_factory=dict)
    accesses: dict[Key, DumpedAccess] = field(default_factory=dict)
    institutes: dict[Key, DumpedInstitute] = field(default_factory=dict)
    institute_accesses: dict[Key, DumpedInstituteAccess] = field(default_factory=dict)
    permissions: dict[Key, DumpedPermission] = field(default_factory=dict)
    content_types: dict[Key, DumpedContentType] = field(default_factory=dict)
    problems: list[DumpProblem] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    """How many entries there are of models that are not taken over."""

    def group_name(self, reference: Reference) -> str | None:
        """Return the name of a group; None if the dump does not have it."""
        if isinstance(reference, list):
            return str(reference[0]) if len(reference) == 1 else None
        group = self.groups.get(reference)
        return group.name if group else None

    def permission_name(self, reference: Reference) -> str | None:
        """Return a permission as ``app.codename``; None if the dump does not tell."""
        if isinstance(reference, list):
            return f"{reference[1]}.{reference[0]}" if len(reference) == 3 else None
        permission = self.permissions.get(reference)
        if permission is None:
            return None
        about = permission.content_type
        if isinstance(about, list):
            return f"{about[0]}.{permission.codename}" if about else None
        content_type = self.content_types.get(about)
        return f"{content_type.app_label}.{permission.codename}" if content_type else None


F = TypeVar("F", bound=_Fields)


def read_dump(path: Path) -> Dump:
    """Read a dump from a file.

    Raises:
        InvalidInput: It cannot be read, or is no dump at all.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise _refusal(f"{path.name} is larger than {_LARGEST_FILE >> 20} MiB; leave jobs and tasks out.")
        content = path.read_bytes()
    except OSError as error:
        raise _refusal(f"{path.name} cannot be read: {error.strerror}.") from error
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        # Without its cause, whose text shows a part of the file.
        raise _refusal(f"{path.name} is no JSON; write it by `manage.py dumpdata`.") from None
    if not isinstance(entries, list) or not entries:
        raise _refusal(f"{path.name} is no dump: that is a list of entries with model, pk and fields.")
    return dump_of(entries)


def dump_of(entries: Sequence[Any]) -> Dump:
    """Return what is in the entries of a dump."""
    dump = Dump()
    readers = {
        "auth.group": _reader(DumpedGroup, dump.groups),
        "accounts.user": _reader(DumpedUser, dump.users),
        "core.dicomnode": _reader(DumpedNode, dump.nodes),
        "core.dicomserver": _reader(DumpedServer, dump.servers),
        "core.dicomfolder": _reader(DumpedFolder, dump.folders),
        "core.dicomnodegroupaccess": _reader(DumpedAccess, dump.accesses),
        _INSTITUTE: _reader(DumpedInstitute, dump.institutes),
        _INSTITUTE_ACCESS: _reader(DumpedInstituteAccess, dump.institute_accesses),
        "auth.permission": _reader(DumpedPermission, dump.permissions),
        "contenttypes.contenttype": _reader(DumpedContentType, dump.content_types),
    }
    for number, entry in enumerate(entries, 1):
        if not _is_entry(entry):
            message = "This is no entry: it needs a model, a pk and fields."
            dump.problems.append(DumpProblem("?", f"entry {number}", "", message))
            continue
        model = entry["model"].lower()
        if model not in readers:
            dump.ignored[model] = dump.ignored.get(model, 0) + 1
            continue
        # Dumps with natural primary keys leave it out; then only natural keys refer to the entry.
        key = _key(entry.get("pk"), number)
        try:
            readers[model](key, entry["fields"])
        except ValidationError as error:
            dump.problems.extend(_problems(model, key, error))
    _make_groups_of_institutes(dump)
    return dump


def _make_groups_of_institutes(dump: Dump) -> None:
    """Let institutes be groups of their names, which their users are members of and which use their nodes."""
    keys: dict[str, Key] = {user.username: key for key, user in dump.users.items()}
    for key, institute in dump.institutes.items():
        dump.groups[f"institute {key}"] = DumpedGroup(name=institute.name)
        for reference in institute.users:
            user_key = keys.get(str(reference[0])) if isinstance(reference, list) and reference else reference
            if isinstance(user_key, list) or user_key not in dump.users:
                message = f"User {reference} is not in the dump."
                dump.problems.append(DumpProblem(_INSTITUTE, str(key), "users", message))
                continue
            user = dump.users[user_key]
            groups = [*user.groups, [institute.name]]
            dump.users[user_key] = user.model_copy(update={"groups": groups})
    for key, access in dump.institute_accesses.items():
        institute = dump.institutes.get(access.institute)
        if institute is None:
            message = f"Institute {access.institute} is not in the dump."
            dump.problems.append(DumpProblem(_INSTITUTE_ACCESS, str(key), "institute", message))
            continue
        dump.accesses[f"institute {key}"] = DumpedAccess(
            dicom_node=access.dicom_node,
            group=[institute.name],
            source=access.source,
            destination=access.destination,
        )


def _reader(kind: type[F], table: dict[Key, F]) -> Callable[[Key, object], None]:
    """Return what reads the fields of an entry into a table."""

    def read(key: Key, fields: object) -> None:
        table[key] = kind.model_validate(fields)

    return read


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("model"), str)
        and isinstance(entry.get("fields"), dict)
        and all(len(value) < _LONGEST_LIST for value in entry["fields"].values() if isinstance(value, list))
    )


def _key(pk: object, number: int) -> Key:
    return pk if isinstance(pk, int | str) and not isinstance(pk, bool) else f"entry {number}"


def _problems(model: str, key: Key, error: ValidationError) -> Iterator[DumpProblem]:
    for each in error.errors(include_input=False, include_url=False):
        name = ".".join(map(str, each["loc"]))
        yield DumpProblem(model, str(key), name, f"{each['msg'].rstrip('.')}.")


def _refusal(message: str) -> InvalidInput:
    return InvalidInput(InputProblem(message, field="file"))
