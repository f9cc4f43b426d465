"""Bundles as the host has them: what it tells, which runtime gets them and when,
what a create without one becomes, and what its runtime surface shows of them."""
import concurrent.futures
import hashlib
import json

import pytest

from lib import bundles, configs, wait
from lib.worker import fresh
from test_config_messages import check

CREATE = '/api/runtimes/main/workers'
STATUS = '/api/runtimes/main/config-bundles'


@pytest.fixture
def having(new_host):
    """A host of one runtime and the bundle `team`, unless other files are given."""
    def start(entries=None, files=None, start=True, **keys):
        host = new_host(configs.standard(runtimes=[configs.embedded(**keys)],
                                         bundles=entries or ['team.json']), start=False)
        host.digests = {name: bundles.write(host.etc / name, *args)
                        for name, args in (files or {'team.json': ('team',)}).items()}
        return host.start() if start else host
    return start


def ref(host, name='team'):
    return {'id': name, 'digest': host.digests[f'{name}.json']}


def states(host, rid='main'):
    rows = host.api.ok('GET', f'/api/runtimes/{rid}/config-bundles')['bundles']
    return {row['id']: row['status'] for row in rows}


def test_the_bundles_of_the_config_are_listed(having):
    host = having()
    assert host.api.ok('GET', '/api/config-bundles') == {'bundles': [
        {'id': 'team', 'digest': host.digests['team.json'], 'revision': '1', 'workspace_id': 'acme',
         'created_at': '2026-06-26T00:00:00Z',
         'provenance': {'source': 'git', 'detail': 'main'}}], 'next': None}
    host.stop()


def test_a_create_brings_the_bundle(having):
    host = having()
    assert states(host) == {'team': 'missing'}
    worker = host.api.ok('POST', CREATE, {'config_bundle': ref(host)}, 201)['worker']
    assert worker['config_bundle'] == ref(host)
    assert states(host) == {'team': 'available'}
    detail = host.api.ok('GET', f'{CREATE}/{worker["worker_id"]}')['worker']
    assert detail['spec']['source'] == 'bundle' and detail['spec']['workspace']['id'] == 'acme'
    assert detail['spec']['bundle'] == ref(host)
    synced = wait.until(lambda: host.entries(msg='bundle synced'), what='the line about it')
    assert [(e['runtime'], e['digest']) for e in synced] == [('main', host.digests['team.json'])]
    assert str(host.etc) not in json.dumps(synced)
    host.api.ok('POST', CREATE, {'config_bundle': ref(host)}, 201)
    host.restart()  # workers of memory, and bundles, are gone
    assert states(host) == {'team': 'missing'}
    host.api.ok('POST', CREATE, {'config_bundle': ref(host)}, 201)
    assert states(host) == {'team': 'available'}
    host.stop()


def test_a_store_keeps_what_it_was_given(new_host, tmp_path):
    host = new_host(configs.standard(runtimes=[configs.stored(tmp_path / 'store')],
                                     bundles=['team.json']), start=False)
    host.digests = {'team.json': bundles.write(host.etc / 'team.json', 'team')}
    host.start()
    host.api.ok('POST', CREATE, {'config_bundle': ref(host)}, 201)
    host.restart()
    assert states(host) == {'team': 'available'}
    host.api.ok('POST', CREATE, {'config_bundle': ref(host)}, 201)
    host.stop()
    assert not host.entries(msg='bundle synced')


@pytest.mark.tsan
def test_two_hundred_creates_bring_it_once(having):
    host = having()

    def create(_):
        return host.api.post(CREATE, {'worker_id': fresh(), 'config_bundle': ref(host)}).status
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert set(pool.map(create, range(200))) == {201}
    host.stop()
    assert len(host.entries(msg='bundle synced')) == 1


def test_a_digest_that_nobody_has_is_missing(having):
    host = having()
    other = {'id': 'team', 'digest': 'sha256:' + '0' * 64}
    error = host.api.refused('POST', CREATE, 404, 'bundle_not_found', {'config_bundle': other})
    assert error['details'] == {'digest': other['digest']}
    assert states(host) == {'team': 'missing'}
    host.stop()


def test_another_id_is_another_bundle(having):
    host = having()
    wrong = {**ref(host), 'id': 'other'}
    host.api.refused('POST', CREATE, 422, 'bundle_digest_mismatch', {'config_bundle': wrong})
    host.stop()


def test_a_sync_puts_it_there_now(having):
    host = having([{'file': 'team.json'}, {'file': 'away.json', 'runtimes': ['elsewhere']}],
                  {'team.json': ('team',), 'away.json': ('away',)})
    team, away = host.digests['team.json'], host.digests['away.json']
    assert states(host) == {'team': 'missing', 'away': 'not_allowed'}
    answer = host.api.ok('POST', f'{STATUS}/{team}/sync', status=200)
    assert answer['runtime_id'] == 'main' and answer['bundle']['status'] == 'available'
    assert states(host)['team'] == 'available'
    host.api.ok('POST', f'{STATUS}/{team}/sync', status=200)
    host.api.refused('POST', f'{STATUS}/{away}/sync', 403, 'policy_denied')
    host.api.refused('POST', f'{STATUS}/sha256:{"0" * 64}/sync', 404, 'bundle_not_found')
    host.api.refused('POST', f'{STATUS}/team/sync', 400, 'invalid_identifier')
    host.api.refused('POST', f'/api/runtimes/none/config-bundles/{team}/sync', 404,
                     'runtime_not_found')
    host.api.refused('GET', '/api/runtimes/none/config-bundles', 404, 'runtime_not_found')
    host.stop()


def test_a_runtime_that_knows_no_bundles_is_unknown(new_host, tmp_path):
    (tmp_path / 'records').mkdir()
    archive = {'id': 'main', 'plugin': 'dev.yoi.local-compat',
               'config': {'root': str(tmp_path / 'records')}}
    host = new_host(configs.standard(runtimes=[archive], bundles=['team.json']), start=False)
    host.digests = {'team.json': bundles.write(host.etc / 'team.json', 'team')}
    host.start()
    assert states(host) == {'team': 'unknown'}
    host.api.refused('POST', f'{STATUS}/{host.digests["team.json"]}/sync', 501,
                     'unsupported_operation')
    host.stop()


# ---- what the entry says ---------------------------------------------------------------

def test_a_create_without_a_bundle_gets_the_newest_one(having):
    files = {f'{n}.json': ('team', n, 'acme', f'2026-0{m}-01T00:00:00Z')
             for n, m in (('one', 1), ('three', 3), ('two', 2))}
    host = having(list(files), files, bundle='team', default_profile='named:companion')
    for body in ({}, {'profile': {'kind': 'runtime_default'}},
                 {'profile': {'kind': 'named', 'value': 'companion'}}):
        made = host.api.ok('POST', CREATE, body, 201)['worker']
        assert made['config_bundle'] == {'id': 'team', 'digest': host.digests['three.json']}
        assert made['profile'] == {'kind': 'named', 'value': 'companion'}
    host.api.refused('POST', CREATE, 422, 'invalid_profile',
                     {'profile': {'kind': 'builtin', 'value': 'companion'}})
    host.api.refused('POST', CREATE, 422, 'invalid_profile',
                     {'profile': {'kind': 'named', 'value': 'nobody'}})
    host.stop()


BUILTIN = {kind: {'profile': {'kind': 'builtin', 'value': kind}} for kind in ('companion', 'coder')}
WITH = 'with a bundle'


@pytest.mark.parametrize('require,refused', [
    ('never', []), ('tools', ['coder', 'capable']), ('always', ['none', 'companion', 'coder',
                                                                'capable'])])
def test_what_needs_a_bundle(having, require, refused):
    host = having(require_bundle=require)
    bodies = {'none': {}, **BUILTIN, 'capable': {'requested_capabilities': [{'name': 'fs_read'}]},
              WITH: {'config_bundle': ref(host)}}
    for name, body in bodies.items():
        for client, path in ((host.api, CREATE), (host.v1, '/v1/workers')):
            r = client.post(path, body)
            if name in refused:
                assert (r.status, r.code) == (409, 'bundle_required'), (name, r)
            elif name in ('capable', 'coder'):  # nothing is granted here
                assert (r.status, r.code) == (422, 'grant_missing'), r
            else:
                assert r.status == 201, (name, r)
    host.stop()


def test_workspaces_are_kept_apart(having):
    files = {'team.json': ('team', '1', 'acme'), 'lab.json': ('lab', '1', 'lab')}
    host = having(list(files), files, workspaces=['acme'])
    assert states(host) == {'team': 'missing', 'lab': 'not_allowed'}
    data = (host.etc / 'lab.json').read_bytes()
    for client, path in ((host.api, CREATE), (host.v1, '/v1/workers')):
        client.refused('POST', path, 403, 'policy_denied', {'config_bundle': ref(host, 'lab')})
        client.refused('POST', path, 403, 'policy_denied', {'workspace': 'lab'})
        client.refused('POST', path, 403, 'policy_denied',
                       {'workspace': 'lab', 'config_bundle': ref(host)})
        client.ok('POST', path, {'workspace': 'acme', 'config_bundle': ref(host)}, 201)
    host.v1.refused('PUT', f'/v1/config-bundles/{host.digests["lab.json"]}', 403, 'policy_denied',
                    data)
    again = data + b'\n'  # the same, and the config does not have it
    digest = 'sha256:' + hashlib.sha256(again).hexdigest()
    host.v1.refused('PUT', f'/v1/config-bundles/{digest}', 403, 'policy_denied', again)
    mine = (host.etc / 'team.json').read_bytes() + b'\n'
    digest = 'sha256:' + hashlib.sha256(mine).hexdigest()
    assert host.v1.request('PUT', f'/v1/config-bundles/{digest}', mine).status == 201
    made = host.v1.ok('POST', '/v1/workers', {'config_bundle': {'id': 'team', 'digest': digest}},
                      201)['worker']
    spec = host.v1.ok('GET', f'/v1/workers/{made["worker_id"]}')['worker']['spec']
    assert spec['workspace']['id'] == 'acme'
    host.stop()


def test_a_create_of_a_bundle_of_another_workspace(having):
    host = having()
    host.api.refused('POST', CREATE, 403, 'policy_denied',
                     {'workspace': 'lab', 'config_bundle': ref(host)})
    host.stop()


def test_policy_has_a_word(having):
    host = having(start=False)
    host.config['policy'] = [{'plugin': 'dev.yoi.policy-rules', 'config': {'rules': [
        {'name': 'no-sync', 'decision': 'deny', 'operations': ['host.bundle_sync', 'bundle.*']},
        {'name': 'rest', 'decision': 'allow', 'operations': ['*']}]}}]
    host.start()
    digest = host.digests['team.json']
    host.api.refused('POST', f'{STATUS}/{digest}/sync', 403, 'policy_denied')
    assert states(host) == {'team': 'unknown'}
    data = (host.etc / 'team.json').read_bytes()
    host.v1.refused('PUT', f'/v1/config-bundles/{digest}', 403, 'policy_denied', data)
    # What the config gives a runtime is no request of anybody's.
    host.api.ok('POST', CREATE, {'config_bundle': ref(host)}, 201)
    host.stop()


# ---- the runtime surface ------------------------------------------------------------------

def test_bytes_go_in_and_out_as_they_are(having):
    host = having()
    data = bundles.text(bundles.make('mine'))
    digest = 'sha256:' + hashlib.sha256(data).hexdigest()
    path = f'/v1/config-bundles/{digest}'
    host.v1.refused('GET', path, 404, 'bundle_not_found')
    assert host.v1.request('HEAD', path).status == 404
    r = host.v1.request('PUT', path, data)
    assert r.status == 201 and r.header('location') == path
    assert host.v1.request('PUT', path, data).status == 200
    r = host.v1.get(path)
    assert (r.status, r.body) == (200, data) and r.header('content-type') == 'application/json'
    assert r.header('etag') == f'"{digest}"' and r.header('cache-control') == 'private, no-cache'
    head = host.v1.request('HEAD', path)
    assert (head.status, head.header('content-length')) == (200, str(len(data)))
    assert head.header('etag') == f'"{digest}"'
    for method in ('GET', 'HEAD'):
        for tags in (f'"{digest}"', f'W/"{digest}"', '*', f'"x", "{digest}"'):
            r = host.v1.request(method, path, headers={'If-None-Match': tags})
            assert (r.status, r.body) == (304, b'') and r.header('etag') == f'"{digest}"'
            assert r.header('content-length') is None
        r = host.v1.request(method, path, headers={'If-None-Match': f'"{digest[:-1]}"'})
        assert r.status == 200
    missing = f'/v1/config-bundles/sha256:{"0" * 64}'
    assert host.v1.get(missing, headers={'If-None-Match': '*'}).status == 404
    host.v1.refused('PUT', path, 422, 'bundle_digest_mismatch', data.replace(b'mine', b'nine'))
    assert host.v1.request('DELETE', path).status == 204
    host.v1.refused('GET', path, 404, 'bundle_not_found')
    host.stop()


# ---- the config ---------------------------------------------------------------------------

def test_check_says_what_is_wrong_with_a_bundle(tmp_path):
    bundles.write(tmp_path / 'good.json', 'good')
    bad = bundles.make('bad', colour=1)
    (tmp_path / 'bad.json').write_bytes(bundles.text(bad))
    path = tmp_path / 'c.json'
    path.write_text(json.dumps({'plugin_path': [], 'bundles': ['good.json', 'bad.json']}))
    code, said = check(path, tmp_path)
    assert code == 1 and len(said.splitlines()) >= 1
    assert 'this bundle is refused: line ' in said and '/colour' in said
    assert str(tmp_path / 'bad.json') in said and 'good.json' not in said
    bundles.write(tmp_path / 'bad.json', 'bad')
    code, said = check(path, tmp_path)
    assert code == 0, said
