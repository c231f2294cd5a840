"""Tables of scores and misses."""

from collections import Counter
from collections.abc import Mapping

from rich.table import Table

from tests.bench.deid.key import Action
from tests.bench.deid.scorer import Score


def score_table(scores: Mapping[str, Score], instances: int) -> Table:
    """Return the percentage of each action that each contestant took."""
    table = Table(title=f"Score on a synthetic key of {instances} instances, percent of the required actions")
    table.add_column("action")
    table.add_column("required", justify="right")
    for name in scores:
        table.add_column(name, justify="right")
    required = next(iter(scores.values())).required
    for action in Action:
        figures = [f"{found.percent(action):.2f}" for found in scores.values()]
        table.add_row(action, str(required[action]), *figures)
    everything = [f"{found.percent():.2f}" for found in scores.values()]
    table.add_row("all", str(required.total()), *everything, style="bold")
    table.add_row("instances withheld", "", *(str(found.withheld) for found in scores.values()))
    return table


def misses_table(name: str, score: Score, rows: int = 30) -> Table:
    """Return where most actions were missed: paths, never values."""
    table = Table(title=f"Most frequent misses of {name}")
    for title in ("action", "kind", "path", "times"):
        table.add_column(title, justify="right" if title == "times" else "left")
    counted = Counter((miss.action, miss.kind, miss.path) for miss in score.misses)
    for (action, kind, path), times in counted.most_common(rows):
        table.add_row(action, kind, path, str(times))
    return table


def figures(scores: Mapping[str, Score]) -> dict[str, dict[str, float]]:
    """Return all percentages, for the history."""
    return {
        f"De-identification, {name}": {
            **{str(action): found.percent(action) for action in Action},
            "all": found.percent(),
            "withheld": found.withheld,
        }
        for name, found in scores.items()
    }
