"""Coming from ADIT's first edition: takes over its nodes, groups, users and what groups may do.

All of it happens in one transaction, and can be repeated. What is there already stays as it is, unless it is
said that it is to be updated; passwords and nodes' other settings are never overwritten.
"""

from collections.abc import Iterable

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from adit_core.db import (
    ConnectionProfile,
    DicomNode,
    Group,
    GroupPermission,
    Membership,
    NodeAccess,
    NodeKind,
    NodePolicy,
    Permission,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InvalidInput
from adit_core.services import audit
from adit_core.services.adit_dump import (
    Dump,
    DumpedAccess,
    DumpedGroup,
    DumpedUser,
    DumpProblem,
    Key,
    Reference,
)
from adit_core.services.adit_nodes import NodeRows, folder_rows, server_rows
from adit_core.services.adit_report import Imported, ImportReport, ImportWish, Kind, Outcome
from adit_core.services.adit_rights import counterparts, is_needed_by_nobody
from adit_core.services.django_passwords import imported_hash, is_unusable
from adit_core.services.node_problems import ae_title_problems
from adit_core.services.rights import require_administrator
from adit_core.services.users import account_problems

_MOST_NAME = 150
_SERVER_FIELDS = (
    *("ae_title", "host", "port", "query_root"),
    *("supports_find", "supports_get", "supports_move", "supports_store"),
)
_WEB_FIELDS = (
    *("base_url", "qido_prefix", "wado_prefix", "stow_prefix"),
    *("supports_qido", "supports_wado", "supports_stow"),
)
_UPDATED = {NodeKind.SERVER: _SERVER_FIELDS, NodeKind.WEB: _WEB_FIELDS, NodeKind.FOLDER: ("path",)}


def preview_import(db: Database, dump: Dump, wish: ImportWish) -> ImportReport:
    """Tell what `import_dump` would do now, by doing it in a transaction that is rolled back."""
    with db.session() as session:
        return _Import(db, session, dump, wish, actor=audit.SYSTEM).run()


def import_dump(
    db: Database, dump: Dump, wish: ImportWish, *, actor: User | str = audit.SYSTEM
) -> ImportReport:
    """Take over what can be taken over, and tell what that was.

    Raises:
        ActionNotPossible: Somebody else changed the same things meanwhile; nothing was done.
        InvalidInput: Our AE title cannot be one.
        SecretUnreadable: There is no key to seal credentials with; nothing was done.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    try:
        with db.session() as session:
            report = _Import(db, session, dump, wish, actor=actor).run()
            counts = {outcome: sum(report.count(outcome).values()) for outcome in Outcome}
            audit.record(
                session,
                AuditAction.IMPORTED,
                actor=actor,
                object_kind="dump",
                new=counts[Outcome.NEW],
                updated=counts[Outcome.UPDATED],
                left_out=len(report.problems),
            )
            session.commit()
    except IntegrityError:
        # Without its cause, which quotes rows: there are hashes of passwords in them.
        raise ActionNotPossible("Somebody else changed the same things meanwhile; import again.") from None
    return report


class _Import:
    """One import, in the transaction of a session."""

    def __init__(
        self, db: Database, session: Session, dump: Dump, wish: ImportWish, *, actor: User | str
    ) -> None:
        problems = ae_title_problems("calling_ae_title", wish.calling_ae_title.strip(" "))
        if problems:
            raise InvalidInput(*problems)
        self._db = db
        self._session = session
        self._dump = dump
        self._wish = wish
        self._actor = actor
        self._report = ImportReport(problems=list(dump.problems), ignored=dict(dump.ignored))
        self._groups = {group.name: group for group in session.exec(select(Group))}
        self._users = {user.username: user for user in session.exec(select(User))}
        self._nodes = {node.name: node for node in session.exec(select(DicomNode))}
        self._new: set[tuple[Kind, str]] = set()
        self._usernames: set[str] = set()

    def run(self) -> ImportReport:
        for key, group in self._dump.groups.items():
            self._group(key, group)
        for key in self._dump.servers.keys() | self._dump.folders.keys():
            if key not in self._dump.nodes:
                self._problem(self._model_of(key), key, "", "Its core.dicomnode is not in the dump.")
        for key, node in self._dump.nodes.items():
            self._node(key, node.name)
        for key, user in self._dump.users.items():
            self._user(key, user)
        for key, access in self._dump.accesses.items():
            self._access(key, access)
        self._session.flush()
        return self._report

    # Groups

    def _group(self, key: Key, dumped: DumpedGroup) -> None:
        name = storable(dumped.name.strip())
        if not name or len(name) > _MOST_NAME:
            self._problem("auth.group", key, "name", f"A group needs a name of 1 to {_MOST_NAME} characters.")
            return
        wanted = self._rights("auth.group", key, dumped.permissions)
        known = self._groups.get(name)
        group = known
        if group is None:
            group = self._groups[name] = Group(name=name)
            self._session.add(group)
            self._session.flush()
            self._audit(AuditAction.GROUP_CHANGED, "group", name)
        elif not self._wish.update:
            self._item(Kind.GROUP, name, Outcome.THERE)
            return
        held = select(GroupPermission.permission).where(GroupPermission.group_id == group.id)
        missing = wanted - set(self._session.exec(held))
        self._session.add_all(GroupPermission(group_id=group.id, permission=each) for each in missing)
        if known is None:
            self._item(Kind.GROUP, name, Outcome.NEW, ", ".join(sorted(wanted)))
        elif missing:
            self._audit(
                AuditAction.GROUP_CHANGED,
                "group",
                name,
                changed="permissions",
                about=", ".join(sorted(missing)),
            )
            self._item(Kind.GROUP, name, Outcome.UPDATED, ", ".join(sorted(missing)))
        else:
            self._item(Kind.GROUP, name, Outcome.THERE)

    def _rights(self, model: str, key: Key, references: Iterable[Reference]) -> set[Permission]:
        found = set[Permission]()
        for reference in references:
            name = self._dump.permission_name(reference)
            if name is None:
                message = f"Permission {reference} is not in the dump: write it with --natural-foreign."
                self._problem(model, key, "permissions", message)
            elif rights := counterparts(name):
                found.update(rights)
            elif not is_needed_by_nobody(name):
                self._problem(model, key, "permissions", f"There is nothing here that {name} could become.")
        return found

    # Users

    def _user(self, key: Key, dumped: DumpedUser) -> None:
        username = dumped.username.strip().lower()
        full_name = storable(f"{dumped.first_name} {dumped.last_name}".strip())
        email = storable(dumped.email.strip())
        problems = account_problems(username, full_name, email)
        for problem in problems:
            self._problem("accounts.user", key, problem.field or "", problem.message)
        if problems:
            return
        if username in self._usernames:
            self._problem("accounts.user", key, "username", "Another user has this name in small letters.")
            return
        self._usernames.add(username)
        if dumped.user_permissions:
            message = "Rights are given to groups here: make the user a member of one that has them."
            self._problem("accounts.user", key, "user_permissions", message)
        is_staff = dumped.is_staff or dumped.is_superuser
        known = self._users.get(username)
        if known is None:
            self._add_user(key, username, dumped, full_name, email, is_staff=is_staff)
        elif self._wish.update:
            self._update_user(known, full_name, email, is_staff=is_staff, is_active=dumped.is_active)
        else:
            self._item(Kind.USER, username, Outcome.THERE)
        for reference in dumped.groups:
            self._membership(key, username, reference)

    def _add_user(
        self, key: Key, username: str, dumped: DumpedUser, full_name: str, email: str, *, is_staff: bool
    ) -> None:
        password_hash = imported_hash(dumped.password)
        remark = "" if password_hash else "without a password"
        if password_hash is None and not is_unusable(dumped.password):
            message = "It is kept in a way that cannot be checked here: give the user a new one."
            self._problem("accounts.user", key, "password", message)
        user = User(
            username=username,
            password_hash=password_hash,
            full_name=full_name,
            email=email,
            is_staff=is_staff,
            is_active=dumped.is_active,
        )
        self._users[username] = user
        self._session.add(user)
        self._session.flush()
        self._audit(AuditAction.USER_ADDED, "user", username)
        words = ("staff" if is_staff else "", "" if dumped.is_active else "closed", remark)
        self._item(Kind.USER, username, Outcome.NEW, ", ".join(filter(None, words)))

    def _update_user(
        self, user: User, full_name: str, email: str, *, is_staff: bool, is_active: bool
    ) -> None:
        wanted = {"full_name": full_name, "email": email, "is_staff": is_staff, "is_active": is_active}
        if isinstance(self._actor, User) and user.id == self._actor.id:
            # Nobody takes their own rights away.
            wanted |= {"is_staff": user.is_staff, "is_active": user.is_active}
        self._assign(user, wanted, Kind.USER, user.username, AuditAction.USER_CHANGED)

    def _membership(self, key: Key, username: str, reference: Reference) -> None:
        name = self._dump.group_name(reference)
        group = self._groups.get(name or "")
        if group is None:
            self._problem("accounts.user", key, "groups", f"Group {reference} is not in the dump.")
            return
        self._grant(
            Kind.MEMBERSHIP,
            f"{username} in {group.name}",
            Membership(user_id=self._users[username].id, group_id=group.id),
            (self._users[username].id, group.id),
            parts=((Kind.USER, username), (Kind.GROUP, group.name)),
        )

    # Nodes

    def _node(self, key: Key, name: str) -> None:
        model = self._model_of(key)
        try:
            rows = self._rows(key, name.strip())
        except InvalidInput as error:
            for problem in error.problems:
                self._problem(model, key, problem.field or "", problem.message)
            return
        if rows is None:
            self._problem("core.dicomnode", key, "", "Neither its server nor its folder is in the dump.")
            return
        known = self._nodes.get(rows.node.name)
        if known is None:
            self._add_node(rows)
        elif not self._wish.update:
            remark = "" if known.retired_at is None else "it is retired: restore it to use it"
            self._item(Kind.NODE, known.name, Outcome.THERE, remark)
        elif known.kind is not rows.node.kind:
            self._problem(model, key, "name", f"{known.name} is of another kind here.")
        else:
            wanted = {name: getattr(rows.node, name) for name in _UPDATED[known.kind]}
            self._assign(known, wanted, Kind.NODE, known.name, AuditAction.NODE_CHANGED)

    def _rows(self, key: Key, name: str) -> NodeRows | None:
        def note(field_name: str, message: str) -> None:
            self._problem(self._model_of(key), key, field_name, message)

        if (server := self._dump.servers.get(key)) is not None:
            calling = self._wish.calling_ae_title.strip(" ")
            return server_rows(self._db, name, server, calling_ae_title=calling, note=note)
        if (folder := self._dump.folders.get(key)) is not None:
            return folder_rows(name, folder, note=note)
        return None

    def _add_node(self, rows: NodeRows) -> None:
        node = rows.node
        remark = ""
        if rows.profile is not None:
            taken = select(ConnectionProfile).where(ConnectionProfile.name == rows.profile.name)
            if self._session.exec(taken).first() is not None:
                rows.profile.name = f"{rows.profile.name[:50]} (imported)"
            self._session.add(rows.profile)
            self._session.flush()
            node.connection_profile_id = rows.profile.id
            self._audit(AuditAction.PROFILE_ADDED, "profile", rows.profile.name)
            remark = f"with connection profile {rows.profile.name}"
        self._nodes[node.name] = node
        self._session.add(node)
        self._session.flush()
        if rows.policy is not None:
            self._session.add(NodePolicy(**{**rows.policy.model_dump(), "node_id": node.id}))
        self._audit(AuditAction.NODE_ADDED, "node", node.name)
        self._item(Kind.NODE, node.name, Outcome.NEW, ", ".join(filter(None, (node.kind.value, remark))))

    def _model_of(self, key: Key) -> str:
        return "core.dicomfolder" if key in self._dump.folders else "core.dicomserver"

    # Which group may use which node

    def _access(self, key: Key, dumped: DumpedAccess) -> None:
        model = "core.dicomnodegroupaccess"
        dumped_node = self._dump.nodes.get(dumped.dicom_node)
        node = self._nodes.get(dumped_node.name.strip()) if dumped_node else None
        group = self._groups.get(self._dump.group_name(dumped.group) or "")
        if node is None:
            self._problem(model, key, "dicom_node", f"Node {dumped.dicom_node} was not taken over.")
        if group is None:
            self._problem(model, key, "group", f"Group {dumped.group} was not taken over.")
        if node is None or group is None:
            return
        roles = [role for role in ("source", "destination") if getattr(dumped, role)]
        self._grant(
            Kind.ACCESS,
            f"{group.name} to {node.name} as {' and '.join(roles) or 'nothing'}",
            NodeAccess(
                group_id=group.id,
                node_id=node.id,
                as_source=dumped.source,
                as_destination=dumped.destination,
            ),
            (group.id, node.id),
            parts=((Kind.GROUP, group.name), (Kind.NODE, node.name)),
        )

    # What all have in common

    def _grant(
        self,
        kind: Kind,
        name: str,
        row: Membership | NodeAccess,
        key: tuple[int, int],
        *,
        parts: tuple[tuple[Kind, str], tuple[Kind, str]],
    ) -> None:
        """Add a row between two things, if one of them is new or all is to be updated.

        Otherwise somebody may have taken it away on purpose since an import before.
        """
        is_there = self._session.get(type(row), key) is not None
        if is_there or not (self._wish.update or self._new.intersection(parts)):
            self._item(kind, name, Outcome.THERE, "" if is_there else "not added again")
            return
        self._session.add(row)
        self._session.flush()
        self._audit(AuditAction.GROUP_CHANGED, "group", _group_of(parts), changed=kind.value, about=name)
        self._item(kind, name, Outcome.NEW)

    def _assign(
        self, row: User | DicomNode, wanted: dict[str, object], kind: Kind, name: str, action: AuditAction
    ) -> None:
        changed = {field: value for field, value in wanted.items() if getattr(row, field) != value}
        for field_name, value in changed.items():
            setattr(row, field_name, value)
        if not changed:
            self._item(kind, name, Outcome.THERE)
            return
        self._session.add(row)
        self._audit(action, kind.value, name, changed=", ".join(changed))
        self._item(kind, name, Outcome.UPDATED, ", ".join(changed))

    def _item(self, kind: Kind, name: str, outcome: Outcome, remark: str = "") -> None:
        if outcome is Outcome.NEW:
            self._new.add((kind, name))
        self._report.items.append(Imported(kind, name, outcome, remark))

    def _problem(self, model: str, key: Key, field_name: str, message: str) -> None:
        self._report.problems.append(DumpProblem(model, str(key), field_name, message))

    def _audit(
        self, action: AuditAction, kind: str, name: str, *, changed: str = "added", about: str | None = None
    ) -> None:
        audit.record(
            self._session,
            action,
            actor=self._actor,
            object_kind=kind,
            object_id=name,
            changed=changed,
            about=about,
        )


def _group_of(parts: tuple[tuple[Kind, str], tuple[Kind, str]]) -> str:
    return next(name for kind, name in parts if kind is Kind.GROUP)
