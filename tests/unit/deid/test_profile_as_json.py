"""A profile as JSON: the same text whenever it is told, however Python orders its sets."""

import json
from itertools import permutations

from adit_core.deid.profile import DeidProfile, ProfileOption, SafePrivate

OPTIONS = (
    ProfileOption.RETAIN_UIDS,
    ProfileOption.CLEAN_DESCRIPTORS,
    ProfileOption.RETAIN_FULL_DATES,
    ProfileOption.CLEAN_GRAPHICS,
)


def test_sets_are_told_in_order() -> None:
    private = SafePrivate(creator="ACME", group=9, elements=frozenset([32, 0, 8]))
    for options in permutations(OPTIONS):
        profile = DeidProfile(name="x", options=frozenset(options), safe_private=(private,))
        told = json.loads(profile.model_dump_json())
        assert told["options"] == sorted(OPTIONS)
        assert told["excluded_modalities"] == ["PR", "SR"]
        assert told["safe_private"][0]["elements"] == [0, 8, 32]
        assert DeidProfile(**told) == profile
