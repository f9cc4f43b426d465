"""The disk after a power cut, built from a trace of tests/fault/shim.c.

A kill leaves what the kernel holds; a power cut leaves what was synced, and of
the rest anything. Trace(file).cut(tick, how, into) writes what a disk may have
at that moment:

    least   only what a sync that had ended covers
    most    all, as behind a kill
    dice    of each file any of its later sectors, of each folder its later
            changes up to some point

A sync covers what had ended before it began. fsync of a file says nothing of
its name: that is the folder's, as POSIX has it; syncfs covers all.
"""
import collections
import os
import pathlib
import random
import struct

from .fault import CALLS

HEAD = struct.Struct('<QQQIIIHH')
SECTOR = 512
Op = collections.namedtuple('Op', 'begin end call offset flags path other data')


class File:
    """An inode: what is durable, and what came later, in order."""

    def __init__(self, folder=False):
        self.folder, self.bytes, self.later = folder, bytearray(), []
        self.names, self.entries = {}, []  # of a folder: durable names, later changes

    @staticmethod
    def apply(data, op, sectors=None):
        if op.call == 'write':
            end = op.offset + len(op.data)
            if len(data) < end:
                data.extend(bytes(end - len(data)))
            at = op.offset
            while at < end:
                to = min(end, (at // SECTOR + 1) * SECTOR)
                if sectors is None or sectors():
                    data[at:to] = op.data[at - op.offset:to - op.offset]
                at = to
        elif op.call == 'allocate':
            data.extend(bytes(max(0, op.offset - len(data))))
        else:  # truncate; also an open that does
            del data[op.offset:]
            data.extend(bytes(op.offset - len(data)))


class Trace:
    def __init__(self, file, root):
        self.root, self.ops = str(root), []
        text, at = pathlib.Path(file).read_bytes(), 0
        while at < len(text):
            begin, end, offset, call, flags, n, path, other = HEAD.unpack_from(text, at)
            at += HEAD.size
            names = text[at:at + path + other].decode()
            at += path + other
            self.ops.append(Op(begin, end, CALLS[call], offset, flags, names[:path], names[path:],
                               text[at:at + n]))
            at += n
        self.ops.sort(key=lambda op: op.end)

    @property
    def last(self):
        return self.ops[-1].end

    def cut(self, tick, how, into, seed=0):
        disk = _Disk(self.root)
        for op in self.ops:
            if op.end >= tick:
                break
            disk.take(op)
        disk.leave(pathlib.Path(into), how, random.Random(seed))


class _Disk:
    def __init__(self, root):
        self.root, self.top = root, File(folder=True)
        self.live, self.all = {root: self.top}, [self.top]

    def take(self, op):
        is_root = op.path == self.root and op.call in ('mkdir', 'open')
        if is_root or op.path.endswith(' (deleted)'):
            return
        getattr(self, op.call)(op)

    def enter(self, op, path, file):
        """A change of one folder: the name stands for that file, or for none."""
        folder, name = os.path.split(path)
        self.live[folder].entries.append((op, name, file))
        if file is None:
            self.live.pop(path, None)
        else:
            self.live[path] = file

    def made(self, op, folder):
        file = File(folder)
        self.all.append(file)
        self.enter(op, op.path, file)

    def open(self, op):
        if op.flags & os.O_CREAT and op.path not in self.live:
            self.made(op, False)
        elif op.flags & os.O_TRUNC:
            self.live[op.path].later.append(op._replace(call='truncate', offset=0))

    def mkdir(self, op):
        self.made(op, True)

    def write(self, op):
        self.live[op.path].later.append(op)
    truncate = allocate = write

    def rename(self, op):
        file = self.live[op.path]
        self.enter(op, op.path, None)
        self.enter(op, op.other, file)

    def unlink(self, op):
        self.enter(op, op.path, None)

    def sync(self, op):
        self.settle(self.live[op.path], op.begin)
    fsync = fdatasync = sync

    def syncfs(self, op):
        for file in self.all:
            self.settle(file, op.begin)

    def sync_range(self, op):
        """It promises nothing."""

    def mode(self, op):
        """Who may read a file is not what is lost."""

    def link(self, op):
        raise AssertionError('a store that makes links')

    @staticmethod
    def settle(file, before):
        later = []
        for op in file.later:
            if op.end < before:
                File.apply(file.bytes, op)
            else:
                later.append(op)
        file.later = later
        # In order: a change that was under way holds up those behind it.
        while file.entries and file.entries[0][0].end < before:
            _, name, what = file.entries.pop(0)
            file.names[name] = what

    def leave(self, into, how, rng):
        for file in self.all:
            n = {'least': 0, 'most': len(file.entries)}.get(how, rng.randint(0, len(file.entries)))
            for _, name, what in file.entries[:n]:
                file.names[name] = what
            for op in file.later if how != 'least' else ():
                File.apply(file.bytes, op, (lambda: rng.random() < 0.5) if how == 'dice' else None)
        self.put(into, self.top)

    def put(self, path, folder):
        path.mkdir(mode=0o700)
        for name, file in folder.names.items():
            if file is not None and file.folder:
                self.put(path / name, file)
            elif file is not None:
                (path / name).write_bytes(file.bytes)
                (path / name).chmod(0o600)
