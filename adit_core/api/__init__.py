"""The web process: one FastAPI application, with the dashboard mounted in it behind a session gate.

Start reading at :mod:`adit_core.api.app`.
"""
