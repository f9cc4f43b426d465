"""Waiting is always for a condition and always bounded.

until(condition, seconds, what) polls in short steps and gives back the first
true value; when the bound passes the test fails and says what was waited for.
Bounds are generous, since they are reached only when something is broken, and
stretched once more under a sanitizer, whose programs are several times slower.
"""
import os
import selectors
import time

STEP_S = 0.005
SLOW = 4.0 if 'san' in os.path.basename(os.environ.get('YOI_BUILD', '')) else 1.0


def bound(seconds):
    return seconds * SLOW


def until(condition, seconds=10.0, what='condition'):
    end = time.monotonic() + bound(seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'not within {bound(seconds):.1f} s: {what}')
        time.sleep(STEP_S)  # the one poll of a condition


def readable(sockets, seconds=None):
    """Those with something to read, or none in time. select() knows no descriptor
    above 1023, and a process that has watched with thousands has those."""
    found = selectors.DefaultSelector()
    with found:
        for s in sockets:
            found.register(s, selectors.EVENT_READ)
        return [key.fileobj for key, _ in found.select(seconds)]
