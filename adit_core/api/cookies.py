"""The cookies that ADIT sets, and how they are to be kept."""

from dataclasses import dataclass

from starlette.responses import Response

from adit_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that scripts of a page cannot read.

    Over TLS it bears the prefix ``__Host-``, by which browsers refuse it from any other host
    (RFC 6265bis 4.1.3.2).
    """

    name: str
    secure: bool
    same_site: str

    def set(self, response: Response, value: str, *, max_age: float) -> None:
        """Have the browser keep the cookie for `max_age` seconds."""
        response.set_cookie(
            self.name,
            value,
            max_age=int(max_age),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite=self.same_site,  # pyright: ignore[reportArgumentType]
        )

    def delete(self, response: Response) -> None:
        """Have the browser forget the cookie."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True)


def session_cookie(settings: Settings) -> Cookie:
    """Return the cookie that holds the token of a session."""
    return _cookie("adit_session", settings, same_site="lax")


def sign_in_cookie(settings: Settings) -> Cookie:
    """Return the cookie that must agree with the hidden field of the sign-in form."""
    return _cookie("adit_sign_in", settings, same_site="strict")


def browser_cookie(settings: Settings) -> Cookie:
    """Return the cookie by which a browser is known in which somebody has signed in before."""
    return _cookie("adit_browser", settings, same_site="strict")


def provider_cookie(settings: Settings) -> Cookie:
    """Return the cookie that binds a sign-in by the OpenID provider to the browser that began it.

    It comes along when the provider's page sends the browser back, so it cannot be `strict`.
    """
    return _cookie("adit_provider", settings, same_site="lax")


def _cookie(name: str, settings: Settings, *, same_site: str) -> Cookie:
    prefix = "__Host-" if settings.secure_cookies else ""
    return Cookie(prefix + name, settings.secure_cookies, same_site)
