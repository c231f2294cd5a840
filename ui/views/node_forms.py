"""The forms in which nodes are added and changed; the fields are the same in both."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from adit_core.db import DicomNode, NodeKind, StorageForm, User
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot, Service, SidecarContent, WebService
from adit_core.services.node_settings import (
    FolderSettings,
    ServerSettings,
    WebServerSettings,
    replace_folder,
    replace_server,
    replace_web_server,
)
from adit_core.services.nodes import add_folder, add_server, add_web_server, services_of
from adit_core.services.profiles import list_profiles
from adit_core.services.storage import ARCHIVES, Storage
from adit_core.services.web_nodes import web_row, web_services_of
from ui.components.forms import open_part, problems_by_label, say_done

KINDS: Mapping[NodeKind, str] = {
    NodeKind.SERVER: "DICOM server",
    NodeKind.WEB: "DICOMweb server",
    NodeKind.FOLDER: "Folder",
}
_FORMS = {
    StorageForm.FILES: "DICOM files",
    StorageForm.SEVEN_ZIP: "Encrypted 7z archives",
    StorageForm.ZIP: "Encrypted zip archives",
    StorageForm.NIFTI: "NIfTI volumes",
}
_LABELS = {
    "name": "Name",
    "ae_title": "AE title",
    "calling_ae_title": "Our AE title",
    "host": "Host",
    "port": "Port",
    "max_associations": "Connections at the same time",
    "base_url": "Base URL",
    "qido_prefix": "Path of QIDO-RS",
    "wado_prefix": "Path of WADO-RS",
    "stow_prefix": "Path of STOW-RS",
    "path": "Path",
    "storage": "Stored as",
    "password": "Password of the archives",
}
_USUAL = "The usual settings"
_AT_ONCE_HELP = (
    "A study that is moved has one, of all workers together; searches and requests of programs count as well."
)
_TEMPLATE_HELP = "Keywords of attributes in braces, such as {PatientID}. Leave it empty for what is usual."


def offer_new(db: Database, actor: User) -> None:
    """Show the form that adds a node of the kind that is chosen."""
    kind = st.segmented_control(
        "Kind", list(KINDS), format_func=lambda each: KINDS[each], default=NodeKind.SERVER, required=True
    )
    with st.form(f"new-{kind}", border=False):
        name = st.text_input("Name", max_chars=64, help="What users call it; no other node has the same.")
        add = _new_fields(db, kind or NodeKind.SERVER, name, actor)
        sent = st.form_submit_button("Add node", type="primary")
    if sent:
        with problems_by_label(_LABELS):
            added = add()
            open_part(node=added.name)


def offer_changes(db: Database, actor: User, node: DicomNode) -> None:
    """Show the form that changes a node."""
    with st.form("settings", border=False):
        change = _change_fields(db, node, actor)
        saved = st.form_submit_button("Save settings", type="primary")
    if saved:
        with problems_by_label(_LABELS):
            change()
            say_done(f"Changed {node.name}. Test it next.")


def _new_fields(db: Database, kind: NodeKind, name: str, actor: User) -> Callable[[], DicomNode]:
    match kind:
        case NodeKind.SERVER:
            node = DicomNode(kind=kind, name="", port=104)
            server = _server_fields(db, node)
            return lambda: add_server(db, name, **_fields(server), actor=actor)
        case NodeKind.WEB:
            node = web_row("", base_url="", prefixes={}, services=frozenset(WebService), max_associations=2)
            web = _web_fields(db, node)
            return lambda: add_web_server(db, name, **_fields(web), actor=actor)
        case NodeKind.FOLDER:
            folder = _folder_fields(DicomNode(kind=kind, name=""))
            return lambda: add_folder(db, name, **_fields(folder), actor=actor)


def _change_fields(db: Database, node: DicomNode, actor: User) -> Callable[[], DicomNode]:
    match node.kind:
        case NodeKind.SERVER:
            server = _server_fields(db, node)
            return lambda: replace_server(db, node.name, server, actor=actor)
        case NodeKind.WEB:
            web = _web_fields(db, node)
            return lambda: replace_web_server(db, node.name, web, actor=actor)
        case NodeKind.FOLDER:
            folder = _folder_fields(node)
            return lambda: replace_folder(db, node.name, folder, actor=actor)


def _server_fields(db: Database, node: DicomNode) -> ServerSettings:
    left, middle, right = st.columns([2, 3, 1])
    ae_title = left.text_input("AE title", node.ae_title, max_chars=16, help="What the archive calls itself.")
    host = middle.text_input("Host", node.host, help="A host name or an IP address.")
    port = right.number_input("Port", 1, 65535, node.port, step=1)
    calling = st.text_input(
        "Our AE title",
        node.calling_ae_title,
        max_chars=16,
        help="What we call ourselves to it. Many archives answer only to AE titles that they know.",
    )
    services = st.pills(
        "Services",
        list(Service),
        selection_mode="multi",
        default=sorted(services_of(node)),
        help="What it supports as a provider. The test tells, once the node is there.",
        wrap=True,
    )
    root = st.segmented_control(
        "Information model",
        list(QueryRoot),
        format_func=lambda each: f"{each.value.capitalize()} Root",
        default=node.query_root,
        required=True,
        help="The Query/Retrieve Information Model that it is asked in.",
    )
    direct = st.checkbox(
        "Direct C-MOVE allowed",
        node.allows_direct_move,
        help="Sources may be asked to send straight to it, and it to destinations.",
    )
    return ServerSettings(
        ae_title=ae_title,
        host=host.strip(),
        port=port,
        calling_ae_title=calling,
        services=frozenset(services),
        query_root=root or node.query_root,
        max_associations=_at_once(node),
        allows_direct_move=direct,
        connection_profile=_connection_profile(db, node),
    )


def _web_fields(db: Database, node: DicomNode) -> WebServerSettings:
    url = st.text_input("Base URL", node.base_url, placeholder="https://pacs.example.org/dicom-web")
    services = st.pills(
        "Services",
        list(WebService),
        selection_mode="multi",
        default=sorted(web_services_of(node)),
        help="What it supports. The test tells, once the node is there.",
        wrap=True,
    )
    known = {
        WebService.QIDO: node.qido_prefix,
        WebService.WADO: node.wado_prefix,
        WebService.STOW: node.stow_prefix,
    }
    columns = st.columns(3)
    prefixes = {
        service: column.text_input(
            f"Path of {service.value}",
            known[service],
            help="What follows the base URL for this service. Leave it empty if nothing does.",
        )
        for service, column in zip(known, columns, strict=True)
    }
    return WebServerSettings(
        base_url=url,
        prefixes=prefixes,
        services=frozenset(services),
        max_associations=_at_once(node),
        connection_profile=_connection_profile(db, node),
    )


def _folder_fields(node: DicomNode) -> FolderSettings:
    path = st.text_input(
        "Path",
        node.path,
        placeholder="/research/incoming",
        help="An absolute path that the workers can write to.",
    )
    forms = list(_FORMS)
    form = st.selectbox(
        "Stored as",
        forms,
        forms.index(node.storage),
        format_func=lambda each: _FORMS[each],
        help="A folder of DICOM files can be a source, too; any other is a destination only.",
    )
    password = st.text_input(
        "Password of the archives",
        type="password",
        autocomplete="new-password",
        placeholder="Stays as it is" if node.archive_password else "Only for encrypted archives",
        help="It is never shown again. Leave it empty to keep the one that is there.",
    )
    with st.container(border=True):
        st.markdown("Names of folders and files")
        known = {
            "Patient folder": node.patient_folder,
            "Study folder": node.study_folder,
            "Series folder": node.series_folder,
            "Instance file": node.instance_file,
            "Archive file": node.archive_name,
        }
        names = [
            st.text_input(label, value or "", help=_TEMPLATE_HELP, placeholder="As usual").strip() or None
            for label, value in known.items()
        ]
    contents = list(SidecarContent)
    sidecars = st.selectbox(
        "JSON beside NIfTI volumes",
        contents,
        contents.index(node.sidecars),
        format_func=lambda each: each.value.capitalize(),
        help="What the files beside NIfTI volumes tell of the series.",
    )
    patient, study, series, instance, archive = names
    storage = Storage(
        form=form,
        patient=patient,
        study=study,
        series=series,
        instance=instance,
        archive=archive if form in ARCHIVES else None,
        password=password if form in ARCHIVES else "",
        sidecars=sidecars,
    )
    return FolderSettings(path=path.strip(), storage=storage, max_associations=_at_once(node))


def _at_once(node: DicomNode) -> int:
    return st.number_input(
        "Connections at the same time", 1, 100, node.max_associations, step=1, help=_AT_ONCE_HELP, width=220
    )


def _connection_profile(db: Database, node: DicomNode) -> str:
    profiles = {profile.id: profile.name for profile in list_profiles(db)}
    names = ["", *profiles.values()]
    return st.selectbox(
        "Connection profile",
        names,
        names.index(profiles.get(node.connection_profile_id or 0, "")),
        format_func=lambda name: name or _USUAL,
        help="Timeouts, TLS and credentials. Profiles are made under Nodes, Connection profiles.",
    )


def _fields(settings: ServerSettings | WebServerSettings | FolderSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__slots__}
