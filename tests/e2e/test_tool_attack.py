"""Attacks on the tools of a coder: a model that wants out, over the real binary.

The model is a server of this test (lib.attack), so each call is one that a
hostile model could write; a person allows them all, since what a call can do
must not depend on that. Probes are harmless where they would succeed: they read
files that were planted, send signals to a process that is there for it, and
connect to ports that this test opened. None names all processes: what is tried has
to be harmless on the day the sandbox fails.
"""
import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest
from lib import attack, wait
from lib.attack import Attacker, alive
from lib.host import PLUGIN_PATH, TOKEN
from lib.worker import Worker, text_of

# Each stands in one place only, and in no argument of a call.
WORDS = {'file': 'cnry-file-2c61', 'ssh': 'cnry-ssh-98d0', 'env': 'cnry-env-5e17',
         'llm': 'cnry-llm-key-b46f', 'mount': 'cnrymount7a35', 'store': 'cnrystore03ce',
         'etc': 'cnryetc61fb', 'plugins': 'cnryplugins4d82', 'token': TOKEN}
_count = itertools.count(1)


def marker():
    """A word for the arguments of a process, to find it from outside."""
    return f'mrk{os.getpid()}x{next(_count)}x'


def exchange(one, other):
    """renameat2 with RENAME_EXCHANGE: at no time is one of them not there."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(-100, bytes(one), -100, bytes(other), 2) == 0, \
        os.strerror(ctypes.get_errno())


def found(text):
    return [name for name, word in WORDS.items() if word in text]


def clean(items):
    for item in items:
        assert not found(json.dumps(item)), item


class Site(attack.Quiet):
    """/to?URL redirects there."""

    def do_GET(self):  # pylint: disable=invalid-name
        self.server.owner.asked.append(self.path)
        if self.path.startswith('/to?'):
            self.answer(302, Location=self.path[4:])
        else:
            self.answer(200, b'page of the site', Content_Type='text/plain')


class Scene:
    """A workspace, what lies outside of it, and the host over both."""

    def __init__(self, folder):
        self.folder = folder
        self.outside, self.store = folder / 'outside', folder / WORDS['store']
        self.work = folder / WORDS['mount'] / 'work'
        self.work.mkdir(parents=True)
        self.outside.mkdir()
        self.secret = self.outside / 'secret.txt'
        self.secret.write_text(WORDS['file'] + '\n')
        (self.work / 'plain.txt').write_text('plain\n')
        self.talker, self.site, self.other = (
            attack.Server(attack.Talk), attack.Server(Site), attack.Server(Site))
        self.workers, self.said = [], []

    def start(self, module_host, **shell):
        self.host = module_host(self.config(shell), start=False, env={
            'LLM': WORDS['llm'], 'CNRY': WORDS['env']})
        etc = self.host.etc.parent / WORDS['etc']
        etc.mkdir()
        self.host.etc, self.host.file = etc, etc / 'yoi.json'
        self.host.argv[-1] = str(self.host.file)
        home = pathlib.Path(self.host.env['HOME']) / '.ssh'
        home.mkdir()
        (home / 'id').write_text(WORDS['ssh'] + '\n')
        self.host.start()
        return self

    def config(self, shell):
        folders = []
        for n, source in enumerate(PLUGIN_PATH[:2]):
            folders.append(self.folder / f"{WORDS['plugins']}-{n}")
            folders[-1].symlink_to(source)
        return attack.config(self.talker, self.store, self.work, [f'127.0.0.1:{self.site.port}'],
                             {'wall_ms': 240000, **shell}, [str(f) for f in folders])

    def worker(self, root='/v1'):
        self.workers.append(Attacker.of(self.host, root))
        return self.workers[-1]

    def say(self, command, **more):
        said = self.worker().shell(command, **more)
        self.said.append(said)
        return said

    def close(self):
        for server in (self.talker, self.site, self.other):
            server.close()


@pytest.fixture(scope='module', name='scene')
def a_scene(tmp_path_factory, module_host):
    scene = Scene(tmp_path_factory.mktemp('attack'))
    try:
        yield scene.start(module_host, memory_bytes=128 << 20, processes=40, cpu_s=10)
    finally:
        scene.close()


@pytest.fixture(scope='module', name='shell')
def a_shell(scene):
    said = scene.say('echo it runs')
    if 'it runs' not in said:
        print('SKIPPED:', said)
        pytest.skip(f'no sandbox on this machine: {said}')
    # Nothing stronger is tried where there is none around a command after all.
    said = scene.say(f'cat {scene.secret} && echo OUTSIDE')
    if 'OUTSIDE' in said or found(said):
        pytest.fail('a command reads what is outside')
    return scene


# ---- paths ------------------------------------------------------------------
@pytest.fixture(name='ways', scope='module')
def all_ways(scene):
    """Names in the workspace that lead out of it, or to what is no file."""
    work, out = scene.work, scene.outside
    for name, to in {'file': scene.secret, 'folder': out, 'up': '../../outside',
                     'root': '/proc/self/root', 'fds': '/proc/self/fd', 'cwd': '/proc/self/cwd',
                     'zero': '/dev/zero', 'loop': 'loop', 'twice': 'folder',
                     'dangling': out / 'new-by-link'}.items():
        (work / name).symlink_to(to)
    os.mkfifo(work / 'fifo')
    sock = socket.socket(socket.AF_UNIX)
    before = os.getcwd()
    os.chdir(work)  # the whole path is too long for an address
    sock.bind('socket')
    os.chdir(before)
    sock.close()
    outside = str(out)
    return ['../../outside', outside, f'./../..{outside}', 'file', 'folder', 'up', 'twice', 'loop',
            'folder/..', 'root', f'root{outside}', 'fds', 'fds/0', 'cwd', 'zero', 'fifo', 'socket',
            '/proc/self/environ', '/proc/self/root' + outside, '/dev/fd/0', 'dangling',
            'plain.txt/../../../outside', f'//{outside}', './././up']


def each_way(ways):
    for way in ways:
        for path in (way, way + '/secret.txt'):
            yield 'fs_read', {'path': path}
        yield 'fs_list', {'path': way, 'depth': 3}
        yield 'fs_glob', {'path': way, 'pattern': '**'}
        yield 'fs_grep', {'path': way, 'pattern': '.'}


def in_turns(worker, calls, n=60):
    calls, out = list(calls), []
    while calls:
        out += worker.run(*calls[:n])
        calls = calls[n:]
    return out


def test_no_path_leads_to_what_is_outside(scene, ways):
    items = in_turns(scene.worker(), each_way(ways))
    clean(items)
    assert all(i.get('error') for i in items), [i for i in items if not i.get('error')]


def test_no_walk_follows_a_link_out(scene, ways):
    assert ways
    items = scene.worker().run(('fs_list', {'depth': 64}), ('fs_glob', {'pattern': '**/*'}),
                               ('fs_grep', {'pattern': 'cnry|plain'}))
    clean(items)
    assert all('plain' in text_of(i) for i in items)


def test_nothing_is_written_outside(scene, ways):
    before = attack.tree(scene.outside)
    calls = [('fs_write', {'path': path, 'content': 'x', 'create_folders': True})
             for way in ways for path in (way, way + '/new.txt')]
    calls += [('fs_edit', {'path': path, 'expected_revision': 'r',
                           'edits': [{'old': 'c', 'new': 'x'}]})
              for path in ('file', 'up/secret.txt', '../../outside/secret.txt')]
    items = in_turns(scene.worker(), calls)
    clean(items)
    assert all(i.get('error') for i in items), [i for i in items if not i.get('error')]
    assert attack.tree(scene.outside) == before


def test_an_edit_of_a_hard_link_does_not_change_the_other_name(scene):
    """What it says can be read by either name (docs/config.md says so)."""
    outside = scene.outside / 'linked.txt'
    outside.write_text('as it was\n')
    os.link(outside, scene.work / 'linked.txt')
    worker = scene.worker()
    (item,) = worker.run(('fs_read', {'path': 'linked.txt'}))
    text = text_of(item)
    assert 'as it was' in text
    revision = text.split('revision ')[1].split()[0].strip(',;:)]')
    worker.run(('fs_edit', {'path': 'linked.txt', 'expected_revision': revision,
                            'edits': [{'old': 'was', 'new': 'is now'}]}))
    assert 'is now' in (scene.work / 'linked.txt').read_text()
    assert outside.read_text() == 'as it was\n'


def swapped(scene, name, rounds):
    """Calls on a path whose folder is a link to outside every other moment."""
    work, stop, swaps = scene.work, threading.Event(), itertools.count()
    (work / name / 'in').mkdir(parents=True)
    (work / name / 'in/secret.txt').write_text('inside\n')
    (scene.outside / 'in').mkdir(exist_ok=True)
    (scene.outside / 'in/secret.txt').write_text(WORDS['file'] + '\n')
    (work / (name + '-link')).symlink_to(scene.outside)
    before = attack.tree(scene.outside)

    def swap():
        while not stop.is_set():
            exchange(work / name, work / (name + '-link'))
            next(swaps)
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        worker = scene.worker()
        items = []
        for _ in range(20):     # a machine may run the calls at one side of the swap only
            items += in_turns(worker, [c for i in range(rounds) for c in (
                ('fs_read', {'path': f'{name}/in/secret.txt', 'limit': i + 1}),
                ('fs_list', {'path': name, 'depth': 2, 'limit': i + 1}),
                ('fs_grep', {'path': name, 'pattern': '.', 'limit': i + 1}))])
            if any('inside' in text_of(i) for i in items) and any(i.get('error') for i in items):
                break
        items += worker.run(*[('fs_write', {'path': f'{name}/n{i}/f', 'content': 'x',
                                            'create_folders': True}) for i in range(60)])
    finally:
        stop.set()
        thread.join()
    assert next(swaps) > 100
    clean(items)
    assert any('inside' in text_of(i) for i in items)
    assert any(i.get('error') for i in items)
    assert attack.tree(scene.outside) == before


def test_a_folder_that_becomes_a_link_while_calls_run(scene):
    swapped(scene, 'swap', 40)


@pytest.mark.soak
def test_a_folder_that_becomes_a_link_for_long(scene):
    swapped(scene, 'swap-long', 1000)


# ---- commands -----------------------------------------------------------------
def test_a_command_reads_nothing_of_the_host(shell):
    host, home = shell.host, shell.host.env['HOME']
    said = shell.say(
        'env; ls -l /proc/self/fd; cat /proc/1/environ /proc/1/cmdline; '
        f'cat /proc/{host.pid}/environ /proc/{host.pid}/cmdline; ls -l /proc/{host.pid}/fd/; '
        f'cat {home}/.ssh/id {shell.secret} ../../outside/secret.txt folder/secret.txt '
        f'root{shell.secret} /proc/{host.pid}/root{shell.secret} {host.etc.parent}/*/*; '
        f'cat {shell.folder}/*/*/*/* {shell.folder}/*/*; ls -R {shell.folder}/out*; '
        'for fd in 3 4 5 6 7 8 9; do timeout 1 cat <&$fd; done; '
        'find / -path /workspace -prune -o "(" -name "secret.t*" -o -name "yoi.js*" '
        '-o -name "runtime.tok*" ")" -print 2>/dev/null | sed "s/^/FOUND /"; echo all of it')
    assert 'all of it' in said
    assert not found(said), said
    assert 'FOUND ' not in said, said


def test_a_command_does_not_change_what_is_outside(shell):
    before = attack.tree(shell.outside)
    said = shell.say(f'echo x >> {shell.secret}; echo x > {shell.outside}/n; touch folder/n; '
                     f'ln {shell.secret} hard-out; ln folder/secret.txt hard-out; '
                     f'chmod 777 {shell.secret} folder/secret.txt; rm -rf {shell.outside}/*; '
                     'mv folder/secret.txt taken; echo all of it')
    assert 'all of it' in said
    assert attack.tree(shell.outside) == before


def test_a_command_signals_nobody_else(shell):
    """A process of this test is the target; others, the host too, are asked with 0 only."""
    with subprocess.Popen(['sleep', '100'], start_new_session=True) as target:
        try:
            pid, host = target.pid, shell.host.pid
            said = shell.say(f'for s in 0 TERM KILL INT; do for p in {pid} -{pid}; do '
                             f'kill -$s -- $p && echo REACHED $p; done; done; kill -0 {host} && '
                             f'echo REACHED; kill -0 -- -{host} && echo REACHED; echo all of it')
            assert 'all of it' in said and 'REACHED' not in said, said
            assert target.poll() is None and shell.host.alive()
        finally:
            target.kill()


def test_nothing_of_a_command_stays_behind(shell):
    word = marker()
    sleep = f'sh -c "trap \\"\\" TERM HUP; while :; do sleep 1; done" {word}'
    said = shell.say(f'setsid {sleep} & (setsid {sleep} & ) ; (({sleep} >&- 2>&- <&- &) &); '
                     'sleep 0.3; echo all of it')
    assert 'all of it' in said
    wait.until(lambda: not alive(word), 5, f'an end of {alive(word)}')


def test_too_much_of_everything(shell):
    said = shell.say('yes "a line without end" & sleep 2; kill $!', timeout_s=4)
    assert len(said) < 40000
    said = shell.say('i=0; while [ $i -lt 300 ]; do sleep 30 & i=$((i+1)); done; wait',
                     timeout_s=10)
    assert 'processes' in said or 'fork' in said or 'unavailable' in said, said
    said = shell.say("python3 -c 'x = bytearray(1 << 29); print(\"GOT IT\")'")
    assert 'GOT IT' not in said, said
    said = shell.say("for i in 1 2 3 4; do sleep 8 | python3 -c 'x = b\"x\" * (60 << 20); "
                     "input()' & done; wait; echo GOT IT", timeout_s=15)
    assert 'GOT IT' not in said, said
    assert shell.host.alive()


def test_a_command_reaches_no_port_of_this_machine(shell):
    ports = [shell.site.port, shell.talker.port,
             *[int(shell.host.address(s).rsplit(':', 1)[1]) for s in ('runtime', 'browser')]]
    asked = len(shell.site.asked)
    said = shell.say(
        "python3 -c 'import socket\n"
        f'for port in {ports}:\n'
        '  for host in ("127.0.0.1", "::1", "0.0.0.0", "localhost"):\n'
        '    try: socket.create_connection((host, port), 1); print("REACHED", port)\n'
        "    except OSError: pass\nprint(\"all of it\")'")
    assert 'all of it' in said and 'REACHED' not in said
    assert len(shell.site.asked) == asked


def test_nothing_runs_on_after_the_host_was_killed(tmp_path, module_host, shell):
    scene, word = Scene(tmp_path), marker()
    assert shell
    try:
        scene.start(module_host)
        stubborn = f'sh -c "trap \\"\\" TERM HUP; while :; do sleep 1; done" {word}'
        for command in (f'sleep 100 {word} || {stubborn}', f'setsid {stubborn} & wait',
                        f'(setsid {stubborn} >&- 2>&- <&- &) ; exec {stubborn}'):
            scene.worker().ask(('shell_run', {'command': command}))
            worker = scene.workers[-1]
            worker.decide(*worker.awaited())
        wait.until(lambda: sum(b'while' in line and b'sh\0-c\0trap' in line
                               for _, line in alive(word)) >= 4, 20, 'the commands')
        scene.host.proc.kill()
        wait.until(lambda: not alive(word), 5, 'an end of all that ran')
        scene.host.crashed()
    finally:
        scene.close()


# ---- network --------------------------------------------------------------------
def test_only_what_is_granted_is_fetched(scene):
    good, bad = f'127.0.0.1:{scene.site.port}', f'127.0.0.1:{scene.other.port}'
    port = scene.other.port
    own = [scene.host.address(s) for s in ('runtime', 'browser')]
    urls = [f'http://{bad}/', *[f'http://{a}/api/runtimes' for a in own],
            *[f'http://{a}/metrics' for a in own],
            f'http://{good}@{bad}/', f'http://{good}%40{bad}/', f'http://{bad}#@{good}/',
            f'http://{bad}\\@{good}/', f'http://{good}:{port}/', f'http://user:pw@{good}/',
            f'http://2130706433:{port}/', f'http://0x7f000001:{port}/', f'http://127.1:{port}/',
            f'http://0177.0.0.1:{port}/', f'http://[::ffff:127.0.0.1]:{port}/',
            f'http://[::1]:{port}/', f'http://localhost:{port}/', f'http://0.0.0.0:{port}/',
            f'http://127.0.0.1.:{port}/', f'http://127.0.0.2:{scene.site.port}/',
            'file:///etc/hostname', 'gopher://' + good, 'ftp://' + good, f'dict://{good}/x',
            f'HtTp://{bad}/', f' http://{bad}/', f'http://{good}\r\nHost: {bad}/',
            'http://169.254.169.254/latest']
    calls = [('http_fetch', {'url': u}) for u in urls]
    calls += [('http_fetch', {'url': f'http://{good}/to?{u}'}) for u in urls if '\r' not in u]
    items = in_turns(scene.worker(), calls)
    answers = {c[1]['url']: text_of(i) for c, i in zip(calls, items)}
    assert scene.other.asked == []
    for (_, arguments), item in zip(calls, items):
        if arguments['url'] == f'http://{good}/to?http://user:pw@{good}/':
            continue
        assert item.get('error'), (arguments, answers[arguments['url']])
    (item,) = scene.worker().run(('http_fetch', {'url': f'http://{good}/'}))
    assert 'page of the site' in text_of(item)


# ---- secrets ---------------------------------------------------------------------
def test_a_known_secret_in_a_file_is_not_shown(scene):
    (scene.work / 'known.txt').write_text(f"before {WORDS['llm']} after {TOKEN} end\n")
    try:
        items = scene.worker().run(('fs_read', {'path': 'known.txt'}),
                                   ('fs_grep', {'path': 'known.txt', 'pattern': 'before'}))
    finally:
        (scene.work / 'known.txt').unlink()
    clean(items)
    assert all('before' in text_of(i) and 'end' in text_of(i) for i in items)


def test_a_known_secret_in_two_halves_is_not_shown(shell):
    half = len(WORDS['llm']) // 2
    first, second = WORDS['llm'][:half], WORDS['llm'][half:]
    said = shell.say(f"printf %s 'begin {first}'; sleep 0.4; printf %s '{second} end'")
    assert not found(said) and 'begin' in said and 'end' in said


# ---- approvals ---------------------------------------------------------------------
def test_an_approval_is_for_its_worker_its_call_and_its_surface(scene):
    first, second = scene.worker('/api/runtimes/main'), scene.worker('/api/runtimes/main')
    for n, worker in enumerate((first, second)):
        worker.ask(('fs_write', {'path': f'approved-{n}', 'content': f'{n}'}))
    (one,), (other,) = first.awaited(), second.awaited()
    path = f"{first.path}/approvals/{one['approval_id']}"
    for foreign in (other['approval_id'], one['call_id'], '0' * len(one['approval_id'])):
        r = first.client.request('POST', f'{first.path}/approvals/{foreign}',
                                 {'decision': 'allow'})
        assert r.status == 404, r
    for more in ({'arguments': '{"path":"else"}'}, {'principal': 'root'}, {'call_id': 'x'},
                 {'approval_id': other['approval_id']}):
        first.client.refused('POST', path, 400, 'invalid_request', {'decision': 'allow', **more})
    first.client.refused('POST', path, 400, 'invalid_json',
                         b'{"decision":"deny","decision":"allow"}')
    for origin in ('http://example.org', 'null', 'http://127.0.0.1:1'):
        assert first.decide(one, headers={'Origin': origin}).status == 403
    anonymous = scene.host.v1
    anonymous.token = None
    assert Worker(anonymous, '/v1', first.id).client.request(
        'POST', f"/v1/workers/{first.id}/approvals/{one['approval_id']}",
        {'decision': 'allow'}).status == 401
    assert not list(scene.work.glob('approved-*'))
    assert first.waiting() == [one] and second.waiting() == [other]
    assert first.decide(one).status == first.decide(one).status == 200
    assert first.ended()['state'] == 'completed'
    assert (scene.work / 'approved-0').read_text() == json.loads(one['arguments'])['content']
    second.cancel()
    assert second.decide(other).status in (404, 409)
    # Not ended(), which decides what waits: until the cancelled turn is over it may.
    wait.until(lambda: second.get()['turn'].get('ended_at'), 20, 'the end of a turn')
    assert second.decide(other).status in (404, 409)
    assert not (scene.work / 'approved-1').exists()


# ---- cancel --------------------------------------------------------------------------
def cancelled(worker):
    worker.cancel()
    turn = wait.until(lambda: worker.get()['turn'].get('ended_at') and worker.get()['turn'], 20,
                      'the end of a turn')
    assert turn['reason'] == 'cancel_requested', turn
    assert worker.get()['state'] == 'idle' and worker.waiting() == []


def test_a_cancel_while_the_model_speaks(scene):
    worker = scene.worker()
    with worker.follow('stream') as stream:
        stream.until('text.delta')
        cancelled(worker)
    assert scene.talker.gone.wait(wait.patience(10)), 'the model is not listened to any more'


@pytest.mark.parametrize('command', [
    'exec sleep 100 {}', 'exec sh -c "trap \\"\\" TERM INT HUP; while :; do sleep 1; done" {}'])
def test_a_cancel_while_a_command_runs(shell, command):
    word, worker = marker(), shell.worker()
    worker.ask(('shell_run', {'command': command.format(word) if 'trap' in command else
                              f'sh -c "sleep 100; :" {word}'}))
    worker.decide(*worker.awaited())
    wait.until(lambda: alive(word), 20, 'the command')
    asked = len(shell.talker.asked)
    cancelled(worker)
    wait.until(lambda: not alive(word), 5, 'an end of the command')
    assert len(shell.talker.asked) == asked, 'the model is not asked again'


def test_a_cancel_while_a_person_is_asked_starts_nothing(scene):
    worker = scene.worker()
    worker.ask(('fs_write', {'path': 'cancelled', 'content': 'x'}))
    (one,) = worker.awaited()
    cancelled(worker)
    assert worker.decide(one).status in (404, 409)
    assert not (scene.work / 'cancelled').exists()


# ---- and nothing of it is anywhere ----------------------------------------------------
def everything(scene):
    """(where, text) of all that anybody can see."""
    for worker in scene.workers:
        items = worker.items()
        yield 'transcript', json.dumps(items)
        yield 'worker', json.dumps(worker.get())
        cursor = worker.born
        while True:
            batch = worker.batch(cursor, wait=0)
            yield 'events', json.dumps(batch)
            for event in batch['events']:
                artefact = event['data'].get('artefact_id')
                if artefact:
                    yield 'artefact', worker.client.get(f'{worker.path}/artefacts/{artefact}').text
            if not batch['events']:
                break
            cursor = batch['cursor']
    for client in (scene.host.v1, scene.host.api):
        yield 'metrics', client.get('/metrics').text
        yield 'answers', ''.join(client.get(p).text for p in (
            '/', '/healthz', '/readyz', '/api/runtimes', '/v1/runtime', '/api/workers', '/none'))
    for text in scene.talker.asked:
        yield 'what the model is sent', text
    yield 'output', '\n'.join(scene.said)
    yield 'log', scene.host.log
    for path in scene.store.rglob('*'):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # a checkpoint takes some
            yield f'store {path.name}', path.read_bytes().decode(errors='replace')


def test_no_planted_word_came_back(scene):
    """Of what ran in this process before, and of a last attempt."""
    scene.say(f'cat {scene.secret} ~/.ssh/id; env; ls / ..; cat /proc/self/environ')
    searched = set()
    for where, text in everything(scene):
        searched.add(where.split()[0])
        assert not found(text), (where, found(text), [
            text[max(0, text.find(WORDS[w]) - 200):][:300] for w in found(text)])
    assert searched >= {'transcript', 'worker', 'events', 'metrics', 'answers', 'what', 'output',
                        'log', 'store'}
