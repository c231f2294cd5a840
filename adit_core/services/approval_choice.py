"""Choosing which tasks of a job are approved, by numbers that staff can read, tick and type.

They are the rows of the spreadsheet that the job came with. One that came without, or of which a row asks for
several studies (as that of a query may have found), is numbered in the order of its list, from 1 on.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlmodel import col, select

from adit_core.db import Job, Task, User
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, refuse
from adit_core.services.job_access import visible
from adit_core.services.number_ranges import in_ranges, numbers_in


@dataclass(frozen=True, slots=True)
class ApprovalChoice:
    """The tasks of a job as they can be chosen, in its order."""

    numbers: Mapping[int, tuple[int, ...]]
    """By the id of a task; never empty for one."""
    are_rows: bool
    """Whether the numbers are those of a spreadsheet's rows."""

    def task_ids(self, text: str) -> frozenset[int]:
        """Return the tasks that the numbers in `text` name, such as ``2-9, 12``; none if it is blank.

        Raises:
            InvalidInput: It names what is not there, or only a part of what one task does.
        """
        every = [number for numbers in self.numbers.values() for number in numbers]
        named = numbers_in(text, every)
        chosen = [task_id for task_id, numbers in self.numbers.items() if not named.isdisjoint(numbers)]
        torn = [task_id for task_id in chosen if not named.issuperset(self.numbers[task_id])]
        refuse(*(InputProblem(self._belongs_together(task_id)) for task_id in torn))
        return frozenset(chosen)

    def in_words(self, task_ids: Collection[int]) -> str:
        """Return the numbers of these tasks in the form that `task_ids` reads."""
        return in_ranges([number for task_id in task_ids for number in self.numbers.get(task_id, ())])

    def _belongs_together(self, task_id: int) -> str:
        return f"{self.in_words([task_id])} belong together: choose all of them, or none."


def approval_choice(db: Database, user: User, job_id: int) -> ApprovalChoice:
    """Return the tasks of a job as they can be chosen.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
    """
    with db.reading() as session:
        visible(session.get(Job, job_id), user, job_id)
        tasks = session.exec(
            select(Task.id, Task.rows).where(Task.job_id == job_id).order_by(col(Task.id))
        ).all()
    every = [row for _, rows in tasks for row in rows]
    are_rows = all(rows for _, rows in tasks) and len(set(every)) == len(every)
    numbers = {
        task_id: tuple(rows) if are_rows else (position,)
        for position, (task_id, rows) in enumerate(tasks, start=1)
    }
    return ApprovalChoice(numbers, are_rows)
