"""DICOM: nodes, queries, associations, and the way a study takes from a source to a destination.

Nothing in here knows a database, Prefect or the web; a script may use it alone.
"""
