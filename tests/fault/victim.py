#!/usr/bin/env python3
"""A program for the tests of the shim: it does what its lines of input say.

Each line is a list in JSON, a name of `os` and its arguments; the answer is a
line too, ["ok", result] or ["error", "ENOSPC"]. A text that begins with @ is a
descriptor that an earlier line opened, under that name; bytes are hex behind x'.
"""
import ctypes
import errno
import json
import os
import sys
import threading
import time

held = {}


def value(v):
    if isinstance(v, str) and v.startswith('@'):
        return held[v]
    if isinstance(v, str) and v.startswith("x'"):
        return bytes.fromhex(v[2:])
    return [value(x) for x in v] if isinstance(v, list) else v


def threads(path, count, each):
    """Many threads write into files of their own at once."""
    def run(n):
        fd = os.open(f'{path}/{n}', os.O_CREAT | os.O_WRONLY, 0o600)
        for _ in range(each):
            os.write(fd, b'x')
        os.close(fd)
    running = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for t in running:
        t.start()
    for t in running:
        t.join()


def openat2(path):
    """What only `syscall` can ask for."""
    how = (ctypes.c_uint64 * 3)(os.O_RDONLY | os.O_CLOEXEC, 0, 0)
    fd = libc.syscall(437, -100, path.encode(), ctypes.byref(how), 24)
    if fd < 0:
        raise OSError(ctypes.get_errno(), 'openat2')
    return fd


libc = ctypes.CDLL(None, use_errno=True)
CALLS = {'openat2': openat2, 'threads': threads, 'time': time.time,
         'scandir': lambda p: sorted(os.listdir(p))}

for line in sys.stdin:
    name, *args = json.loads(line)
    keep = args.pop(0) if name == 'open' else None
    keys = args.pop() if args and isinstance(args[-1], dict) else {}
    try:
        call = CALLS.get(name) or getattr(os, name)
        out = call(*map(value, args), **{k: value(v) for k, v in keys.items()})
        if keep:
            held[keep] = out
        out = out.hex() if isinstance(out, bytes) else out if isinstance(
            out, (int, float, list, type(None))) else str(out)
        print(json.dumps(['ok', out]), flush=True)
    except OSError as e:
        print(json.dumps(['error', errno.errorcode[e.errno]]), flush=True)
