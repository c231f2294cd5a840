"""`adit secrets …`: the keys that passwords and private keys are encrypted with in the database."""

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db.secrets import new_key
from adit_core.services.secret_rotation import SecretCounts, count_secrets, rotate_secrets
from adit_core.terminal import cell

app = new_app("The keys that secrets in the database are encrypted with.")


@app.command("new-key")
def make_key(as_json: AsJson = False) -> None:
    """Print a new key for ADIT_SECRET_KEYS. It is not kept anywhere."""
    present({"key": new_key()}, lambda made: cell(made["key"]), as_json=as_json)


@app.command()
def rotate(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Encrypt all secrets with the first key of ADIT_SECRET_KEYS; afterwards the others are not needed."""
    with open_database() as db:
        number = rotate_secrets(db, actor=acting_user(ctx, db))
    present({"rotated": number}, _rotated, as_json=as_json)


@app.command()
def check(as_json: AsJson = False) -> None:
    """Find out whether the keys at hand open all secrets. Exit status 1 if they do not."""
    with open_database() as db:
        counts = count_secrets(db)
    present(counts, _counted, as_json=as_json)
    if counts.unreadable:
        raise typer.Exit(1)


def _counted(counts: SecretCounts) -> RenderableType:
    if counts.unreadable:
        number = counts.readable + counts.unreadable
        return cell(
            f"{counts.unreadable} of {number} secrets were sealed with a key that is not at hand. Find it, "
            "or give what it was for again: `adit profiles add --replace`.",
            "red",
        )
    return cell(f"All {counts.readable} secrets can be read.")


def _rotated(result: dict[str, int]) -> RenderableType:
    return cell(f"{result['rotated']} secrets are encrypted with the first key.")
