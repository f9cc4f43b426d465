"""Tokens of a surface: who may do what, sees which workspace, how often, and until when."""
import json
import pathlib

import pytest

from lib import configs, sse, wait
from lib.bundle import Bundle
from lib.host import ROOT, TOKEN
from lib.tables import OPS
from lib.wire import Client
from lib.worker import Worker, fresh

SECRET = {name: f'tok-{name}-0123456789abcdef' for name in ('ann', 'bob', 'cat', 'new')}


def tokens(*entries, reload_ms=100, **keys):
    """A runtime surface whose callers are these, each {name, ...}."""
    list_ = [{'secrets': [f'secret:{e["name"]}'], **e} for e in entries]
    return configs.ingress(configs.RUNTIME, token=None, tokens=list_, token_reload_ms=reload_ms,
                           **keys)


def named(new_host, *entries, start=True, values=None, extra=(), **keys):
    """A host with that surface, and the file of each secret."""
    names = {e['name'] for e in entries} | set(extra)
    secrets = {**configs.SECRETS, **{n: {'file': f'{n}.token'} for n in names}}
    host = new_host(configs.standard(ingresses=[configs.BROWSER, tokens(*entries, **keys)],
                                     local={'secrets': secrets}), start=False)
    for n in names:
        put(host, n, (values or {}).get(n, SECRET[n]))
    return host.start() if start else host


def put(host, name, value):
    """As an operator changes a secret: by a rename."""
    file = pathlib.Path(host.etc) / f'{name}.token'
    new = file.with_suffix('.new')
    new.write_text(value + '\n')
    new.chmod(0o600)
    new.rename(file)


def client(host, value):
    return Client(host.address('runtime'), SECRET.get(value, value))


# ---- permissions ------------------------------------------------------------

GROUPS = {
    'observe': ['runtime.describe', 'worker.list', 'worker.get', 'worker.transcript',
                'worker.events', 'worker.approvals', 'worker.artefact'],
    'input': ['worker.input', 'worker.cancel'],
    'approve': ['worker.approve'],
    'manage': ['worker.create', 'worker.stop', 'worker.delete'],
    'bundles': ['bundle.put', 'bundle.have', 'bundle.get', 'bundle.list', 'bundle.delete'],
    'metrics': ['host.metrics'],
}


def requests():
    """(operation, method, path) of the runtime surface."""
    ids = {'{id}': 'nobody', '{sub}': 'sha256:' + 64 * '0'}
    for op in OPS:
        path = op.v1
        for mark, value in ids.items():
            path = path.replace(mark, value)
        if path and op.id != 'host.ready':
            yield op.id, op.method, path


@pytest.mark.parametrize('group', [*GROUPS, None])
def test_a_permission_is_what_it_names_and_nothing_else(new_host, group):
    host = named(new_host, {'name': 'ann', 'permissions': [group] if group else []})
    v1, denied = client(host, 'ann'), 0
    for op, method, path in requests():
        r = v1.request(method, path, {} if method in ('POST', 'PUT') else None)
        says_no = r.status == 403
        assert says_no == (op not in GROUPS.get(group, [])), (op, r)
        if says_no and method != 'HEAD':
            assert r.code == 'policy_denied' and op in r.error['message']
        denied += says_no
    assert denied == 18 + 1 - len(GROUPS.get(group, []))
    assert v1.get('/readyz').status == 200


def test_without_permissions_a_token_may_all(new_host):
    host = named(new_host, {'name': 'ann'})
    for op, method, path in requests():
        assert client(host, 'ann').request(method, path).status != 403, op


def test_the_principal_is_the_name_of_the_token(new_host):
    host = named(new_host, {'name': 'ann'}, {'name': 'bob'})
    worker = Worker.create(client(host, 'ann'))
    Worker(client(host, 'bob'), '/v1', worker.id).say('hello')
    events = worker.batch(worker.born, wait=0)['events']
    accepted = [e['data'] for e in events if e['event'] == 'input.accepted']
    assert [a['principal'] for a in accepted] == ['token:bob']


def test_keys_of_one_principal_are_not_those_of_another(new_host):
    host = named(new_host, {'name': 'ann'}, {'name': 'bob'})
    key = {'Idempotency-Key': 'k'}
    one = client(host, 'ann').ok('POST', '/v1/workers', {}, headers=key)['worker']['worker_id']
    two = client(host, 'bob').ok('POST', '/v1/workers', {}, headers=key)['worker']['worker_id']
    assert one != two
    again = client(host, 'ann').ok('POST', '/v1/workers', {}, headers=key)
    assert again['worker']['worker_id'] == one


def test_what_is_no_token_is_refused_before_anything_is_known(new_host):
    host = named(new_host, {'name': 'ann'}, {'name': 'bob', 'permissions': []})
    for value in ('x', SECRET['ann'][:-1], SECRET['ann'] + 'x', SECRET['ann'].upper(), TOKEN,
                  'secret:ann', ''):
        for path in ('/v1/runtime', '/v1/nothing', '/metrics'):
            client(host, value).refused('GET', path, 401, 'unauthorized')


# ---- workspaces -------------------------------------------------------------

@pytest.fixture(scope='module')
def shared(module_host, tmp_path_factory):
    """Two workspaces in a runtime of files, and a worker of none."""
    names = {'ann': 'acme', 'bob': 'zeta', 'cat': None}
    entries = [{'name': n, **({'workspace': w} if w else {})} for n, w in names.items()]
    secrets = {**configs.SECRETS, **{n: {'file': f'{n}.token'} for n in names}}
    browser = configs.ingress(configs.BROWSER, tokens=[
        {'secrets': [f'secret:{e["name"]}'], **e} for e in entries])
    host = module_host(configs.standard(
        runtimes=[configs.stored(tmp_path_factory.mktemp('store') / 'root')],
        ingresses=[browser, tokens(*entries)], local={'secrets': secrets}), start=False)
    for n in names:
        put(host, n, SECRET[n])
    host.start()
    host.bundles = {w: Bundle(id=f'{w}-default', workspace_id=w) for w in ('acme', 'zeta')}
    for bundle in host.bundles.values():
        bundle.put(client(host, 'cat'))
    host.workers = {}
    for who, w in (('ann', 'acme'), ('bob', 'zeta')):
        host.workers[w] = Worker.create(client(host, who), config_bundle=host.bundles[w].ref)
    host.workers[None] = Worker.create(client(host, 'cat'))
    return host


def of_worker():
    for op, method, path in requests():
        if '/workers/nobody' in path:
            yield pytest.param(method, path, id=op)


@pytest.mark.parametrize('method,path', of_worker())
@pytest.mark.parametrize('surface', ['runtime', 'browser'])
def test_workers_of_another_workspace_do_not_exist(shared, surface, method, path):
    ann = Client(shared.address(surface), SECRET['ann'])
    if surface == 'browser':
        path = path.replace('/v1/', '/api/runtimes/main/')
    body = {'content': 'x'} if path.endswith('/input') else \
        {'decision': 'allow'} if '/approvals/' in path else None
    never = ann.request(method, path, body)
    for w in ('zeta', None):
        wid = shared.workers[w].id
        r = ann.request(method, path.replace('nobody', wid), body)
        assert (r.status, r.code) == (404, 'worker_not_found')
        assert r.error['message'] == never.error['message'].replace('nobody', wid)
        assert r.json['error'].get('details') == never.json['error'].get('details')


def test_lists_and_counts_have_one_workspace(shared):
    for who, w in (('ann', 'acme'), ('bob', 'zeta')):
        v1 = client(shared, who)
        ids = [x['worker_id'] for x in v1.ok('GET', '/v1/workers')['workers']]
        assert ids == [shared.workers[w].id]
        for query in ('?limit=1', '?state=idle'):
            page = v1.ok('GET', '/v1/workers' + query)
            assert [x['worker_id'] for x in page['workers']] == ids and page['next'] is None
        counts = v1.ok('GET', '/v1/runtime')['runtime']['counts']
        assert (counts['workers'], counts['bundles']) == (1, 1)
        api = Client(shared.address('browser'), SECRET[who])
        row = api.ok('GET', '/api/workers')['runtimes'][0]
        assert [x['worker_id'] for x in row['workers']] == ids
        runtime = api.ok('GET', '/api/runtimes/main')['runtime']
        assert runtime['counts']['workers'] == 1
    assert client(shared, 'cat').ok('GET', '/v1/runtime')['runtime']['counts']['workers'] >= 3


def test_bundles_of_another_workspace_do_not_exist(shared):
    ann, other = client(shared, 'ann'), shared.bundles['zeta']
    assert [b['workspace_id'] for b in ann.ok('GET', '/v1/config-bundles')['bundles']] == ['acme']
    for method in ('GET', 'DELETE'):
        ann.refused(method, other.path, 404, 'bundle_not_found')
    assert ann.request('HEAD', other.path).status == 404
    ann.refused('PUT', other.path, 403, 'policy_denied', other.raw)
    ann.refused('POST', '/v1/workers', 404, 'bundle_not_found', {'config_bundle': other.ref})
    ann.refused('POST', '/v1/workers', 403, 'policy_denied', {})


def test_an_id_that_another_has_is_taken_and_no_more_is_said(shared):
    ann, wid = client(shared, 'ann'), shared.workers['zeta'].id
    for bundle in shared.bundles.values():
        error = ann.refused('POST', '/v1/workers', 409, 'worker_conflict',
                            {'worker_id': wid, 'config_bundle': bundle.ref})
        assert error['message'] == f"the worker id '{wid}' is taken"


def test_a_stream_of_another_workspace_does_not_begin(shared):
    stream = sse.Stream(client(shared, 'ann'), shared.workers['zeta'].path + '/events')
    assert stream.head.status == 404
    stream.close()
    follow = sse.Stream(client(shared, 'ann'), shared.workers['zeta'].path + '/input', 'POST',
                        {'content': 'x'})
    assert follow.head.status == 404
    follow.close()
    born = shared.workers['acme'].born
    cursor = {'Last-Event-ID': born}
    client(shared, 'ann').refused('GET', shared.workers['zeta'].path + '/events?wait=0', 404,
                                  'worker_not_found', headers=cursor)


def test_metrics_are_of_all_workspaces_so_they_are_for_none(shared):
    client(shared, 'ann').refused('GET', '/metrics', 403, 'policy_denied')
    assert client(shared, 'cat').get('/metrics').status == 200


def test_a_request_may_see_less_than_its_token_and_never_more(shared):
    see = {'Yoi-Workspace': 'zeta'}
    ids = [x['worker_id'] for x in client(shared, 'cat').ok('GET', '/v1/workers',
                                                            headers=see)['workers']]
    assert ids == [shared.workers['zeta'].id]
    client(shared, 'cat').refused('GET', shared.workers['acme'].path, 404, 'worker_not_found',
                                  headers=see)
    client(shared, 'cat').refused('GET', '/metrics', 403, 'policy_denied', headers=see)
    client(shared, 'ann').refused('GET', '/v1/workers', 403, 'policy_denied', headers=see)
    client(shared, 'cat').refused('GET', '/v1/workers', 400, 'invalid_identifier',
                                  headers={'Yoi-Workspace': '../x'})


def test_what_sleeps_is_of_its_workspace_too(shared):
    """After a restart all workers sleep: what they are is known before they are read."""
    shared.restart()
    bob = client(shared, 'bob')
    assert bob.ok('GET', '/v1/runtime')['runtime']['counts']['workers'] == 1
    bob.refused('GET', shared.workers['acme'].path, 404, 'worker_not_found')
    bob.refused('GET', shared.workers[None].path, 404, 'worker_not_found')
    ids = [x['worker_id'] for x in bob.ok('GET', '/v1/workers')['workers']]
    assert ids == [shared.workers['zeta'].id]
    assert Worker(bob, '/v1', ids[0]).say('hi')['turn']['state'] == 'completed'


def test_what_sleeps_without_its_bundle_is_counted_for_nobody_else(shared):
    """Only its history can tell whose it is: nothing is read for a count."""
    passing = Bundle(id='passing', workspace_id='zeta')
    passing.put(client(shared, 'cat'))
    worker = Worker.create(client(shared, 'bob'), config_bundle=passing.ref)
    worker.stop()
    wait.until(lambda: worker.get()['state'] == 'stopped', what='the stop')
    assert client(shared, 'bob').delete(passing.path).status in (200, 204)
    shared.restart()
    ann, bob = client(shared, 'ann'), client(shared, 'bob')

    def count(v1):
        return v1.ok('GET', '/v1/runtime')['runtime']['counts']['workers']
    assert (count(ann), count(bob)) == (1, 1)
    assert worker.id in [w['worker_id'] for w in bob.ok('GET', '/v1/workers')['workers']]
    assert worker.id not in [w['worker_id'] for w in ann.ok('GET', '/v1/workers')['workers']]
    assert (count(ann), count(bob)) == (1, 2)
    assert bob.delete(worker.path).status == 204


def test_a_runtime_that_knows_no_workspaces_shows_such_a_token_nothing(new_host):
    """Also one that would not look at the flag: it never gets the request."""
    secrets = {**configs.SECRETS, 'ann': {'file': 'ann.token'}, 'bob': {'file': 'bob.token'}}
    entries = [{'name': 'ann', 'workspace': 'acme', 'secrets': ['secret:ann']},
               {'name': 'bob', 'secrets': ['secret:bob']}]
    host = new_host(configs.standard(
        runtimes=[configs.embedded('main'), configs.faulty('faulty')],
        ingresses=[configs.ingress(configs.BROWSER, tokens=entries)],
        local={'secrets': secrets}), start=False)
    put(host, 'ann', SECRET['ann'])
    put(host, 'bob', SECRET['bob'])
    host.start()
    ann = Client(host.address('browser'), SECRET['ann'], recorded=False)
    bob = Client(host.address('browser'), SECRET['bob'], recorded=False)
    path = '/api/runtimes/faulty/workers/idle'
    assert bob.get(path).status == 200
    for method, tail in (('GET', ''), ('POST', '/stop'), ('GET', '/transcript')):
        ann.refused(method, path + tail, 501, 'unsupported_operation')
    rows = {r['runtime_id']: r for r in ann.ok('GET', '/api/workers')['runtimes']}
    assert rows['faulty']['workers'] == []
    assert rows['faulty']['diagnostics'][0]['code'] == 'unsupported_operation'


def test_bundles_of_the_config_are_of_their_workspace(new_host, tmp_path):
    """A host that has bundles brings a foreign one to nobody."""
    for w in ('acme', 'zeta'):
        (tmp_path / f'{w}.json').write_bytes(Bundle(id=w, workspace_id=w).raw)
    zeta = Bundle((tmp_path / 'zeta.json').read_bytes())
    acme = Bundle((tmp_path / 'acme.json').read_bytes())
    entry = {'name': 'ann', 'workspace': 'acme', 'secrets': ['secret:ann']}
    host = new_host(configs.standard(
        ingresses=[configs.ingress(configs.BROWSER, tokens=[entry]), tokens(entry)],
        bundles=[str(tmp_path / 'acme.json'), str(tmp_path / 'zeta.json')],
        local={'secrets': {**configs.SECRETS, 'ann': {'file': 'ann.token'}}}), start=False)
    put(host, 'ann', SECRET['ann'])
    host.start()
    ann, api = client(host, 'ann'), Client(host.address('browser'), SECRET['ann'])
    ann.refused('POST', '/v1/workers', 404, 'bundle_not_found', {'config_bundle': zeta.ref})
    assert ann.ok('POST', '/v1/workers', {'config_bundle': acme.ref})
    assert [b['id'] for b in api.ok('GET', '/api/config-bundles')['bundles']] == ['acme']
    here = api.ok('GET', '/api/runtimes/main/config-bundles')['bundles']
    assert [b['id'] for b in here] == ['acme']
    api.refused('POST', f'/api/runtimes/main/config-bundles/{zeta.digest}/sync', 404,
                'bundle_not_found')
    assert not host.entries(msg='bundle synced', bundle='zeta')


# ---- another value ----------------------------------------------------------

def until_401(v1):
    wait.until(lambda: v1.get('/v1/runtime').status == 401, what='the token to be refused')


def test_a_token_is_changed_without_a_restart(new_host):
    host = named(new_host, {'name': 'ann'}, {'name': 'bob'})
    old = client(host, 'ann')
    assert old.get('/v1/runtime').status == 200
    put(host, 'ann', SECRET['new'])
    until_401(old)
    assert client(host, 'new').get('/v1/runtime').status == 200
    assert client(host, 'bob').get('/v1/runtime').status == 200
    wait.until(lambda: host.entries(msg='tokens reloaded'), what='the line about it')
    assert not [v for v in SECRET.values() if v in host.log]


def test_the_token_of_the_listener_is_changed_too(new_host):
    host = new_host(configs.standard(ingresses=[
        configs.BROWSER, configs.ingress(configs.RUNTIME, token_reload_ms=100)]))
    assert host.v1.get('/v1/runtime').status == 200
    put(host, 'runtime', SECRET['new'])
    until_401(host.v1)
    assert client(host, 'new').get('/v1/runtime').status == 200


def test_two_secrets_of_one_token_are_good_at_once(new_host):
    host = named(new_host, {'name': 'ann', 'secrets': ['secret:bob', 'secret:cat']},
                 extra=('bob', 'cat'))
    first = Worker.create(client(host, 'bob'))
    assert Worker(client(host, 'cat'), '/v1', first.id).get()
    put(host, 'bob', SECRET['new'])
    until_401(client(host, 'bob'))
    assert client(host, 'cat').get('/v1/runtime').status == 200
    assert client(host, 'new').get('/v1/runtime').status == 200


def test_a_stream_ends_with_the_token_that_opened_it(new_host):
    host = named(new_host, {'name': 'ann'}, {'name': 'bob'}, heartbeat_ms=200)
    worker = Worker.create(client(host, 'bob'))
    mine, theirs = Worker(client(host, 'ann'), '/v1', worker.id).events(), worker.events()
    assert mine.next_event().kind == 'snapshot' and theirs.next_event().kind == 'snapshot'
    put(host, 'ann', SECRET['new'])
    last = list(mine)[-1]
    assert last.kind == 'end' and json.loads(last.text)['code'] == 'unauthorized'
    assert json.loads(last.text)['retryable'] is False
    worker.say('after')
    assert 'turn.ended' in iter(lambda: theirs.next_event().kind, 'end')
    theirs.close()


def test_no_event_goes_out_behind_a_token(new_host):
    """Also when events come faster than heartbeats."""
    host = named(new_host, {'name': 'ann'}, {'name': 'bob'}, heartbeat_ms=60000)
    worker = Worker.create(client(host, 'bob'))
    stream = Worker(client(host, 'ann'), '/v1', worker.id).events()
    assert stream.next_event().kind == 'snapshot'
    put(host, 'ann', SECRET['new'])
    until_401(client(host, 'ann'))
    worker.say('secret words')
    rest = list(stream)
    assert [e.kind for e in rest] == ['end'] and 'secret words' not in rest[0].text


@pytest.mark.parametrize('value', ['x7q9z', 'two words of some length', SECRET['bob'], ''])
def test_a_value_that_is_no_token_changes_nothing(new_host, value):
    host = named(new_host, {'name': 'ann'}, {'name': 'bob'})
    put(host, 'ann', value)
    said = (lambda: host.entries(msg='tokens stay as they were')) if value else \
        (lambda: 'cannot read secret' in host.log)
    wait.until(said, what='the log to say so')
    assert client(host, 'ann').get('/v1/runtime').status == 200
    assert client(host, 'bob').get('/v1/runtime').status == 200
    assert not value or value not in host.log


# ---- rates ------------------------------------------------------------------

def test_a_caller_has_a_rate_of_his_own(new_host):
    host = named(new_host, {'name': 'ann', 'rate': {'count': 3, 'per_ms': 3600000}},
                 {'name': 'bob'}, rate={'count': 1000, 'per_ms': 1000})
    ann = client(host, 'ann')
    for _ in range(3):
        assert ann.get('/v1/runtime').status == 200
    for path in ('/v1/runtime', '/v1/nothing', '/metrics'):
        r = ann.get(path)
        assert (r.status, r.code) == (429, 'rate_limited')
        assert 600 < int(r.header('retry-after')) <= 1200
    assert client(host, 'bob').get('/v1/runtime').status == 200
    assert ann.get('/readyz').status == 200 and ann.get('/healthz').status == 200
    # Whoever brings a wrong token does not use up what others have.
    for _ in range(5):
        client(host, 'x').refused('GET', '/v1/runtime', 401, 'unauthorized')


def test_a_rate_comes_back(new_host):
    host = named(new_host, {'name': 'ann', 'rate': {'count': 1, 'per_ms': 300}})
    ann = client(host, 'ann')
    assert ann.get('/v1/runtime').status == 200
    wait.until(lambda: ann.get('/v1/runtime').status == 200, what='another request')


def test_a_surface_without_tokens_has_a_rate_too(new_host):
    host = new_host(configs.standard(ingresses=[configs.RUNTIME, configs.ingress(
        configs.BROWSER, rate={'count': 2, 'per_ms': 3600000})]))
    assert [host.api.get('/api/runtimes').status for _ in range(3)] == [200, 200, 429]


def test_the_manifest_names_each_operation():
    """So that `yoi-host check` says what is none."""
    manifest = json.loads((ROOT / 'plugins/ingress-http/ingress-http.yoi.json').read_text())
    token = manifest['config']['properties']['tokens']['items']['properties']
    assert token['permissions']['items']['enum'] == [
        *GROUPS, *(op.id for op in OPS if op.id != 'host.ready')]


# ---- configs that are refused -----------------------------------------------

@pytest.mark.parametrize('entry,word', [
    ({'permissions': ['everything']}, '"observe"'), ({'permissions': ['worker.*']}, '"observe"'),
    ({'workspace': 'No Such'}, '^[a-z0-9]'), ({'name': 'two words'}, '^[A-Za-z0-9'),
    ({'workspace': 'acme', 'permissions': ['metrics']}, 'metrics'), ({'secrets': []}, 'empty'),
    ({'secrets': ['plain-text-token-of-length']}, 'secret'), ({'secrets': ['secret:gone']}, 'gone'),
    ({'more': 1}, 'more'), ({'rate': {'count': 0, 'per_ms': 1}}, 'at least 1')])
def test_a_token_that_makes_no_sense_stops_the_start(new_host, entry, word):
    host = named(new_host, {'name': 'ann', 'secrets': ['secret:ann'], **entry}, start=False,
                 extra=('ann',), values={'two words': SECRET['new']}) \
        if entry.get('name') is None else None
    if host is None:
        host = named(new_host, {'name': 'ann'}, start=False)
        host.config['ingress'][1]['config']['tokens'][0]['name'] = entry['name']
    host.write()
    host.spawn()
    assert host.wait_exit() > 0
    assert 'msg=ready' not in host.log and word in host.log
    assert 'plain-text' not in host.log
    host.proc = None


@pytest.mark.parametrize('entries,values,word', [
    ([{'name': 'ann'}, {'name': 'bob'}], {'bob': SECRET['ann']}, 'same value'),
    ([{'name': 'ann'}], {'ann': 'a' * 15}, '16'),
    ([{'name': 'ann'}, {'name': 'ann', 'secrets': ['secret:bob']}], {}, 'ann')])
def test_values_are_long_enough_and_of_one_caller(new_host, entries, values, word):
    host = named(new_host, *entries, start=False, values=values, extra=('bob',))
    host.write()
    host.spawn()
    assert host.wait_exit() > 0
    assert word in host.log and not [v for v in SECRET.values() if v in host.log]
    host.proc = None


def test_a_token_of_the_least_length_is_one(new_host):
    host = named(new_host, {'name': 'ann'}, values={'ann': 'a' * 16})
    assert client(host, 'a' * 16).get('/v1/runtime').status == 200


def test_so_many_tokens_are_too_many(new_host):
    host = named(new_host, {'name': 'ann'}, start=False)
    entry = host.config['ingress'][1]['config']['tokens'][0]
    host.config['ingress'][1]['config']['tokens'] = [
        {**entry, 'name': f'n{i}'} for i in range(65)]
    host.write()
    host.spawn()
    assert host.wait_exit() == 1 and '64' in host.log
    host.proc = None


def test_a_worker_made_by_one_is_there_for_all_who_may_see_it(new_host):
    host = named(new_host, {'name': 'ann'}, {'name': 'bob', 'permissions': ['observe']})
    wid = Worker.create(client(host, 'ann'), wid=fresh()).id
    bob = Worker(client(host, 'bob'), '/v1', wid)
    assert bob.get()['worker_id'] == wid
    client(host, 'bob').refused('POST', bob.path + '/input', 403, 'policy_denied',
                                {'content': 'x'})
