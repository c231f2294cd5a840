"""Damage to what was recorded of a conversation."""

from random import Random


def mutated(data: bytes, random: Random) -> bytes:
    """Return `data` with one to three damages."""
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data))
        before, hit, behind = data[:at], data[at : at + random.randint(1, 40)], data[at + 1 :]
        match random.randrange(7):
            case 0:
                data = before + bytes([data[at] ^ 1 << random.randrange(8)]) + behind
            case 1:
                data = before + random.choice((b"\x00", b"\x01", b"\x7f", b"\xff")) + behind
            case 2:
                data = before + data[at + len(hit) :]
            case 3:
                data = before + hit + data[at:]
            case 4:
                data = before + random.randbytes(random.randint(1, 12)) + data[at:]
            case 5:
                data = before + b"\xff\xff\xff\xff" + data[at + 4 :]
            case _:
                data = before
        data = data or b"\x00"
    return data
