"""`adit secrets …`: the keys that passwords and private keys are encrypted with in the database."""

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db.secrets import new_key
from adit_core.services.secret_rotation import rotate_secrets
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


def _rotated(result: dict[str, int]) -> RenderableType:
    return cell(f"{result['rotated']} secrets are encrypted with the first key.")
