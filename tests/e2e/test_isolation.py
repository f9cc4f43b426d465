"""What an isolated plugin that means harm can do: end itself, and nothing else.

Each deed of tests/plugins/rogue is done at each operation in a plugin that runs
in a process of its own. Whoever has called gets an error of the API in bounded
time, everybody else is served meanwhile, and the plugin is there again after a
while; when that happens too often, it stays away. What the process cannot reach
is tried from inside of it.
"""
import array
import copy
import ctypes
import os
import signal
import socket
import struct

import pytest

from lib import configs, reload, rogue, wait
from lib.host import BUILD, TOKEN, descriptors
from lib.rogue import MODEL, POLICY, Scene, isolated, said
from lib.worker import Worker, text_of

SANITIZED = 'san' in BUILD.name
BEGUN = 'a plugin runs in a process of its own'
CODES = ('runtime_unavailable', 'internal', 'timeout', 'deadline_exceeded')
DEADLY = ['segfault', 'abort', 'exit', '_exit', 'kill', 'term', 'close', 'garbage:each',
          'garbage:torn', 'garbage:empty', 'garbage:oversize', 'garbage:foreign']


def bystander(host):
    """A turn of somebody else that lasts for a second; its end is waited for by
    the function that is given back."""
    worker = Worker.create(host.v1)
    stream = worker.follow('a long talk')
    stream.__enter__()
    stream.until('text.delta')

    def completed():
        seen = stream.until('end')
        stream.__exit__(None, None, None)
        (end,) = [e for e in seen if e.kind == 'turn.ended']
        assert end.data['turn']['state'] == 'completed', end.data
    return completed


@pytest.mark.parametrize('deed', DEADLY)
def test_a_deadly_deed_ends_its_own_call_and_no_other(new_host, deed):
    at = ['start', 'next', 'release']
    scene = Scene(new_host, *[f'look {deed}@{op}' for op in at])
    other = bystander(scene.host)
    for n, op in enumerate(at, 1):
        got = scene.do(f'look {deed}@{op}')
        if op != 'release' and not deed.startswith('garbage'):
            assert got['status'] in ('error', 'uncertain'), got
            assert got['item']['error']['code'] in CODES, got
        scene.ended(n)
        scene.serves()
    other()
    assert scene.host.alive()


@pytest.mark.parametrize('deed', ['segfault', 'spin', 'shut', 'garbage:each'])
def test_a_deed_at_cancel_does_not_hold_the_turn_up(new_host, deed):
    scene = Scene(new_host, f'act {deed}@cancel')
    worker = scene.worker()
    with worker.follow(f'act {deed}@cancel;') as stream:
        stream.until('tool.progress')
        worker.cancel()
        seen = stream.until('end')
    (end,) = [e for e in seen if e.kind == 'turn.ended']
    assert end.data['turn']['reason'] == 'cancel_requested'
    assert rogue.result(worker)['status'] == 'uncertain'
    scene.serves()


@pytest.mark.parametrize('deed', ['spin', 'sleep', 'halt'])
@pytest.mark.parametrize('op', ['start', 'next', 'release'])
def test_what_never_comes_back_is_ended(new_host, deed, op):
    scene = Scene(new_host, f'look {deed}@{op}')
    other = bystander(scene.host)
    got = scene.do(f'look {deed}@{op}')
    assert got['status'] != 'ok' or op == 'release', got
    other()
    scene.serves()
    assert len(rogue.children(scene.host.pid)) == 1


def test_a_call_of_unknown_effect_is_uncertain(new_host):
    scene = Scene(new_host, 'act segfault@next', 'act segfault@start')
    for op in ('next', 'start'):
        assert scene.do(f'act segfault@{op}')['status'] == 'uncertain'
        scene.serves()


# ---- floods -----------------------------------------------------------------
@pytest.mark.parametrize('word', ['look flood@next', 'look wakes@next', 'look log@next',
                                  'look log@start'])
def test_a_flood_drowns_nobody(new_host, word):
    scene = Scene(new_host, word)
    other = bystander(scene.host)
    scene.do(word)
    other()
    scene.serves()
    lines = [e for e in scene.host.entries(msg='msg=ready rogue\nmsg=rogue again \x1b[2J')]
    assert len(lines) < 2000 and '\x1b' not in scene.host.log


def test_a_leak_is_the_end_of_it_and_not_of_the_machine(new_host):
    scene = Scene(new_host, 'look leak@next')
    (pid,) = start_one(scene)
    assert open(f'/proc/{pid}/oom_score_adj').read() == '600\n'
    if SANITIZED:
        return  # no limits of memory there
    text = said(scene.do('look leak@next'))
    assert text is None or int(text.split(' ')[1]) < 1024, text
    scene.serves()


def test_what_says_too_much_at_once_fails_and_lives(new_host):
    scene = Scene(new_host, 'look large@next')
    pids = start_one(scene)
    got = scene.do('look large@next')
    assert got['status'] == 'error' and got['item']['error']['code'] == 'internal', got
    assert rogue.children(scene.host.pid) == pids


# ---- how often, and how it ends ---------------------------------------------
def start_one(scene):
    """The process of the plugin, which begins with its first call."""
    scene.serves()
    return rogue.children(scene.host.pid)


def test_who_dies_too_often_stays_away(new_host):
    scene = Scene(new_host, 'look abort@start')
    start_one(scene)

    def quarantined():
        scene.do('look abort@start')
        return scene.host.entries(
            msg='a plugin is quarantined: its process ended too often')
    wait.until(quarantined, 60, 'the quarantine')
    got = scene.do('look harmless@none')
    assert got['status'] == 'error' and 'started again' in got['item']['error']['message']
    assert scene.host.metric('yoi_isolated_quarantined', plugin=rogue.TOOL) == 1
    assert not rogue.children(scene.host.pid)
    bystander(scene.host)()
    # Another entry is another process, and nothing is quarantined any more.
    config = copy.deepcopy(scene.host.config)
    (entry,) = [p for p in config['plugins'] if p['id'] == rogue.TOOL]
    entry['config'] = {'close': 'harmless'}
    reload.good(scene.host, config)
    scene.serves()
    wait.until(lambda: scene.host.metric('yoi_isolated_quarantined', plugin=rogue.TOOL) == 0,
               what='the end of the quarantine')


def test_nothing_is_left_over_by_deaths(new_host):
    scene = Scene(new_host, 'look abort@start')
    first = start_one(scene)
    before = len(descriptors(scene.host.pid))
    for n in (1, 2, 3):
        scene.do('look abort@start')
        scene.ended(n)
        scene.serves()
    assert len(rogue.children(scene.host.pid)) == 1
    rogue.gone(first)
    wait.until(lambda: len(descriptors(scene.host.pid)) <= before, what='no more descriptors')


@pytest.mark.parametrize('word', ['look harmless@none', 'look replace@next', 'look spin@start',
                                  'look stop@next', 'look halt@next'])
def test_nothing_outlives_a_host_that_is_killed(new_host, word):
    scene = Scene(new_host, word)
    pids = start_one(scene)
    scene.worker().input(word + ';')
    scene.host.crash()
    rogue.gone(pids)


@pytest.mark.parametrize('deed', [None, 'segfault', 'spin', 'sleep', 'exit', 'replace',
                                  'garbage:each'])
def test_a_host_ends_whatever_close_does(new_host, deed):
    scene = Scene(new_host, config={'close': deed} if deed else {})
    pids = start_one(scene)
    scene.host.stop(seconds=40)
    rogue.gone(pids)


@pytest.mark.parametrize('deed', ['segfault', 'exit', 'spin', 'garbage:each'])
def test_who_dies_while_it_opens_is_an_error_to_its_callers(new_host, deed):
    scene = Scene(new_host, config={'open': deed})
    other = bystander(scene.host)
    got = scene.do('look harmless@none')
    assert got['status'] == 'error' and got['item']['error']['code'] in CODES, got
    other()
    assert scene.host.alive()


def test_who_dies_at_its_entry_is_an_error_to_its_callers(new_host):
    bundle = rogue.tools('rogue_entry', plugin=rogue.ENTRY)
    host = new_host(configs.standard(
        model=configs.asks('rogue_entry', 'done'), plugins=[isolated(rogue.ENTRY)]))
    bundle.put(host.v1)
    worker = Worker.create(host.v1, config_bundle=bundle.ref)
    assert worker.say('go')['turn']['state'] == 'completed'
    assert rogue.result(worker)['item']['error']['code'] in CODES


# ---- what it cannot reach ---------------------------------------------------
@pytest.fixture(scope='module', name='walls')
def a_scene_with_things_to_want(module_host, tmp_path_factory):
    folder = tmp_path_factory.mktemp('wanted')
    (folder / 'private').mkdir()
    (folder / 'secret').write_text('canaryprivate7d1')
    listener = socket.create_server(('127.0.0.1', 0))
    port = listener.getsockname()[1]
    words = [f'look {d}@next' for d in (
        'open:/etc/passwd', f'open:{folder}/secret', 'open:/proc/self/maps', f'connect:{port}',
        'ptrace', 'environ', 'inherited', 'fork', 'run', 'stop', 'attack', 'secret:runtime-token',
        'secret:mine', 'mount:private', 'metrics')]
    kept = os.open(folder / 'secret', os.O_RDONLY)
    os.set_inheritable(kept, True)
    os.set_inheritable(listener.fileno(), True)
    scene = Scene(
        module_host, *words, start=False, config={'key': 'secret:mine'},
        env={'CANARY': 'canaryenv3c9', 'MINE': 'canarymine5e2'},
        local={'secrets': {**configs.SECRETS, 'mine': {'env': 'MINE'}},
               'mounts': {'private': {'path': str(folder / 'private'), 'mode': 'rw'}}})
    scene.host.pass_fds = (kept, listener.fileno())
    scene.port, scene.folder = port, folder
    yield scene.start()
    listener.close()
    os.close(kept)


@pytest.mark.parametrize('deed, answer', [
    ('open:/etc/passwd', 'open: EACCES'), ('open:/proc/self/maps', 'open: EACCES'),
    ('ptrace', 'ptrace: EPERM'), ('environ', 'open: EACCES'), ('fork', 'fork: EPERM'),
    ('run', 'run: EPERM'), ('stop', 'stop: EPERM'), ('attack', 'attack: EPERM'),
    ('mount:private', 'mount: refused')])
def test_a_wall_stands(walls, deed, answer):
    assert said(walls.do(f'look {deed}@next')) == answer


def test_files_and_hosts_of_others_are_out_of_reach(walls):
    assert said(walls.do(f'look open:{walls.folder}/secret@next')) == 'open: EACCES'
    assert said(walls.do(f'look connect:{walls.port}@next')) == 'connect: EAFNOSUPPORT'


def test_only_the_secrets_of_its_own_config_are_told(walls):
    assert said(walls.do('look secret:runtime-token@next')).startswith('secret: refused')
    text = said(walls.do('look secret:mine@next'))
    assert text.startswith('secret: ') and 'canarymine5e2' not in text, 'scrubbed on its way'
    assert 'refused' not in text


def test_metrics_of_the_host_are_its_own_and_others_have_a_limit(walls):
    for _ in range(2):  # what it has, it has
        assert said(walls.do('look metrics@next')) == 'metrics: refused, 64'
    assert walls.host.metric('yoi_turns_running') < 4242
    text = walls.host.api.get('/metrics').text
    assert text.count('# HELP yoi_rogue_') == 64
    assert walls.host.metric('yoi_rogue_63_total') == 2


def test_nothing_is_inherited(walls):
    text = said(walls.do('look inherited@next'))
    assert 'cwd=/ ' in text and 'canary' not in text and TOKEN not in text
    assert str(walls.folder) not in text and str(walls.host.etc.parent) not in text
    families = {int(w.rsplit('/', 1)[1]) for w in text.split() if w.startswith('fd=')}
    assert families <= {socket.AF_UNSPEC, socket.AF_UNIX}, text
    kinds = [w.split('/')[1] for w in text.split() if w.startswith('fd=')]
    assert kinds.count('140000') == 2, text  # sockets: those to the host
    (pid,) = rogue.children(walls.host.pid)
    assert not [d for d in descriptors(pid) if d.startswith(str(walls.folder))]
    environment = open(f'/proc/{pid}/environ').read()
    assert 'canary' not in environment and TOKEN not in environment


def begun(host, **match):
    """The lines of it, which may come a little after what the plugin answered."""
    return wait.until(lambda: host.entries(msg=BEGUN, **match), what='a line of the process')


def test_a_plugin_says_how_it_is_confined(walls):
    walls.serves()
    (line,) = begun(walls.host, plugin=rogue.TOOL)
    how = line['confined']
    assert how.startswith('landlock version ') and how.endswith(', seccomp')


# ---- kernels that cannot ----------------------------------------------------
def without_landlock():
    """For a child, before it is the program: the kernel has no Landlock."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50000 | 38), (6, 0, 0, 0x7fff0000)]
    text = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *c) for c in code))
    program = ctypes.create_string_buffer(
        struct.pack('HxxxxxxP', len(code), ctypes.addressof(text)))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program, 0, 0) == 0, os.strerror(ctypes.get_errno())


@pytest.mark.parametrize('confine', [None, 'required', 'best_effort'])
def test_a_kernel_that_cannot_confine_is_refused_unless_that_is_wanted(new_host, confine):
    scene = Scene(new_host, 'look fork@next', 'look open:/etc/passwd@next', start=False,
                  entry={'confine': confine} if confine else {})
    spawn = scene.host.spawn
    scene.host.spawn = lambda **kw: spawn(preexec_fn=without_landlock, **kw)
    scene.start()
    got = scene.do('look fork@next')
    if confine == 'best_effort':
        assert said(got) == 'fork: EPERM'
        assert said(scene.do('look open:/etc/passwd@next')) == 'open: done'
        (line,) = begun(scene.host)
        assert line['confined'] == 'no landlock, seccomp'
    else:
        assert got['status'] == 'error'
        wait.until(lambda: 'cannot use landlock' in scene.host.log, what='why')


# ---- models -----------------------------------------------------------------
def with_model(new_host, config=None, **keys):
    models = [configs.script(answers=[rogue.SLOW], steps=[{'say': 'hello'}]),
              {'name': 'rogue', 'plugin': MODEL, 'config': config or {}}]
    host = new_host({**configs.standard(plugins=[isolated(MODEL)], **keys), 'models': models})
    bundle = rogue.Bundle(models=[{'name': 'main', 'ref': 'model:rogue'}],
                          grants=['model:rogue'], id='rogue')
    bundle.put(host.v1)
    return host, lambda: Worker.create(host.v1, config_bundle=bundle.ref)


def answered(worker, text):
    out = worker.say(text, wait=60)
    return out['turn']['state'], text_of(out['message']) if out['message'] else ''


@pytest.mark.parametrize('deed', ['segfault', 'exit', 'close', 'garbage:each', 'garbage:foreign'])
def test_a_model_that_dies_fails_its_turn_and_no_other(new_host, deed):
    host, create = with_model(new_host)
    other = bystander(host)
    for op in ('start', 'next', 'release'):
        state, _ = answered(create(), f'rogue:{deed}@{op};')
        assert op == 'release' or deed.startswith('garbage') or state == 'failed'
        wait.until(lambda: answered(create(), 'hello') == ('completed', 'harmless'), 20,
                   'the model to be served again')
    other()


def test_a_model_connects_and_does_not_read(new_host):
    host, create = with_model(new_host)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        assert answered(create(), f'rogue:connect:{port}@next;') == ('completed', 'connect: done')
    assert answered(create(), 'rogue:open:/etc/passwd@next;') == ('completed', 'open: EACCES')
    assert answered(create(), 'rogue:open:/etc/hosts@next;')[1] == 'open: done'
    assert host.alive()


def test_a_socket_whose_close_waits_holds_up_nobody(new_host):
    host, create = with_model(new_host, loops=1)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        create().input(f'rogue:linger:{listener.getsockname()[1]}@next;')
        wait.until(lambda: answered(create(), 'hello') == ('completed', 'harmless'), 20,
                   'the model to be served again')
        bystander(host)()
        host.stop()


def refuses_descriptors():
    """Whether this kernel lets a socket refuse them (SO_PASSRIGHTS)."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [one.fileno()]))
    with one, other:
        try:
            one.setsockopt(socket.SOL_SOCKET, 83, 0)
            other.sendmsg([b'x'], [rights])
        except OSError:
            return True
    return False


def test_the_host_is_given_no_descriptor(new_host):
    scene = Scene(new_host, 'look pass@next')
    (pid,) = start_one(scene)
    got = scene.do('look pass@next')
    if refuses_descriptors():
        assert said(got) == 'pass: EPERM'
        assert rogue.children(scene.host.pid) == [pid]
    else:
        scene.ended(1)
    scene.serves()


# ---- policies ---------------------------------------------------------------
@pytest.mark.parametrize('deed', ['segfault', 'exit', 'spin', 'sleep', 'close', 'garbage:each'])
def test_a_policy_that_dies_denies_and_comes_back(new_host, deed):
    host = new_host(configs.standard(model=configs.script({'say': 'hello'}),
                                     plugins=[isolated(POLICY)], policy=[{'plugin': POLICY}]))

    def create(text):
        return host.v1.post('/v1/workers', {'display_name': text}).status
    # A decision has a tenth of a second, which a loaded machine may miss.
    wait.until(lambda: create('harmless') == 201, what='the policy to be served')
    for op in ('start', 'next', 'release'):
        status = create(f'rogue:{deed}@{op};')
        assert status == 403 or op == 'release' or deed.startswith('garbage'), status
        wait.until(lambda: create('harmless') == 201, 20, 'the policy to be served again')
    pids = rogue.children(host.pid)
    host.stop(seconds=40)
    rogue.gone(pids)


def test_signals_to_the_group_of_a_worker_end_nobody_else(new_host):
    scene = Scene(new_host)
    (pid,) = start_one(scene)
    assert os.getpgid(pid) == pid
    os.killpg(pid, signal.SIGTERM)
    scene.ended(1)
    scene.serves()
    assert scene.host.alive()
