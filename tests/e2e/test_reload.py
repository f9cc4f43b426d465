"""SIGHUP gives a host another config: all of it, or nothing.

Each kind of change, and each refusal with the proof that nothing has changed.
What a turn began with it keeps; what stands in both configs is not touched.
"""
import copy
import json
import signal
import threading
import time

import pytest
from lib import configs, logs, reload, wait
from lib.host import PLUGIN_PATH, TOKEN, dropped
from lib.watch import View, watch
from lib.wire import Client, Closed, Reader, connect, read_head, request_bytes
from lib.worker import Worker, text_of

ALLOWED = ['reload refused', 'config finding', 'cannot open a plugin', 'secret stays as it was']


@pytest.fixture
def host(new_host):
    return new_host(configs.standard(), allow_log=ALLOWED)


def says(text):
    return configs.script({'say': text})


def answer(worker):
    return text_of(worker.say('hello')['message'])


def changed(config, **keys):
    return {**copy.deepcopy(config), **keys}


def listens(host):
    """Addresses of the listeners that a reload has brought."""
    return [e['address'] for e in host.entries(msg='listening')]


# ---- nothing ------------------------------------------------------------------------

@pytest.mark.tsan
def test_the_same_config_touches_nothing(host):
    worker = Worker.create(host.v1)
    with worker.events() as stream:
        line = reload.good(host, host.config)
        assert (line['added'], line['removed'], line['replaced']) == ('', '', ''), line
        assert line['generation'] == '2' and int(line['kept']) >= 4
        worker.say('still there')
        assert any(e.kind == 'turn.ended' for e in stream)
    assert host.metric('yoi_reloads_total', result='ok') == 1
    assert host.metric('yoi_config_generation') == 2
    assert len(host.entries(msg='listening')) == 2


# ---- models --------------------------------------------------------------------------

@pytest.mark.tsan
def test_the_next_turn_has_the_new_model(host):
    worker = Worker.create(host.v1)
    assert answer(worker).startswith('You said')
    line = reload.good(host, changed(host.config, models=[says('new words')]))
    assert line['replaced'] == 'model:main', line
    assert answer(worker) == 'new words'


@pytest.mark.tsan
def test_a_running_turn_keeps_the_model_it_began_with(host):
    slow = configs.script(answers=[
        {'step': 0, 'steps': [{'say': 'one '}, {'wait_ms': 1500},
                              {'call': {'name': 'none', 'arguments': {}}}]}],
        steps=[{'say': 'old to the end'}])
    reload.good(host, changed(host.config, models=[slow]))
    worker = Worker.create(host.v1)
    with worker.follow('go') as stream:
        next(e for e in stream if e.kind == 'text.delta')
        reload.good(host, changed(host.config, models=[says('new words')]))
        # the second generation of the turn is started behind the reload
        ended = [e for e in stream if e.kind == 'message.completed']
    assert text_of(ended[-1].data['item']) == 'old to the end'
    assert answer(worker) == 'new words'


def test_a_model_that_is_gone_is_gone_for_the_next_turn(host):
    other = {**says('other'), 'name': 'other'}
    reload.good(host, changed(host.config, models=[configs.script(), other]))
    assert host.metric('yoi_config_generation') == 2
    line = reload.good(host, changed(host.config, models=[other]))
    assert line['removed'] == 'model:main', line
    made = host.v1.post('/v1/workers', {'worker_id': 'nobody'})
    assert made.status in (201, 400, 409, 422), made


# ---- code ----------------------------------------------------------------------------

def other_bytes(path, n):
    """The same plugin under another digest, put there as an update would."""
    new = path.with_suffix('.new')
    new.write_bytes(path.read_bytes() + b'%d' % n)
    new.chmod(0o644)
    new.replace(path)


def test_new_code_is_loaded_beside_the_old_up_to_a_limit(new_host, tmp_path):
    folder = tmp_path / 'plugins'
    plugin = dropped('model-script', folder)
    host = new_host(configs.standard(plugin_path=[str(folder), *PLUGIN_PATH]), allow_log=ALLOWED)
    worker = Worker.create(host.v1)
    assert answer(worker).startswith('You said')
    mapped = host.metric('yoi_plugins_mapped')
    for n in range(1, 8):
        other_bytes(plugin, n)
        line = reload.good(host, host.config)
        assert line['replaced'] == 'model:main', line
        assert answer(worker).startswith('You said')
        assert host.metric('yoi_plugins_mapped') == mapped + n
    other_bytes(plugin, 8)
    found = reload.refused(host, changed(host.config, runtimes=[configs.embedded(),
                                                                configs.embedded('second')]))
    assert 'at most 8 digests' in found[0][1], found
    untouched(host, worker, 8)
    assert host.metric('yoi_plugins_mapped') == mapped + 7
    assert host.api.get('/api/runtimes/second').status == 404


def test_a_pin_that_is_not_met_is_a_refusal(host):
    worker = Worker.create(host.v1)
    found = reload.refused(host, changed(host.config, plugins=[
        {'id': 'dev.yoi.model-script', 'digest': 'sha256:' + '0' * 64}]))
    assert 'sha256:' in found[0][1], found
    untouched(host, worker, 1)


# ---- policies ------------------------------------------------------------------------

RULES = 'dev.yoi.policy-rules'


def rules(*entries):
    return [{'plugin': RULES, 'config': {'rules': [*entries]}}]


@pytest.mark.tsan
def test_policies_come_and_go(host):
    deny = rules({'name': 'none', 'operations': ['worker.create'], 'decision': 'deny'},
                 {'name': 'all', 'operations': ['*'], 'decision': 'allow'})
    line = reload.good(host, changed(host.config, policy=deny))
    assert line['added'] == f'policy:{RULES}', line
    assert host.v1.post('/v1/workers', {'worker_id': 'a'}).status == 403
    config = dict(host.config)
    del config['policy']
    line = reload.good(host, config)
    assert line['removed'] == f'policy:{RULES}', line
    Worker.create(host.v1)


# ---- refusals change nothing --------------------------------------------------------

def untouched(host, worker, generation):
    assert host.metric('yoi_config_generation') == generation
    assert answer(worker).startswith('You said')
    assert host.alive()


REFUSALS = {
    'no JSON': (lambda c: '{"runtimes": [', 'expected'),
    'unknown key': (lambda c: changed(c, runtime=[]), "the nearest known one is 'runtimes'"),
    'step': (lambda c: changed(c, step=True), 'restart'),
    'loops': (lambda c: changed(c, loops=5), "'loops' cannot be changed"),
    'level': (lambda c: changed(c, log={'level': 'debug'}), "'log/level' cannot be changed"),
    'format': (lambda c: changed(c, log={'format': 'json'}), "'log/format' cannot be changed"),
    'plugin': (lambda c: changed(c, models=[{'name': 'main', 'plugin': 'dev.yoi.none'}]),
               "dev.yoi.none"),
    'secret': (lambda c: changed(c, local={'secrets': {
        **c['local']['secrets'], 'more': {'file': 'is.not.there'}}}), 'cannot read secret'),
}


@pytest.mark.tsan
@pytest.mark.parametrize('name', REFUSALS)
def test_what_is_refused_changes_nothing(host, name):
    make, words = REFUSALS[name]
    worker = Worker.create(host.v1)
    found = reload.refused(host, make(host.config))
    assert any(words in error for _, error in found), found
    untouched(host, worker, 1)
    assert host.metric('yoi_reloads_total', result='refused') == 1
    reload.good(host, host.config)


def test_a_finding_has_its_place(host):
    text = json.dumps(host.config, indent=1).replace('"drain_ms"', '"drain_s"')
    line = 1 + text[:text.index('"drain_s"')].count('\n')
    found = reload.refused(host, text)
    assert found[0][0].split(':')[0] == str(line), found
    assert "the nearest known one is 'drain_ms'" in found[0][1]


def test_a_file_that_is_gone_is_no_config(host):
    worker = Worker.create(host.v1)
    host.file.unlink()
    host.proc.send_signal(signal.SIGHUP)
    wait.until(lambda: host.entries(msg=reload.REFUSED), what='a refusal')
    untouched(host, worker, 1)


def test_an_address_in_use_is_a_refusal(host, new_host):
    other = new_host(configs.standard())
    taken = other.address('browser')
    worker = Worker.create(host.v1)
    more = {**configs.BROWSER, 'listen': taken}
    new = configs.embedded('second')
    found = reload.refused(host, changed(host.config, ingress=[*host.config['ingress'], more],
                                         runtimes=[*host.config['runtimes'], new],
                                         models=[says('new words')]))
    assert 'address in use' in found[0][1], found
    untouched(host, worker, 1)
    assert host.api.get('/api/runtimes/second').status == 404
    other.stop()


# ---- runtimes ---------------------------------------------------------------------------

@pytest.mark.tsan
def test_runtimes_come_and_go(host):
    kept = Worker.create(host.v1)
    with kept.events() as watched:
        line = reload.good(host, changed(
            host.config, runtimes=[configs.embedded(), configs.embedded('second')]))
        assert line['added'] == 'runtime:second', line
        worker = Worker.create(host.api, '/api/runtimes/second')
        worker.say('hello')
        with worker.events() as stream:
            line = reload.good(host, changed(host.config, runtimes=[configs.embedded()]))
            assert line['removed'] == 'runtime:second', line
            ends = [e for e in stream if e.kind == 'end']
            assert ends and ends[0].data['reason'] == 'draining', ends
        assert host.api.get('/api/runtimes/second').status == 404
        kept.say('hello')
        assert any(e.kind == 'turn.ended' for e in watched)


def test_a_new_runtime_has_the_models_of_its_config_when_it_opens(new_host, tmp_path):
    """A turn that waited in a store goes on with a model that came with the reload."""
    host = new_host(configs.standard(), allow_log=ALLOWED)
    store = configs.stored(tmp_path / 'root', 'stored')
    line = reload.good(host, changed(host.config, runtimes=[configs.embedded(), store],
                                     models=[says('with it')]))
    assert 'runtime:stored' in line['added'] and line['replaced'] == 'model:main'
    assert answer(Worker.create(host.api, '/api/runtimes/stored')) == 'with it'
    reload.good(host, changed(host.config, runtimes=[configs.embedded()]))
    reload.good(host, changed(host.config, runtimes=[configs.embedded(), store]))
    assert host.api.ok('GET', '/api/runtimes/stored/workers')['workers']


def test_what_is_said_of_a_runtime_beside_its_config_changes_at_once(host):
    worker = Worker.create(host.v1)
    named = configs.embedded(display_name='Another name', default_profile='builtin:assistant')
    config = changed(host.config, runtimes=[named])
    line = reload.any_outcome(host, config)
    if line['msg'] == reload.REFUSED:  # no such profile in this build: the name alone
        named.pop('default_profile')
        line = reload.good(host, changed(host.config, runtimes=[named]))
    assert line['replaced'] == '', line
    about = host.api.ok('GET', '/api/runtimes/main')
    assert 'Another name' in json.dumps(about)
    worker.say('the same worker')


def test_dropped_in_runtimes_are_looked_for_again(new_host, tmp_path):
    folder = tmp_path / 'runtimes.d'
    folder.mkdir()
    host = new_host(configs.standard(drop_in=[str(folder)]), allow_log=ALLOWED)
    dropped('null', folder)
    line = reload.good(host, host.config)
    assert 'runtime:' in line['added'], line


# ---- runtimes in other words ----------------------------------------------------------

def limited(n, **keys):
    return configs.embedded(config={'limits': {'workers': n}}, **keys)


def test_a_memory_without_workers_is_replaced(host):
    line = reload.good(host, changed(host.config, runtimes=[limited(1)]))
    assert line['replaced'] == 'runtime:main', line
    Worker.create(host.v1)
    assert host.v1.post('/v1/workers', {'worker_id': 'second'}).status == 429


@pytest.mark.tsan
def test_a_memory_with_workers_is_not(host):
    worker = Worker.create(host.v1)
    with worker.events() as stream:
        found = reload.refused(host, changed(host.config, runtimes=[limited(1)],
                                             models=[says('new words')]))
        assert 'its state is memory, and it has workers' in found[0][1], found
        untouched(host, worker, 1)
        assert any(e.kind == 'turn.ended' for e in stream)


def stored(tmp_path, **keys):
    return configs.stored(tmp_path / 'root', **keys)


@pytest.fixture
def store(new_host, tmp_path):
    return new_host(configs.standard(model=configs.talks(40, 5), runtimes=[stored(tmp_path)],
                                     drain_ms=20000), allow_log=ALLOWED)


@pytest.mark.tsan
def test_a_store_is_replaced_behind_a_gate(store, tmp_path):
    """A turn ends, a watch is told to come again, and what is asked meanwhile waits."""
    worker = Worker.create(store.v1)
    other = Worker.create(store.v1)
    view = View()
    view.cursor = worker.born
    asked = []

    def ask():
        over = False
        while not over:  # and once behind it, however fast that was
            over = bool(store.entries(msg='reloaded'))
            asked.append(other.get()['worker_id'])

    with worker.follow('go on') as stream:
        next(e for e in stream if e.kind == 'text.delta')
        with other.events() as watched:
            reload.send(store, changed(store.config,
                                       runtimes=[stored(tmp_path, limits={'workers': 7})]))
            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            rest = list(stream)
            assert [e.data['reason'] for e in watched if e.kind == 'end'] == ['draining']
        assert [e for e in rest if e.kind == 'turn.ended'], rest[-3:]
    asking.join(wait.patience(30))
    assert not asking.is_alive() and set(asked) == {other.id}
    assert store.entries(msg='reloaded')[0]['replaced'] == 'runtime:main'
    watch(worker, view, lambda v: 'turn.ended' in v.kinds)
    other.say('in the new one')


@pytest.mark.tsan
def test_a_turn_that_does_not_end_is_interrupted_at_the_deadline(new_host, tmp_path):
    host = new_host(configs.standard(model=configs.stalls(), runtimes=[stored(tmp_path)]),
                    allow_log=ALLOWED)
    worker = Worker.create(host.v1)
    with worker.follow('go on') as stream:
        next(e for e in stream if e.kind == 'text.delta')
        reload.good(host, changed(host.config, models=[configs.script()],
                                  runtimes=[stored(tmp_path, limits={'workers': 7})]))
        ended = [e for e in stream if e.kind == 'turn.ended']
    assert ended and 'shutting_down' in ended[0].text, ended
    assert answer(worker).startswith('You said')


@pytest.mark.tsan
@pytest.mark.parametrize('how, why', [('gone', 'No such file'), ('mode', 'everybody may write')])
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(new_host, how, why):
    host = new_host(configs.standard(log={'format': 'json'}), allow_log=ALLOWED)
    if how == 'gone':
        host.file.unlink()
    else:
        host.file.chmod(0o666)
    host.proc.send_signal(signal.SIGHUP)
    (line,) = wait.until(lambda: host.entries(msg='reload refused'), what='the refusal')
    assert why in line['error'] and line['level'] == 'error', line
    assert all(json.loads(line) for line in host.log.splitlines())
    assert answer(Worker.create(host.v1))


def test_a_secret_without_a_value_is_warned_of(new_host):
    """At the start, and when a reload brings one; whoever needs it fails, and says so."""
    config = configs.standard(model={
        'name': 'main', 'plugin': 'dev.yoi.model-openai',
        'config': {'base_url': 'http://127.0.0.1:9/v1', 'model': 'm', 'api_key': 'secret:llm'}})
    unset = {'env': 'YOI_TEST_NOT_SET'}
    config['local'] = {'secrets': {**configs.SECRETS, 'llm': unset, 'spare': unset}}
    host = new_host(config, allow_log=[*ALLOWED, 'secret has no value'])

    def warned():
        return [(line['secret'], line['for']) for line in host.entries(level='warn')
                if line['msg'].startswith('secret has no value')]
    assert warned() == [('llm', 'dev.yoi.model-openai')]
    turn = Worker.create(host.v1).say('hello')['turn']
    assert 'the host cannot open it' in turn['error']['message']
    assert 'YOI_TEST_NOT_SET' not in host.log
    reload.good(host, changed(config, log={'audit': 'all'}))
    assert len(warned()) == 2


def test_one_that_cannot_be_opened_leaves_the_old_one(store, tmp_path):
    worker = Worker.create(store.v1)
    worker.say('before')
    (tmp_path / 'file').write_text('no folder')
    bad = configs.stored(tmp_path / 'file')
    new = configs.embedded('second')
    found = reload.refused(store, changed(store.config, runtimes=[bad, new],
                                          models=[says('new words')]))
    assert "cannot open runtime 'main'" in found[0][1], found
    assert store.metric('yoi_config_generation') == 1
    assert store.api.get('/api/runtimes/second').status == 404
    assert worker.get()['worker_id'] == worker.id
    assert answer(worker) != 'new words'
    reload.good(store, changed(store.config, runtimes=[stored(tmp_path), new]))


# ---- listeners --------------------------------------------------------------------------

@pytest.mark.tsan
def test_listeners_come_and_go_and_connections_of_others_stay(host):
    kept = host.api
    assert kept.get('/healthz').status in (200, 404)
    second = {**configs.RUNTIME, 'listen': 'localhost:0'}
    reload.good(host, changed(host.config, ingress=[*host.config['ingress'], second]))
    address = listens(host)[-1]
    more = Client(address, TOKEN, host.recorded)
    worker = Worker.create(more)
    with worker.events() as stream, pytest.raises(Closed):
        reload.good(host, changed(host.config, ingress=[configs.BROWSER, configs.RUNTIME]))
        for _ in stream:  # it lives in a runtime that stays, so it is cut and not ended
            pass
    with pytest.raises(OSError):
        Client(address, TOKEN).get('/v1/runtime')
    assert answer(Worker.create(host.v1)).startswith('You said')


@pytest.mark.tsan
@pytest.mark.parametrize('kind', ['tcp', 'unix'])
def test_a_listener_in_other_words_goes_on_with_its_sockets(new_host, tmp_path, kind):
    """Nobody is refused meanwhile, and whoever is let in is answered."""
    listen = '127.0.0.1:0' if kind == 'tcp' else f'unix:{tmp_path}/yoi.sock'
    entry = configs.ingress(configs.RUNTIME, listen=listen)
    host = new_host(configs.standard(ingresses=[configs.BROWSER, entry]), allow_log=ALLOWED)
    over, bad, address = threading.Event(), [], host.address('runtime')

    request = request_bytes('GET', '/v1/runtime', Client(address, TOKEN).headers())

    def ask():
        while not over.is_set():
            begun = time.monotonic()
            try:
                with connect(address) as sock:
                    sock.sendall(request)
                    head = read_head(Reader(sock))
                if head.status != 200:
                    bad.append(head)
            except (OSError, Closed) as e:  # a refusal among them
                # A drain lets a connection say nothing for a second, and no longer: that
                # may pass before this thread has sent anything, or the host has read it.
                slow = time.monotonic() - begun >= 1
                if not slow or isinstance(e, ConnectionRefusedError):
                    bad.append(e)
    asking = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
    for t in asking:
        t.start()
    for n in range(1, 9):
        other = configs.ingress(configs.RUNTIME, listen=listen, connections=100 + n)
        line = reload.good(host, changed(host.config, ingress=[configs.BROWSER, other]))
        assert line['replaced'] == f'ingress:{listen}', line
        assert not bad, bad
    over.set()
    for t in asking:
        t.join(wait.patience(30))
    assert not bad, bad
    address = host.address('runtime')
    reload.good(host, changed(host.config, ingress=[configs.BROWSER]))
    with pytest.raises(OSError):
        Client(address, TOKEN).get('/v1/runtime')


def test_a_caller_is_added_and_taken_out(new_host, tmp_path):
    def entry(*names):
        return configs.ingress(configs.RUNTIME, token=None, tokens=[
            {'name': n, 'secrets': [f'secret:{n}']} for n in names])
    secrets = {n: {'file': f'{n}.token'} for n in 'ab'}
    host = new_host(configs.standard(ingresses=[configs.BROWSER, entry('a')],
                                     local={'secrets': secrets}), start=False,
                    allow_log=ALLOWED)
    for n in 'ab':
        (host.etc / f'{n}.token').write_text(n * 40 + '\n')
        (host.etc / f'{n}.token').chmod(0o600)
    host.start()

    def status(n):
        return Client(host.address('runtime'), n * 40).get('/v1/runtime').status
    assert (status('a'), status('b')) == (200, 401)
    reload.good(host, changed(host.config, ingress=[configs.BROWSER, entry('a', 'b')]))
    assert (status('a'), status('b')) == (200, 200)
    reload.good(host, changed(host.config, ingress=[configs.BROWSER, entry('b')]))
    assert (status('a'), status('b')) == (401, 200)


# ---- bundles, secrets ----------------------------------------------------------------------

def test_a_token_that_changed_is_the_new_one(new_host):
    entry = configs.ingress(configs.RUNTIME)
    host = new_host(configs.standard(ingresses=[configs.BROWSER, entry]), allow_log=ALLOWED)
    other = 'tok-' + 'f' * 36
    (host.etc / 'runtime.token').write_text(other + '\n')
    reload.good(host, host.config)
    client = Client(host.address('runtime'), other, host.recorded)
    wait.until(lambda: client.get('/v1/runtime').status == 200, 30, 'the new token')
