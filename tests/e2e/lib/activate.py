"""Sockets that are bound before the host is there, as a service manager gives them.

give(host, {'web': sock}) starts that host from then on as systemd would: the
sockets are its descriptors 3 and on, and LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES say
so. Keywords replace those variables; None leaves one out.
"""
import socket
import sys

# Dups away from 3, so that no copy lands on one that is still to be copied.
PROGRAM = '''
import fcntl, os, sys
n = int(sys.argv[1])
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in sys.argv[2:2 + n]]
for fd in sys.argv[2:2 + n]:
    os.close(int(fd))
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
if os.environ.get('LISTEN_PID') == 'self':
    os.environ['LISTEN_PID'] = str(os.getpid())
os.execv(sys.argv[2 + n], sys.argv[2 + n:])
'''


def give(host, given, **variables):
    given = list(given.items()) if isinstance(given, dict) else list(given)
    fds = [s.fileno() for _, s in given]
    host.argv = [sys.executable, '-c', PROGRAM, str(len(fds)), *map(str, fds), *host.argv]
    host.pass_fds = tuple(fds)
    say = {'LISTEN_PID': 'self', 'LISTEN_FDS': str(len(fds)),
           'LISTEN_FDNAMES': ':'.join(name for name, _ in given), **variables}
    host.env = {k: v for k, v in {**host.env, **say}.items() if v is not None}
    return host


def tcp(address='127.0.0.1', port=0):
    s = socket.socket()
    s.bind((address, port))
    s.listen()
    return s


def unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen()
    return s


def address(s):
    name = s.getsockname()
    return f'unix:{name}' if s.family == socket.AF_UNIX else f'{name[0]}:{name[1]}'
