"""`make bench-deid`: ADIT, dicognito and dicom-anonymizer on one synthetic key, and how fast they are.

The key is our own, in the manner of MIDI-B; this is no MIDI-B score.
"""

import argparse
import warnings

from rich.console import Console

from tests.bench.contest import hold
from tests.bench.deid import speed
from tests.bench.deid.contestants import CONTESTANTS, files_of
from tests.bench.deid.key import answer_key
from tests.bench.deid.report import figures, misses_table, score_table
from tests.bench.deid.scorer import Score, score
from tests.bench.report import circumstances_table, keep, speed_table


def main() -> None:
    """Score all contestants, let them race, print tables and keep the results."""
    warnings.simplefilter("ignore")  # contestants write values that pydicom warns of
    options = _options()
    console = Console(width=130)
    scores = _scores(options.instances, options.seed)
    console.print(score_table(scores, options.instances))
    console.print(misses_table("ADIT", scores["ADIT"]))
    result = hold(speed.contest(options.images), options.rounds)
    console.print(speed_table(result))
    console.print(circumstances_table())
    console.print(f"Results: {keep(vars(options), [result], figures(scores), name='deid')}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-deid", description=__doc__)
    parser.add_argument("--instances", type=int, default=550, help="instances of the key")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--images", type=int, default=100, help="CT images of 512 x 512 for the speed")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def _scores(instances: int, seed: int) -> dict[str, Score]:
    key = answer_key(instances, seed)
    files = files_of(key)
    return {name: score(key, contestant(files)) for name, contestant in CONTESTANTS.items()}


if __name__ == "__main__":
    main()
