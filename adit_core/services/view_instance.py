"""Looking at single instances of an archive: their attributes and frames, for who may use it as a source.

What is fetched lies in a file without a name, which is gone as soon as nobody holds it. So an instance of
any length takes no memory, and nothing is left behind by a process that is killed.
"""

from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO
from weakref import finalize

from pydicom import dcmread
from pydicom.dataset import Dataset

from adit_core.db import User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.dicom.attributes import ShownAttribute, attributes_of
from adit_core.dicom.frames import FrameFile, PictureFormat, View, Window
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.errors import ActionNotPossible
from adit_core.services import audit
from adit_core.services.fetch_instance import origin_at
from adit_core.services.nodes import get_node
from adit_core.services.rights import NodeRole, require_node

MOST_ATTRIBUTES = 2000
_LONGEST_EDGE = 1024


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ViewedInstance:
    """An instance that is looked at. It belongs to one thread at a time, and is closed when it is let go."""

    file: BinaryIO
    header: Dataset
    frames: FrameFile | None
    """None if there are no frames to be shown."""
    why_no_frames: str = ""

    def __post_init__(self) -> None:
        # No __del__, which in a cycle may come after the file has been collected.
        finalize(self, self.file.close)

    @property
    def attributes(self) -> list[ShownAttribute]:
        """What the instance says, without its pixels."""
        return attributes_of(self.header, most=MOST_ATTRIBUTES)

    @property
    def has_window(self) -> bool:
        """Whether it has grey values, of which a window can choose some."""
        is_grey = str(self.header.get("PhotometricInterpretation", "")).startswith("MONOCHROME")
        return self.frames is not None and is_grey

    @property
    def window(self) -> Window | None:
        """Return the first window that the instance gives itself, if it gives one."""
        centers, widths = (_numbers(self.header, name) for name in ("WindowCenter", "WindowWidth"))
        return Window(centers[0], widths[0]) if centers and widths else None

    def picture(self, frame: int, window: Window | None) -> bytes:
        """Return a frame as PNG, counted from 1; without a `window`, as the instance says.

        Raises:
            ActionNotPossible: The frame cannot be decoded.
            InvalidInput: There is no such frame.
        """
        if self.frames is None:
            raise ActionNotPossible(self.why_no_frames)
        self.frames.check((frame,))
        longest = max(int(self.header.get("Rows", 0)), int(self.header.get("Columns", 0)))
        viewport = (_LONGEST_EDGE, _LONGEST_EDGE) if longest > _LONGEST_EDGE else None
        return self.frames.picture(frame, View(PictureFormat.PNG, window=window, viewport=viewport))


def view_instance(
    db: Database,
    user: User,
    node_name: str,
    instance: InstanceResult,
    *,
    receiver: ReceiverAddress | None = None,
    address: str = "",
) -> ViewedInstance:
    """Fetch an instance to be looked at; the audit trail tells who did.

    Raises:
        NotFound: There is no such node, or it does not hand out the instance.
        NotAllowed: The user may not use the node as a source.
        NodeClosed: The node may not be used now.
        ActionNotPossible: Nothing can be retrieved from it.
        AditError: It did not answer as it should.
    """
    node = get_node(db, node_name)
    require_node(db, user, node, NodeRole.SOURCE)
    uid = instance.reference.sop_instance_uid
    with db.session() as session:
        audit.record(
            session,
            AuditAction.RETRIEVED,
            actor=user,
            object_kind="instance",
            object_id=uid,
            address=address,
            node=node.name,
            through="dashboard",
        )
        session.commit()
    file = TemporaryFile()  # noqa: SIM115 - whoever looks at the instance keeps it open
    try:
        with origin_at(db, node, receiver) as origin:
            origin.fetch_into(instance, file)
        return _viewed(file)
    except BaseException:
        file.close()
        raise


def _viewed(file: BinaryIO) -> ViewedInstance:
    file.seek(0)
    with quiet_pydicom():
        header = dcmread(file, stop_before_pixels=True, force=True)
    try:
        return ViewedInstance(file, header, FrameFile(file))
    except ActionNotPossible as error:
        return ViewedInstance(file, header, None, str(error))


def _numbers(header: Dataset, keyword: str) -> list[float]:
    try:
        with quiet_pydicom():
            value = header.get(keyword)
            return [float(one) for one in ([value] if isinstance(value, (int, float)) else value or ())]
    except (TypeError, ValueError):
        return []
