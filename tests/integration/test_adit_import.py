"""What ADIT's first edition had is taken over from a dump, repeatedly, and nothing is overwritten."""

import json
from pathlib import Path

import pytest
from sqlmodel import col, func, select

from adit_core.db import (
    AuditEvent,
    DicomNode,
    Membership,
    NodeAccess,
    NodeKind,
    NodePolicy,
    Permission,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.dicom.credentials import BasicCredentials
from adit_core.dicom.node import DicomWebNode, QueryRoot, Service
from adit_core.errors import InvalidInput
from adit_core.services.adit_dump import DumpProblem, dump_of, read_dump
from adit_core.services.adit_import import import_dump, preview_import
from adit_core.services.adit_report import ImportReport, ImportWish, Kind, Outcome
from adit_core.services.django_passwords import DjangoPbkdf2Hasher, imported_hash
from adit_core.services.groups import list_groups, remove_member
from adit_core.services.nodes import get_node, list_nodes, node_value, services_of
from adit_core.services.users import check_password, get_user, list_users
from tests.rows import make_server, make_user

DUMP = Path(__file__).parents[1] / "dumps" / "adit.json"
WISH = ImportWish(calling_ae_title="ADIT1")


def take_over(db: Database, wish: ImportWish = WISH, **changes: object) -> ImportReport:
    return import_dump(db, read_dump(DUMP), wish, **changes)  # pyright: ignore[reportArgumentType]


def said(report: ImportReport, model: str, pk: int) -> dict[str, str]:
    """Return what was said of an entry, by field."""
    return {each.field: each.message for each in report.problems if (each.model, each.pk) == (model, str(pk))}


def outcomes(report: ImportReport, kind: Kind) -> dict[str, Outcome]:
    return {item.name: item.outcome for item in report.items if item.kind is kind}


def counted(db: Database) -> list[int]:
    with db.reading() as session:
        tables = (User, DicomNode, Membership, NodeAccess, AuditEvent)
        return [session.exec(select(func.count()).select_from(table)).one() for table in tables]


def test_nodes_groups_users_and_rights_are_taken_over(database: Database) -> None:
    report = take_over(database)

    assert [node.name for node in list_nodes(database)] == [
        *("Downloads", "Old modality", "Orthanc Test Server 1", "Research PACS")
    ]
    orthanc = get_node(database, "Orthanc Test Server 1")
    assert (orthanc.ae_title, orthanc.host, orthanc.port) == ("ORTHANC1", "orthanc1", 7501)
    assert (orthanc.calling_ae_title, orthanc.query_root) == ("ADIT1", QueryRoot.STUDY)
    assert services_of(orthanc) == frozenset(Service)
    old = get_node(database, "Old modality")
    assert (old.query_root, services_of(old)) == (QueryRoot.PATIENT, {Service.FIND})
    web = node_value(database, get_node(database, "Research PACS"))
    assert isinstance(web, DicomWebNode)
    assert web.profile.credentials == BasicCredentials("adit", "s3cret")
    folder = get_node(database, "Downloads")
    assert (folder.kind, folder.path) == (NodeKind.FOLDER, "/mnt/downloads")
    with database.reading() as session:
        limits = {policy.node_id: policy for policy in session.exec(select(NodePolicy))}
    assert limits[folder.id].quota_bytes == 1000 * 10**9
    assert limits[orthanc.id].find_limit == 200

    neuro, research = list_groups(database)
    assert set(neuro.permissions) == {
        *(Permission.TRANSFER_SELECTED, Permission.CONVERT_TO_NIFTI, Permission.MAKE_ARCHIVES),
        *(Permission.TRANSFER_UNPSEUDONYMIZED, Permission.PROCESS_URGENTLY),
    }
    assert set(research.permissions) == {
        *(Permission.QUERY, Permission.DICOMWEB_QUERY, Permission.DICOMWEB_RETRIEVE),
        *(Permission.DICOMWEB_STORE, Permission.CONVERT_TO_NIFTI),
    }
    assert (neuro.members, research.members) == (("bob",), ("bob", "carol"))
    assert [(each.node, each.as_source, each.as_destination) for each in neuro.nodes] == [
        ("Orthanc Test Server 1", True, True)
    ]
    assert [(each.node, each.as_source, each.as_destination) for each in research.nodes] == [
        ("Downloads", False, True)
    ]
    admin = get_user(database, "admin")
    assert (admin.full_name, admin.email, admin.is_staff) == ("Ada Muster", "ada@hospital.example", True)
    assert not get_user(database, "carol").is_active
    assert report.ignored == {"batch_transfer.batchtransferjob": 1, "sites.site": 1}
    with database.reading() as session:
        told = select(AuditEvent.action, AuditEvent.actor).where(AuditEvent.object_kind == "dump")
        assert session.exec(told).all() == [(AuditAction.IMPORTED, "ADIT")]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_institutes_of_older_versions_become_groups_with_their_users_and_nodes(database: Database) -> None:
    entries = [
        _entry("auth.group", 1, name="Transferring", permissions=[]),
        _entry("accounts.user", 1, username="ada", groups=[1]),
        _entry("accounts.user", 2, username="bob", groups=[]),
        _entry("accounts.institute", 1, name="Radiology", description="", users=[1, ["bob"]]),
        _entry("accounts.institute", 2, name="Transferring", users=[2, 77]),
        _entry("core.dicomnode", 1, name="Exports", node_type="FO"),
        _entry("core.dicomfolder", 1, path="/exports"),
        _entry("core.dicomnodeinstituteaccess", 1, dicom_node=1, institute=1, source=False, destination=True),
        _entry("core.dicomnodeinstituteaccess", 2, dicom_node=1, institute=9, source=True, destination=True),
    ]

    report = import_dump(database, dump_of(entries), WISH)

    radiology, transferring = list_groups(database)
    assert (radiology.name, radiology.members, radiology.permissions) == ("Radiology", ("ada", "bob"), ())
    assert [(each.node, each.as_source, each.as_destination) for each in radiology.nodes] == [
        ("Exports", False, True)
    ]
    assert (transferring.name, transferring.members) == ("Transferring", ("ada", "bob"))
    assert said(report, "accounts.institute", 2).keys() == {"users"}
    assert said(report, "core.dicomnodeinstituteaccess", 2).keys() == {"institute"}
    assert report.ignored == {}


def _entry(model: str, pk: int, **fields: object) -> dict[str, object]:
    return {"model": model, "pk": pk, "fields": fields}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_cannot_be_taken_over_is_named_by_model_key_and_field_and_no_secret_is_shown(
    database: Database,
) -> None:
    report = take_over(database)

    assert set(said(report, "core.dicomserver", 5)) == {"ae_title", "host", "port"}
    assert set(said(report, "core.dicomserver", 8)) == {"port"}
    assert set(said(report, "core.dicomserver", 4)) == {"dicomweb_root_url", "study_root_move_support"}
    assert set(said(report, "core.dicomfolder", 6)) == {"path"}
    assert "Permission 99 is not in the dump" in said(report, "auth.group", 2)["permissions"]
    assert "selective_transfer.can_download_study" in said(report, "auth.group", 1)["permissions"]
    assert set(said(report, "accounts.user", 3)) == {"password", "groups", "user_permissions"}
    assert set(said(report, "accounts.user", 5)) == {"username"}
    assert said(report, "accounts.user", 6) == {"username": "Field required."}
    assert set(said(report, "accounts.user", 7)) == {"username"}
    assert said(report, "core.dicomnodegroupaccess", 3) == {"dicom_node": "Node 5 was not taken over."}
    assert DumpProblem("?", "entry 30", "", "This is no entry: it needs a model, a pk and fields.") in (
        report.problems
    )
    assert not {"secret", "$2b$", "Zk1q", "YWRp"} & {
        word for word in ("secret", "$2b$", "Zk1q", "YWRp") if word in repr(report)
    }


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_preview_says_the_same_and_does_nothing(database: Database) -> None:
    before = counted(database)
    foreseen = preview_import(database, read_dump(DUMP), WISH)
    assert counted(database) == before
    assert take_over(database) == foreseen


def test_importing_again_changes_nothing_not_even_what_was_taken_away_meanwhile(database: Database) -> None:
    take_over(database)
    research = list_groups(database)[1]
    remove_member(database, research.id, "carol")
    before = counted(database)

    report = take_over(database)

    assert {item.outcome for item in report.items} == {Outcome.THERE}
    after = counted(database)
    assert after[:-1] == before[:-1]
    assert after[-1] == before[-1] + 1, "the import itself is in the audit trail"
    assert "carol" not in list_groups(database)[1].members


def test_what_is_there_is_overwritten_only_if_that_is_said(database: Database) -> None:
    make_server(database, "Orthanc Test Server 1", ae_title="OTHER", host="elsewhere", port=11112)
    root = make_user(database, "admin")

    report = take_over(database)
    assert outcomes(report, Kind.NODE)["Orthanc Test Server 1"] is Outcome.THERE
    assert get_node(database, "Orthanc Test Server 1").host == "elsewhere"
    assert not get_user(database, "admin").is_staff

    report = take_over(database, ImportWish(update=True))
    assert outcomes(report, Kind.NODE)["Orthanc Test Server 1"] is Outcome.UPDATED
    node = get_node(database, "Orthanc Test Server 1")
    assert (node.host, node.port, node.ae_title) == ("orthanc1", 7501, "ORTHANC1")
    assert get_user(database, "admin").is_staff
    assert get_user(database, "admin").password_hash == root.password_hash
    assert outcomes(report, Kind.USER)["bob"] is Outcome.THERE


@pytest.mark.parametrize("backend", ["sqlite"])
def test_users_sign_in_with_the_passwords_that_they_had_which_become_argon2id(database: Database) -> None:
    take_over(database)

    assert check_password(database, "admin", "wrong") is None
    assert (get_user(database, "admin").password_hash or "").startswith("pbkdf2_sha256$")
    for _ in range(2):
        assert check_password(database, "admin", "correct horse battery") is not None
        assert (get_user(database, "admin").password_hash or "").startswith("$argon2id$")
    assert check_password(database, "bob", "staple battery horse") is not None
    for name in ("carol", "dora"):
        assert get_user(database, name).password_hash is None
        assert check_password(database, name, "") is None


def test_hashes_of_django_are_checked_as_django_does() -> None:
    # From Django's own tests (test_hashers.py of 3.2).
    known = "pbkdf2_sha256$260000$seasalt$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo="
    hasher = DjangoPbkdf2Hasher()
    assert hasher.verify("lètmein", known)
    assert not hasher.verify("letmein", known)
    for broken in (
        known.replace("$260000$", "$0$"),
        known.replace("$260000$", "$99999999$"),
        known[:-4],
        "pbkdf2_sha1$1$salt$x=",
        "",
        "!",
    ):
        assert imported_hash(broken) is None
        assert not hasher.identify(broken)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe[", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "no dump"),
        (b"[]", "no dump"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "dump.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=problem):
        read_dump(path)
    with pytest.raises(InvalidInput, match=r"missing\.json cannot be read"):
        read_dump(tmp_path / "missing.json")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_child_without_its_parent_and_a_parent_without_its_child_are_told_of(database: Database) -> None:
    entries = [entry for entry in json.loads(DUMP.read_text()) if isinstance(entry, dict)]
    dump = dump_of(
        [e for e in entries if (e["model"], e["pk"]) not in {("core.dicomnode", 1), ("core.dicomfolder", 3)}]
    )
    report = import_dump(database, dump, WISH)
    assert said(report, "core.dicomserver", 1) == {"": "Its core.dicomnode is not in the dump."}
    assert said(report, "core.dicomnode", 3) == {"": "Neither its server nor its folder is in the dump."}
    assert {"admin", "bob"} <= {user.username for user in list_users(database)}
    with database.reading() as session:
        assert session.exec(select(User.id).where(col(User.username) == "bob")).first()
