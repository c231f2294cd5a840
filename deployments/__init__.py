"""How ADIT is put into operation: images, configuration, and the demo.

Prefect reads its settings when it is imported and knows no files with secrets, so these are taken over before
any entry point below imports it.
"""

from adit_core.secret_files import adopt_secrets_of_prefect

adopt_secrets_of_prefect()
