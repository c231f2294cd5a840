"""Paths that both the server and the pages know."""

SIGN_IN_PATH = "/auth/sign-in"
SIGN_OUT_PATH = "/auth/sign-out"
PROVIDER_PATH = "/auth/provider"
"""Where a browser begins to sign in by the OpenID provider."""
PROVIDER_CALLBACK_PATH = "/auth/provider/callback"
"""Where the provider sends it back to; the provider has to know it."""
