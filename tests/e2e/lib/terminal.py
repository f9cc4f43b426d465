"""A program on a terminal of its own, as a person sees it.

Terminal(argv, folder).start() gives it a pseudo-terminal as its controlling
one, so that Ctrl-C and Ctrl-D mean what they mean. see(text) waits until text
was shown behind what was waited for before; type(text) is a line with Enter.
"""
import fcntl
import os
import pty
import signal
import subprocess
import termios
import threading

from . import wait
from .host import environment

CTRL_C, CTRL_D = b'\x03', b'\x04'


class Terminal:
    def __init__(self, argv, folder, env=None):
        self.argv, self.folder = [str(a) for a in argv], folder
        self.env = environment(folder, env)
        self.shown, self.at, self.changed = '', 0, threading.Condition()

    def start(self):
        self.ours, theirs = pty.openpty()
        mode = termios.tcgetattr(theirs)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        self.proc = subprocess.Popen(
            self.argv, cwd=self.folder / 'home', env=self.env, stdin=theirs, stdout=theirs,
            stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def _read(self):
        data = b''
        while True:
            try:
                more = os.read(self.ours, 4096)
            except OSError:
                more = b''
            data += more
            with self.changed:
                self.shown = data.decode('utf-8', errors='replace').replace('\r\n', '\n')
                self.changed.notify_all()
            if not more:
                return

    def see(self, text, seconds=20.0):
        with self.changed:
            found = self.changed.wait_for(lambda: text in self.shown[self.at:],
                                          wait.patience(seconds))
            assert found, f'{text!r} was not shown; shown: {self.shown!r}'
            self.at = self.shown.index(text, self.at) + len(text)

    def key(self, code):
        os.write(self.ours, code)

    def type(self, text):
        os.write(self.ours, text.encode() + b'\n')

    def wait_exit(self, seconds=20.0):
        try:
            code = self.proc.wait(wait.patience(seconds))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f'it does not end; shown: {self.shown!r}') from None
        self.reader.join(wait.patience(5))
        return code

    def kill(self):
        try:
            os.killpg(self.proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.proc.wait()
        self.reader.join(wait.patience(5))
        os.close(self.ours)
