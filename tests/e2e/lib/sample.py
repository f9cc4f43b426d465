"""Long proofs, in part.

A proof by many cases is whole in the normal build. Another build of the same
sources (tests/run.py: sanitizers, the hard mode) has to meet each kind of case
and not each case, so there YOI_SAMPLE=N takes every N-th, from a seeded place
on. YOI_SEED moves that place, as it moves the dice of the tests themselves.
"""
import os
import random

EVERY = int(os.environ.get('YOI_SAMPLE', 1))
SEED = int(os.environ.get('YOI_SEED', 1))


def some(cases, least=6):
    """Every EVERY-th of a list, but at least so many, if there are."""
    step = max(1, min(EVERY, len(cases) // least))
    return cases[random.Random(f'{SEED}/{len(cases)}').randrange(step)::step]


def count(whole, least):
    """A number of rounds, of which each is as good as the other."""
    return max(least, whole // EVERY)
