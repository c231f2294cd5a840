"""The group that a user works for, of those that the user is in; if none is chosen, for all of them together.

What it narrows is in `adit_core.services.rights`. For staff it narrows nothing: their jobs only tell of it.
"""

from sqlmodel import Session, col, select, update

from adit_core.db import Group, Membership, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import NotAllowed, NotFound
from adit_core.services import audit


def groups_of_user(db: Database, user: User) -> list[str]:
    """Return the names of the groups that `user` is in."""
    chosen = (
        select(Group.name)
        .join(Membership, col(Membership.group_id) == col(Group.id))
        .where(Membership.user_id == user.id)
        .order_by(Group.name)
    )
    with db.reading() as session:
        return list(session.exec(chosen))


def active_group_of(db: Database, user: User) -> str:
    """Return the name of the group that `user` works for; empty for all of them together."""
    active = select(Group.name).join(User, col(User.active_group_id) == col(Group.id))
    with db.reading() as session:
        return session.exec(active.where(User.id == user.id)).first() or ""


def choose_active_group(db: Database, user: User, name: str, *, address: str = "") -> None:
    """Have only the rights of the group of this name count; of all the user's groups, if it is empty.

    Raises:
        NotFound: The user is in no such group.
        NotAllowed: The account is closed.
    """
    with db.session() as session:
        group_id = _group_of(session, user, name) if name else None
        if not user.is_active:
            raise NotAllowed("Your account is closed.")
        session.exec(update(User).where(col(User.id) == user.id).values(active_group_id=group_id))
        audit.record(
            session,
            AuditAction.USER_CHANGED,
            actor=user,
            object_kind="user",
            object_id=user.username,
            address=address,
            changed="active_group",
            about=name or "all groups",
        )
        session.commit()


def forget_left_groups(session: Session) -> None:
    """Have all groups count for those who are no longer in the group that they worked for."""
    session.flush()
    is_member = (
        select(Membership.user_id)
        .where(Membership.user_id == User.id, Membership.group_id == User.active_group_id)
        .exists()
    )
    session.exec(
        update(User).where(col(User.active_group_id).is_not(None), ~is_member).values(active_group_id=None)
    )


def _group_of(session: Session, user: User, name: str) -> int:
    chosen = (
        select(Group.id)
        .join(Membership, col(Membership.group_id) == col(Group.id))
        .where(Membership.user_id == user.id, Group.name == name)
    )
    group_id = session.exec(chosen).first()
    if group_id is None:
        raise NotFound(f"You are in no group called {name}.")
    return group_id
