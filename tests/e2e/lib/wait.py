"""Waiting is always for a condition and always bounded.

until(condition, seconds, what) polls in short steps and gives back the first
true value; when the bound passes the test fails and says what was waited for.
A bound is there to end a hang and proves nothing: whoever waits for something
that will come waits patience(seconds), which is a minute at the least, since a
loaded machine may stop a program for many seconds. All are stretched under a
sanitizer, whose programs are several times slower.
"""
import os
import selectors
import time

STEP_S = 0.005
HANG_S = 60.0  # no step of a test takes that long
SLOW = 4.0 if 'san' in os.path.basename(os.environ.get('YOI_BUILD', '')) else 1.0


def bound(seconds):
    return seconds * SLOW


def patience(seconds):
    """The bound of a wait for what will come."""
    return bound(max(seconds, HANG_S))


def until(condition, seconds=10.0, what='condition'):
    end = time.monotonic() + patience(seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'not within {patience(seconds):.1f} s: {what}')
        time.sleep(STEP_S)  # the one poll of a condition


def readable(sockets, seconds=None):
    """Those with something to read, or none in time. select() knows no descriptor
    above 1023, and a process that has watched with thousands has those."""
    found = selectors.DefaultSelector()
    with found:
        for s in sockets:
            found.register(s, selectors.EVENT_READ)
        return [key.fileobj for key, _ in found.select(seconds)]
