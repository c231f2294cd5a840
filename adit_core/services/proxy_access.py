"""Who may use which archive through the DICOMweb proxy, and for what; every attempt is audited.

An archive is named by its AE title, or by the name of its node: DICOMweb servers and folders have no AE
title, and several nodes may share one.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlmodel import and_, col, or_, select

from adit_core.db import DicomNode, NodeKind, Permission, StorageForm, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput, NotAllowed, NotFound
from adit_core.services import audit
from adit_core.services.node_gate import NodeState, require_open
from adit_core.services.node_visits import NodeVisit
from adit_core.services.rights import NodeRole, may_use, require_node, require_permission


@dataclass(frozen=True, slots=True)
class ProxyUse:
    """A kind of use, with the rights that it takes."""

    permissions: tuple[Permission, ...]
    """All are needed; the first one names the use."""
    role: NodeRole
    action: AuditAction


SEARCH = ProxyUse((Permission.DICOMWEB_QUERY,), NodeRole.SOURCE, AuditAction.QUERIED)
RETRIEVE = ProxyUse((Permission.DICOMWEB_RETRIEVE,), NodeRole.SOURCE, AuditAction.RETRIEVED)
RETRIEVE_AS_NIFTI = ProxyUse(
    (Permission.DICOMWEB_RETRIEVE, Permission.CONVERT_TO_NIFTI), NodeRole.SOURCE, AuditAction.RETRIEVED
)
STORE = ProxyUse((Permission.DICOMWEB_STORE,), NodeRole.DESTINATION, AuditAction.STORED)


_CALLED = (
    select(DicomNode)
    .where(
        col(DicomNode.retired_at).is_(None),
        or_(
            col(DicomNode.name) == bindparam("called"),
            and_(col(DicomNode.kind) == NodeKind.SERVER, col(DicomNode.ae_title) == bindparam("called")),
        ),
    )
    .order_by(DicomNode.name)
)


@dataclass(frozen=True, slots=True)
class ProxyVisitor:
    """Who asks, and from which network address."""

    db: Database
    user: User
    address: str = ""


@dataclass(frozen=True, slots=True)
class ProxyAccess:
    """A use that was allowed, and that is to be recorded when it has ended."""

    visitor: ProxyVisitor
    use: ProxyUse
    state: NodeState
    """Of the archive, when the use began."""

    @property
    def db(self) -> Database:
        """The database."""
        return self.visitor.db

    @property
    def node(self) -> DicomNode:
        """The archive."""
        return self.state.node

    def visit(self) -> NodeVisit:
        """Return a visit to the archive that begins now."""
        return NodeVisit(self.db, self.state)

    def record(self, *, succeeded: bool, study_instance_uid: str = "", **details: str | int) -> None:
        """Audit what was done; ids and counts only."""
        _record(
            self.visitor,
            self.use,
            succeeded=succeeded,
            object_kind="study" if study_instance_uid else "node",
            object_id=study_instance_uid or self.node.name,
            node=self.node.name,
            **details,
        )


def enter(visitor: ProxyVisitor, ae_title: str, use: ProxyUse) -> ProxyAccess:
    """Let somebody use an archive.

    Raises:
        NotFound: No node has this AE title or name.
        InvalidInput: Several have this AE title that the user may use.
        NotAllowed: The user lacks a permission, or may not use the node in this role.
        NodeClosed: The node may not be used now.
        ActionNotPossible: The node cannot be used like this.
    """
    try:
        for permission in use.permissions:
            require_permission(visitor.db, visitor.user, permission)
        node = _node_called(ae_title, visitor, use.role)
        require_node(visitor.db, visitor.user, node, use.role)
    except (NotAllowed, NotFound):
        _record(visitor, use, succeeded=False, object_kind="node", object_id=ae_title)
        raise
    state = require_open(visitor.db, node.id)
    _require_able(node, use)
    return ProxyAccess(visitor, use, state)


def _node_called(ae_title: str, visitor: ProxyVisitor, role: NodeRole) -> DicomNode:
    """Return the node of this name; else the one of this AE title, of several the one that may be used."""
    with visitor.db.reading() as session:
        close = session.exec(_CALLED, params={"called": storable(ae_title)})
        found = [node for node in close if ae_title in (node.name, node.ae_title)]
    for node in found:
        if node.name == ae_title:
            return node
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"There is no archive with the AE title {ae_title!r}, and no node of this name.")
    usable = [node for node in found if may_use(visitor.db, visitor.user, node, role)]
    if len(usable) > 1:
        names = ", ".join(node.name for node in usable)
        message = f"Several nodes have the AE title {ae_title}; put the name of one in its place: {names}."
        raise InvalidInput(InputProblem(message, field="ae_title"))
    return (usable or found)[0]


def _require_able(node: DicomNode, use: ProxyUse) -> None:
    if not _is_able(node, use):
        raise ActionNotPossible(f"{node.name} does not support this: {use.permissions[0].value}.")


def _is_able(node: DicomNode, use: ProxyUse) -> bool:
    match node.kind, use.action:
        case NodeKind.SERVER, AuditAction.STORED:
            return node.supports_store
        case NodeKind.WEB, AuditAction.STORED:
            return node.supports_stow
        case NodeKind.SERVER, AuditAction.RETRIEVED:
            return node.supports_find and (node.supports_get or node.supports_move)
        case NodeKind.WEB, AuditAction.RETRIEVED:
            return node.supports_qido and node.supports_wado
        case NodeKind.SERVER, _:
            return node.supports_find
        case NodeKind.WEB, _:
            return node.supports_qido
        case _:  # what is in a folder is written by jobs, which know how to name it
            return node.storage is StorageForm.FILES and use is not STORE


def _record(
    visitor: ProxyVisitor,
    use: ProxyUse,
    *,
    succeeded: bool,
    object_kind: str,
    object_id: str,
    **details: str | int,
) -> None:
    with visitor.db.session() as session:
        audit.record(
            session,
            use.action,
            actor=visitor.user,
            succeeded=succeeded,
            object_kind=object_kind,
            object_id=object_id,
            address=visitor.address,
            through="DICOMweb",
            **details,
        )
        session.commit()
