"""Version 1 of the REST API; each module has the routes of its name, `routes` holds them together.

What only looks for something takes it in a body, never in the URL: URLs end up in the logs of proxies, and
patient data must not.
"""
