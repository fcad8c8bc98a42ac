"""Seeds: every use of randomness gets its own, derived from (study seed, purpose, index)."""

import hashlib


def seed_for(study_seed: int, purpose: str, index: int = 0) -> int:
    """Derive the seed of one use of randomness.

    The index is the replicate, the epoch or the draw, never a trial's number: two trials with the same
    settings must get the same seeds, or nothing could be shared between them.

    Args:
        study_seed: The study's own seed.
        purpose: What the numbers are for, such as `"head init"`.
        index: The replicate, epoch or draw.

    Returns:
        A whole number in [0, 2**32).
    """
    text = f"{study_seed}\0{purpose}\0{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
