"""Numbers, amounts of data and speeds in words."""


def number(value: int) -> str:
    """Return such as ``1,234``."""
    return f"{value:,}"


def many(count: int, one: str, several: str) -> str:
    """Return such as ``1 study`` or ``1,234 studies``."""
    return f"{number(count)} {one if count == 1 else several}"


def data_size(size: float) -> str:
    """Return an amount of bytes such as ``1.2 GB``, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit in ("bytes", "kB") else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def speed(bytes_per_second: float) -> str:
    """Return such as ``23.4 MB/s``."""
    return f"{bytes_per_second / 1e6:.1f} MB/s"
