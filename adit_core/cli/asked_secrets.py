"""Secrets that commands need: taken from environment variables, else asked for.

They are never options: what is on a command line is seen by all users of the machine, and kept in files.
"""

import os
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import typer

from adit_core.dicom.credentials import (
    BasicCredentials,
    BearerToken,
    ClientCredentials,
    Credentials,
    HeaderCredentials,
)

WEB_VARIABLE = "ADIT_WEB_SECRET"
PROXY_VARIABLE = "ADIT_PROXY_PASSWORD"
ARCHIVE_VARIABLE = "ADIT_ARCHIVE_PASSWORD"


def asked_secret(variable: str, what: str, *, is_new: bool = False) -> str:
    """Return the secret that is in an environment variable, or ask for it; twice, if it is made up now."""
    given = os.environ.get(variable)
    return given or typer.prompt(what, hide_input=True, confirmation_prompt=is_new, err=True)


def asked_credentials(
    *, basic: str, bearer: bool, header: str, client: str, token_url: str, scope: str
) -> Credentials | None:
    """Return the credentials of the kind whose option was given, with their secret; None if none was.

    Raises:
        BadParameter: Options do not go together.
    """
    given = list(_given(basic=basic, bearer=bearer, header=header, client=client))
    if len(given) > 1:
        raise typer.BadParameter(f"A server is told in one way who we are: {' or '.join(given)}.")
    if bool(client) != bool(token_url) or (scope and not client):
        raise typer.BadParameter("--client needs --token-url, and these two and --scope are of no other use.")
    if basic:
        return BasicCredentials(basic, asked_secret(WEB_VARIABLE, "Password"))
    if bearer:
        return BearerToken(asked_secret(WEB_VARIABLE, "Token"))
    if header:
        return HeaderCredentials(header, asked_secret(WEB_VARIABLE, "Value of the header"))
    if client:
        return ClientCredentials(token_url, client, asked_secret(WEB_VARIABLE, "Client secret"), scope)
    return None


def asked_proxy(url: str) -> str:
    """Return the URL of a proxy; if it names a user, with the password.

    Raises:
        BadParameter: It has a password already, which others could see.
    """
    try:
        user, at, host = urlsplit(url).netloc.rpartition("@")
    except ValueError:  # an address in brackets that is none; refused later on, in words
        return url
    if not at:
        return url
    if ":" in user:
        raise typer.BadParameter("Leave out the password, it is asked for.", param_hint="--proxy")
    password = asked_secret(PROXY_VARIABLE, "Password of the proxy")
    return url.replace(f"{user}@{host}", f"{user}:{quote(password, safe='')}@{host}", 1)


def _given(**options: str | bool) -> Iterator[str]:
    return (f"--{name}" for name, value in options.items() if value)
