#!/usr/bin/env python3
"""A stranger's path: the packages in a Debian of their own, without this tree.

deb.py --build DIR

As root, with a mirror: `make deb-check`. debootstrap makes the smallest Debian of
this machine's release once, below DIR/deb-root, from where this machine's own apt
gets its packages. In a copy of it the packages are installed; the service is
started as its unit says, a runtime is written, built, tried and dropped in, workers
are made over HTTP, the host is killed and started again; what it serves is held to
the contract, and it takes a socket of the unit beside it; then all is purged, and
the files are those from before. Each step that a person would type is counted.

There is no systemd in there. What a manager would do is done by hand, from the
lines of the unit: the user and no capability, no_new_privs, a read-only system
with StateDirectory and RuntimeDirectory, an own /tmp, credentials, the umask,
NOTIFY_SOCKET, ExecStartPre, ExecReload, and LISTEN_FDS of the socket unit. Not
simulated are the filter of system calls, the restrictions that are seccomp's too,
the limit of files, and cgroups; enabling a unit is left out.

All runs in namespaces of its own: what was mounted and started ends with this.
"""
import argparse
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import time

PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
USER = 61184  # of the range that systemd takes for DynamicUser
PORT = 38800
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1  # sched.h, netdevice(7)
URL = f'http://127.0.0.1:{PORT}/api/runtimes'
# What changes with every package or with time, and is nobody's to take away.
PASSING = re.compile(r'^(proc|sys|dev|run|tmp|var/(log|cache|tmp|lib/(apt|dpkg))|'
                     r'etc/ld\.so\.cache|var/lib/systemd/deb-systemd-helper[^/]*$|home)(/|$)')


class Failed(Exception):
    """A step did not do what it should."""


def sh(*command, code=0, **kw):
    done = subprocess.run([*map(str, command)], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
                          universal_newlines=True, **kw)
    if code is not None and done.returncode != code:
        what = ' '.join(map(str, command))
        raise Failed(f'{what}: exit {done.returncode}\n{done.stdout[-4000:]}')
    return done.stdout


def release():
    text = pathlib.Path('/etc/os-release').read_text()
    return re.search(r'^VERSION_CODENAME=(\w+)$', text, re.M).group(1)


def mirror(suite):
    """Where this machine's apt has the release from."""
    uris = sh('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages',
              f'Codename: {suite}', 'Origin: Debian').split()
    if not uris:
        raise Failed(f'apt of this machine has no lists of {suite}; apt-get update')
    return uris[0]


def make_base(base):
    """The smallest Debian, kept for the next time."""
    if base.is_dir():
        return
    suite = release()
    fresh = base.with_name('fresh')
    shutil.rmtree(fresh, ignore_errors=True)
    base.parent.mkdir(parents=True, exist_ok=True)
    print(f'  debootstrap: the smallest {suite}, once', flush=True)
    sh('debootstrap', '--variant=minbase', suite, fresh, mirror(suite))
    for entry in pathlib.Path('/etc/apt').glob('sources.list*'):
        target = fresh / 'etc/apt' / entry.name
        if entry.is_dir():
            shutil.copytree(entry, target, dirs_exist_ok=True)
        else:
            shutil.copy(entry, target)
    acquire = [line for line in sh('apt-config', 'dump', 'Acquire').splitlines()
               if not line.endswith(' "";')]
    (fresh / 'etc/apt/apt.conf.d/99machine').write_text('\n'.join(acquire) + '\n')
    os.rename(fresh, base)


class Root:
    """A copy of the base, with what a system mounts."""

    def __init__(self, base, place):
        self.path = place
        shutil.rmtree(place, ignore_errors=True)
        sh('cp', '-a', base, place)
        for name in ('resolv.conf', 'hosts'):
            shutil.copy(f'/etc/{name}', place / 'etc' / name)
        sh('mount', '-t', 'proc', 'proc', place / 'proc')
        sh('mount', '--rbind', '/dev', place / 'dev')
        # no service is started by an installation that nobody asked to
        (place / 'usr/sbin/policy-rc.d').write_text('#!/bin/sh\nexit 101\n')
        (place / 'usr/sbin/policy-rc.d').chmod(0o755)
        self.commands, self.begin = 0, time.monotonic()

    def run(self, *command, **kw):
        env = {'PATH': PATH, 'DEBIAN_FRONTEND': 'noninteractive', 'LC_ALL': 'C',
               'HOME': '/root'}
        return sh('chroot', self.path, *command, env=env, **kw)

    def typed(self, text, user=None):
        """What a person types, as root or as somebody, in a folder of theirs."""
        begin = time.monotonic()
        who = ['setpriv', f'--reuid={user}', f'--regid={user}', '--clear-groups'] if user else []
        said = self.run(*who, 'sh', '-euc', f'cd {"/home/stranger" if user else "/root"}; {text}')
        self.commands += 1
        print(f'  {time.monotonic() - begin:6.1f} s  {"$" if user else "#"} {text}', flush=True)
        return said

    def files(self):
        found = set()
        for folder, dirs, names in os.walk(self.path):
            at = os.path.relpath(folder, self.path)
            at = '' if at == '.' else at + '/'
            dirs[:] = [d for d in dirs if not PASSING.match(at + d)]
            found |= {at + n for n in dirs + names if not PASSING.match(at + n)}
        return found


class Unit:
    """The service, run from the lines of the installed unit."""

    def __init__(self, root):
        self.root = root
        units = root.path / 'usr/lib/systemd/system'
        self.lines = [line for kind in ('service', 'socket') for line in re.findall(
            r'^(\w+)=(.*)$', (units / f'yoi-host.{kind}').read_text(), re.M)]
        self.proc = self.notify = self.listener = self.fd = None

    def value(self, name):
        return [v for k, v in self.lines if k == name][-1]

    def listen(self):
        """What starting the socket unit does."""
        host, port = self.value('ListenStream').split(':')
        self.listener = socket.create_server((host, int(port)))
        self.fd = fcntl.fcntl(self.listener, fcntl.F_DUPFD, 3)
        expect(self.fd < 10, 'a descriptor that a shell cannot name')

    def prepare(self, credentials):
        """What stands before the process: its folders, in a mount namespace."""
        path, name = self.root.path, self.value('StateDirectory')
        state = path / 'var/lib/private' / name
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        (path / 'var/lib/private').chmod(0o700)
        link = path / 'var/lib' / name
        if not link.is_symlink():
            link.symlink_to(f'private/{name}')
        run = path / 'run' / self.value('RuntimeDirectory')
        secret = path / 'run/credentials/yoi-host.service'
        for folder in (run, secret):
            folder.mkdir(parents=True, exist_ok=True)
        for key, text in credentials.items():
            (secret / key).write_text(text)
            (secret / key).chmod(0o400)
            os.chown(secret / key, USER, USER)
        for folder in (state, run, secret):
            os.chown(folder, USER, USER)
        state.chmod(int(self.value('StateDirectoryMode'), 8))
        secret.chmod(0o500)

    def command(self, line, sockets=False):
        """In namespaces of its own: strict, private, and then without rights."""
        assert self.value('ProtectSystem') == 'strict' and self.value('PrivateTmp') == 'yes'
        assert self.value('DynamicUser') == 'yes' and self.value('CapabilityBoundingSet') == ''
        name = self.value('StateDirectory')
        given = f'exec 3<&{self.fd}; export LISTEN_PID=$$' if sockets else ''
        script = f'''
          mount --rbind {self.root.path} {self.root.path}
          cd {self.root.path}
          mount --bind var/lib/private/{name} var/lib/private/{name}
          chmod 755 var/lib/private
          mount --bind run run
          mount -t tmpfs -o mode=1777 tmpfs tmp
          mount -t tmpfs -o mode=1777 tmpfs var/tmp
          mount -o remount,bind,ro {self.root.path}
          umask {self.value('UMask')}
          {given}
          exec chroot . setpriv --reuid={USER} --regid={USER} --clear-groups --bounding-set=-all \\
            --inh-caps=-all --no-new-privs {line}'''
        return ['unshare', '--mount', 'sh', '-euc', script]

    def env(self):
        given = {'LISTEN_FDS': '1', 'LISTEN_FDNAMES': self.value('FileDescriptorName')}
        return {**(given if self.listener else {}), 'PATH': PATH, 'NOTIFY_SOCKET': '/run/notify',
                'STATE_DIRECTORY': f'/var/lib/{self.value("StateDirectory")}',
                'CREDENTIALS_DIRECTORY': '/run/credentials/yoi-host.service'}

    def start(self, credentials=None):
        self.prepare(credentials or {})
        path = self.root.path / 'run/notify'
        if self.notify:
            self.notify.close()
        path.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # the path inside is longer from here than a socket's may be
        os.chdir(path.parent)
        self.notify.bind('notify')
        os.chmod('notify', 0o666)
        os.chdir('/')
        self.notify.settimeout(60)
        sh(*self.command(self.value('ExecStartPre')), env=self.env())
        with open(self.root.path / 'root/log', 'ab') as log:
            self.proc = subprocess.Popen(
                self.command(self.value('ExecStart'), self.listener is not None), env=self.env(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[self.fd] if self.listener else [])
        self.told('READY=1')

    def told(self, what):
        while True:
            try:
                if what in self.notify.recv(4096).decode().split('\n'):
                    return
            except socket.timeout:
                raise Failed(f'the unit did not say {what}\n{self.log()}') from None

    def log(self):
        return (self.root.path / 'root/log').read_text()[-4000:]

    def reload(self):
        line = self.value('ExecReload').replace('$MAINPID', str(self.proc.pid))
        self.root.run(*shlex.split(line))  # the shell of the start has become the program
        self.told('RELOADING=1')
        self.told('READY=1')

    def end(self, number):
        os.kill(self.proc.pid, number)
        return self.proc.wait(60)


def expect(condition, what, detail=''):
    if not condition:
        raise Failed(f'{what}\n{detail}')


def install(root, packages):
    for p in packages:
        shutil.copy(p, root.path / 'root')
    names = ' '.join(f'./{p.name}' for p in packages)
    root.typed('apt-get update -q')
    # What they need first, so that what they bring can be told from it.
    planned = root.run('sh', '-c', f'cd /root && apt-get install -s {names}')
    needed = [n for n in re.findall(r'^Inst (\S+)', planned, re.M) if not n.startswith('yoi')]
    expect('libcjson1' in needed and 'gcc' in needed, 'their needs are not found', planned)
    begin = time.monotonic()
    root.run('apt-get', 'install', '-y', '-q', '--no-install-recommends', *needed)
    took = time.monotonic() - begin
    print(f'  {took:6.1f} s  (what they need: {len(needed)} packages)', flush=True)
    before = root.files()
    root.typed(f'apt-get install -y -q {names}')
    return before


def own_network():
    """From here on 127.0.0.1 is nobody else's: the port of the config is free."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise Failed(f'no network of its own: {os.strerror(ctypes.get_errno())}')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack('16sh22x', b'lo', IFF_UP))


def use(root):
    """From an installed package to a worker in a runtime of one's own."""
    own_network()
    service = Unit(root)
    curl = "curl -sS -H 'Content-Type: application/json'"
    service.start()
    root.commands += 1  # systemctl start yoi-host
    pid = pathlib.Path(f'/proc/{service.proc.pid}/status').read_text()
    expect(re.search(rf'^Uid:\s+{USER}\s+{USER}', pid, re.M) and
           re.search(r'^CapBnd:\s+0+$', pid, re.M) and re.search(r'^NoNewPrivs:\s+1$', pid, re.M),
           'it does not run as the unit says', pid)
    said = root.typed(f"{curl} {URL}/main/workers -d '{{\"worker_id\": \"ada\"}}'")
    expect(json.loads(said)['worker']['worker_id'] == 'ada', 'no worker', said)
    root.typed(f"{curl} {URL}/main/workers/ada/input -d '{{\"content\": \"hello\"}}'")

    (root.path / 'home/stranger').mkdir()
    os.chown(root.path / 'home/stranger', 1000, 1000)
    root.typed('yoi-host plugin new runtime mine', user=1000)
    root.typed('make -C mine check', user=1000)
    root.typed('yoi-conform mine/build/mine.so', user=1000)
    root.typed('install /home/stranger/mine/build/mine.so /usr/local/lib/yoi/runtimes/')
    service.reload()
    root.commands += 1  # systemctl reload yoi-host
    said = root.typed(f'curl -sS {URL}/mine/workers')
    expect(json.loads(said)['workers'] == [], 'what was dropped in does not answer', said)

    expect(service.end(9) == -9, 'it was not killed')
    service.start()
    said = root.typed(f'curl -sS {URL}/main/workers/ada')
    expect(json.loads(said)['worker']['worker_id'] == 'ada', 'the worker is gone', said)
    said = root.run('curl', '-sS', f'{URL}/main/workers/ada/transcript')
    expect('hello' in said, 'what was said to it is gone', said)
    expect(service.end(15) == 0, 'it did not end in order', service.log())
    return service


def credentials(root, service):
    """A token that reaches the service as LoadCredential= would bring it."""
    config = root.path / 'etc/yoi/yoi.json'
    kept = config.read_text()
    value = 'a-credential-of-the-test-0123456789'
    config.write_text('''{ "runtimes": [ { "id": "main", "plugin": "dev.yoi.fs-store",
      "config": { "root": "/var/lib/yoi/main" } } ],
      "models": [ { "name": "main", "plugin": "dev.yoi.model-script" } ],
      "ingress": [ { "plugin": "dev.yoi.ingress-http", "surface": "runtime", "runtime": "main",
        "listen": "127.0.0.1:%d", "token": "secret:t" } ],
      "local": { "secrets": { "t": { "file": "${CREDENTIALS_DIRECTORY}/t" } } } }''' % PORT)
    service.start({'t': value})
    asked = ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}',
             f'http://127.0.0.1:{PORT}/v1/workers']
    expect(root.run(*asked) == '401', 'it lets in without the token')
    said = root.run(*asked, '-H', f'Authorization: Bearer {value}')
    expect(said == '200', f'the token is not good: {said}', service.log())
    token = root.path / 'tmp/token'
    token.write_text(value)
    token.chmod(0o600)
    said = root.run('yoi-conform', '--url', f'http://127.0.0.1:{PORT}', '--token', '/tmp/token')
    token.unlink()
    print(f'  what the service serves: {said.strip().splitlines()[-1]}', flush=True)
    expect(service.end(15) == 0, 'it did not end in order', service.log())
    config.write_text(kept)
    print('  a credential is read from $CREDENTIALS_DIRECTORY', flush=True)


def activation(root, service):
    """The unit with a socket: who connects while nothing runs is answered."""
    config = root.path / 'etc/yoi/yoi.json'
    kept = config.read_text()
    named = kept.replace(f'"127.0.0.1:{PORT}"', f'"socket:{service.value("FileDescriptorName")}"')
    expect(named != kept, 'the config has no listener at the address of the unit', kept)
    config.write_text(named)
    service.listen()
    for number, code in ((9, -9), (15, 0)):
        with socket.create_connection(('127.0.0.1', PORT)) as waits:
            waits.settimeout(60)
            waits.sendall(b'GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\n\r\n' % PORT)
            service.start()
            said = waits.recv(4096)
        expect(said.startswith(b'HTTP/1.1 200 '), f'{said}', service.log())
        expect(service.end(number) == code, 'it did not end as it should', service.log())
    service.listener.close()
    os.close(service.fd)
    service.listener = None
    config.write_text(kept)
    print('  the socket of the unit is served, and waits over a restart', flush=True)


def purge(root, before):
    (root.path / 'usr/local/lib/yoi/runtimes/mine.so').unlink()
    root.typed('apt-get purge -y -q yoi yoi-dev')
    (root.path / 'root/log').unlink()  # the simulated journal
    after = root.files()
    # systemd's own folder, which the simulation has made in its place
    left = after - before - {'var/lib/private'}
    expect(not left, 'a purge leaves', '\n'.join(sorted(left)))
    expect(not before - after, 'a purge takes away', '\n'.join(sorted(before - after)))


def check(build):
    packages = sorted((build / 'deb').glob('*.deb'), key=lambda p: p.stat().st_mtime)[-2:]
    expect(len(packages) == 2, 'no packages; make deb')
    make_base(build / 'deb-root/base')
    root = Root(build / 'deb-root/base', build / 'deb-root/work')
    before = install(root, packages)
    sh('lintian', '--fail-on', 'error,warning', *packages)
    service = use(root)
    credentials(root, service)
    activation(root, service)
    purge(root, before)
    took = (time.monotonic() - root.begin) / 60
    print(f'  {root.commands} commands, {took:.1f} minutes', flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    options.add_argument('--build', type=pathlib.Path, default=pathlib.Path('build'))
    options.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
    given = options.parse_args()
    if os.geteuid() != 0 or not shutil.which('debootstrap'):
        print('deb.py: SKIPPED: needs root, and debootstrap', flush=True)
        return 77
    if not given.inside:
        return subprocess.run(['unshare', '--mount', '--pid', '--fork', '--kill-child',
                               '--mount-proc', sys.executable, __file__, '--inside', '--build',
                               str(given.build.resolve())], check=False).returncode
    try:
        check(given.build)
    except Failed as e:
        print(f'deb.py: FAILED: {e}', flush=True)
        return 1
    print('deb.py: passed', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
