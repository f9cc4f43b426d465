"""A disk that fails: the other side of tests/fault/shim.c.

    disk = Disk(folder, root)
    host = Host(folder, config, env=disk.env)
    disk.arm('EIO', 3, calls=('fdatasync',))   # the third from now on
    ...
    assert disk.hits == 1

The counters are read and the faults armed in a file that both map. calls is a
set of kinds of calls, only a text that stands in the path below the root. An
armed fault is for the n-th call that fits, or with `on` for all from there on. A
call that is `slow` takes so many ms more.
"""
import collections
import contextlib
import ctypes
import errno
import mmap
import os
import pathlib

from .host import BUILD

SHIM = BUILD / 'tests/fault/shim.so'

CALLS = ('open', 'read', 'write', 'fsync', 'fdatasync', 'syncfs', 'sync_range', 'rename', 'unlink',
         'truncate', 'allocate', 'mkdir', 'close', 'stat', 'dir', 'link', 'mode')
CHANGES = ('write', 'fsync', 'fdatasync', 'rename', 'unlink', 'truncate', 'allocate', 'mkdir')
ERRORS = ('ENOSPC', 'EIO', 'EDQUOT', 'EROFS', 'EINTR')
_NONE, _ERRNO, _SHORT, _FULL, _BEFORE, _AFTER, _TORN, _SLOW = range(8)
KINDS = {**{name: (_ERRNO, getattr(errno, name)) for name in ERRORS},
         'short': (_SHORT, 0), 'full': (_FULL, errno.ENOSPC), 'crash_before': (_BEFORE, 0),
         'crash_after': (_AFTER, 0), 'crash_torn': (_TORN, 0), 'slow': (_SLOW, 600)}
CRASHES = ('crash_before', 'crash_after', 'crash_torn')
LOG_MAX = 1 << 14
U64 = ctypes.c_uint64

Call = collections.namedtuple('Call', 'n call path error matched')


class _Logged(ctypes.Structure):
    _fields_ = [('call', ctypes.c_uint32), ('error', ctypes.c_int32), ('matched', U64),
                ('tail', ctypes.c_char * 48)]


class _Control(ctypes.Structure):
    _fields_ = [(name, U64) for name in ('magic', 'calls', 'ticks', 'mask', 'matched', 'from_',
                                         'to', 'fault', 'error', 'hits', 'first')] + \
               [('only', ctypes.c_char * 128), ('log_max', U64),
                ('pad', ctypes.c_char * (4096 - 11 * 8 - 128 - 8)), ('log', _Logged * LOG_MAX)]


class Disk:
    def __init__(self, folder, root, trace=None, clock=None):
        """folder: for the control file; root: the store's, as the program names it."""
        assert SHIM.exists(), f'{SHIM} is not built'
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.root, self.file = pathlib.Path(root), folder / 'fault.control'
        with open(self.file, 'w+b') as f:
            f.truncate(ctypes.sizeof(_Control))
            self.map = mmap.mmap(f.fileno(), ctypes.sizeof(_Control))
        self.c = _Control.from_buffer(self.map)
        self.c.log_max = LOG_MAX
        self.c.magic = int.from_bytes(b'yoifault', 'little')
        self.env = {'LD_PRELOAD': str(SHIM), 'YOI_FAULT_ROOT': str(root),
                    'YOI_FAULT_CONTROL': str(self.file),
                    'YOI_FAULT_TRACE': trace and str(trace),
                    'YOI_FAULT_CLOCK': None if clock is None else str(clock)}
        if 'san' in os.path.basename(BUILD):
            from .host import SANITIZERS
            self.env['ASAN_OPTIONS'] = SANITIZERS['ASAN_OPTIONS'] + ':verify_asan_link_order=0'

    def arm(self, kind, n=1, on=False, calls=CALLS, only=''):
        """The n-th call that fits fails, or with `on` all from there on."""
        self.disarm()
        c = self.c
        c.mask = sum(1 << CALLS.index(name) for name in calls)
        c.only = only.encode()
        c.fault, c.error = KINDS[kind]
        c.matched = c.hits = c.first = 0
        c.to = (1 << 64) - 1 if on else n
        c.from_ = n
        return self

    def count(self, calls=CALLS, only=''):
        """Counts in `matched` what fits, and lets it pass."""
        self.arm('EIO', 0, calls=calls, only=only)

    def disarm(self):
        self.c.from_ = 0

    calls = property(lambda self: self.c.calls)
    ticks = property(lambda self: self.c.ticks)
    matched = property(lambda self: self.c.matched)
    hits = property(lambda self: self.c.hits)

    def first(self):
        """The call that got the first fault, or None."""
        return self.call(self.c.first) if self.c.first else None

    def call(self, n):
        entry = self.c.log[n - 1]
        name = CALLS[entry.call - 1] if entry.call else '?'
        return Call(n, name, entry.tail.decode(errors='replace'), entry.error, entry.matched)

    def log(self):
        """All calls so far, at most LOG_MAX."""
        return [self.call(n) for n in range(1, min(self.calls, LOG_MAX) + 1)]

    def reset(self):
        """For the next process: everything is zero again."""
        ctypes.memset(ctypes.addressof(self.c.log), 0, ctypes.sizeof(self.c.log))
        self.disarm()
        for name in ('calls', 'ticks', 'mask', 'matched', 'to', 'hits', 'first'):
            setattr(self.c, name, 0)

    def close(self):
        self.c = None
        with contextlib.suppress(BufferError):
            self.map.close()
