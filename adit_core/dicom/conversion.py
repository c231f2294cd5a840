"""Conversion of the instances of one series to NIfTI by the program dcm2niix.

dcm2niix is not a library: it reads a folder and writes a folder. What it says holds names of files and
now and then values of data elements, so that none of it is passed on. What it did follows from its exit
status and from how many instances it says went into images.
"""

import re
import subprocess
from enum import StrEnum
from pathlib import Path

from dcm2niix import bin_path

from adit_core.dicom.node import SidecarContent

IMAGE_SUFFIX = ".nii"

_CONVERTED = re.compile(rb"^Convert (\d+) DICOM ", re.MULTILINE)
_DISK_FULL = b"(disk full?)"
_OPTIONS = (
    *("-f", "image"),  # the names of volumes: image, image_e2 for a second echo, and so on
    *("-b", "y"),  # sidecars
    *("-z", "n"),  # compressed by the caller, who has something to change before
    *("-w", "2"),  # a second volume of one name gets a suffix
    *("-g", "i"),  # whatever the user who runs this has as defaults
)


class Conversion(StrEnum):
    """What came of a conversion."""

    CONVERTED = "converted"
    DOUBTFUL = "converted, but dcm2niix found the series irregular, such as slices of unequal distance"
    PARTIAL = "dcm2niix could not convert some instances of the series"
    NO_IMAGES = "the series holds no images that NIfTI can hold"
    NO_SPACE = "no space was left for the volumes"
    CRASHED = "dcm2niix could not be run, or crashed"
    TIMED_OUT = "dcm2niix took too long"

    @property
    def is_complete(self) -> bool:
        """True if every instance went into an image."""
        return self in {Conversion.CONVERTED, Conversion.DOUBTFUL}

    @property
    def is_passing(self) -> bool:
        """True if it may come out better another time."""
        return self in {Conversion.CRASHED, Conversion.TIMED_OUT}


def convert(
    instances: Path, into: Path, *, count: int, timeout: float, sidecars: SidecarContent
) -> Conversion:
    """Convert the `count` files in a folder, and write volumes and sidecars into another one.

    ============ ============ ======================== =========
    exit status  volumes      instances in them        status
    ============ ============ ======================== =========
    0            some         all                      CONVERTED
    positive     some         all                      DOUBTFUL
    any          some         fewer                    PARTIAL
    not negative none                                  NO_IMAGES
    negative     any                                   CRASHED
    any          dcm2niix says that the disk is full   NO_SPACE
    ============ ============ ======================== =========

    Args:
        instances: A folder of Part 10 files, of one series and nothing else.
        into: An empty folder.
        count: How many files there are.
        timeout: In seconds.
        sidecars: What sidecars tell, as far as dcm2niix goes.
    """
    anonymized = "n" if sidecars is SidecarContent.EVERYTHING else "y"
    command = (str(bin_path), *_OPTIONS, "-ba", anonymized, "-o", str(into), str(instances))
    try:
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Conversion.TIMED_OUT
    except OSError:
        return Conversion.CRASHED
    if _DISK_FULL in run.stderr:
        return Conversion.NO_SPACE
    converted = sum(map(int, _CONVERTED.findall(run.stdout)))
    has_volumes = any(into.glob(f"*{IMAGE_SUFFIX}"))
    return _outcome(run.returncode, converted if has_volumes else 0, count)


def _outcome(exit_status: int, converted: int, count: int) -> Conversion:
    if exit_status < 0:
        return Conversion.CRASHED
    if not converted:
        return Conversion.NO_IMAGES
    if converted < count:
        return Conversion.PARTIAL
    return Conversion.DOUBTFUL if exit_status else Conversion.CONVERTED
