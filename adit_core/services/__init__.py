"""The use cases, one file each.

They know the database and DICOM, but not the web; Prefect is known to the launcher alone.

A job's life, in reading order: `batch_file` and `submit` make it, `launching` has it run, `claims` and
`progress` are what its execution calls, `task_status` and `job_status` decide what it is called,
`jobs` shows and changes it, `reconcile` repairs it.
"""
