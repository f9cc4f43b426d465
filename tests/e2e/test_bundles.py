"""Bundles of a runtime over its surface: put, have, get, list, delete, create."""
import hashlib
import json

import pytest

from lib import configs
from lib.bundle import Bundle
from lib.worker import Worker, fresh
from test_restart import kill_and_start

TOOLS = [{'name': 'fs_read', 'plugin': 'dev.yoi.tool-fs', 'policy': 'allow',
          'grants': ['mount:workspace:ro']}]


@pytest.fixture(scope='module', params=['embedded', 'fs-store'])
def host(request, tmp_path_factory):
    from conftest import _end, _keep
    made = []
    runtime = configs.embedded() if request.param == 'embedded' else configs.stored('state')
    new = _keep(made, tmp_path_factory.mktemp('bundles'))
    yield new(configs.standard(runtimes=[runtime]))
    _end(made)


@pytest.fixture
def v1(host):
    return host.v1


@pytest.fixture
def bundle():
    """One that nobody else has."""
    return Bundle(revision=fresh('r'))


def test_the_digest_is_the_sha256_of_the_bytes(v1, bundle, tmp_path):
    about = bundle.put(v1)
    assert about == {
        'id': 'acme-default', 'digest': bundle.digest,
        'revision': json.loads(bundle.raw)['revision'],
        'workspace_id': 'acme', 'created_at': '2026-06-26T00:00:00Z',
        'provenance': {'source': 'test'}, 'bytes': len(bundle.raw), 'profiles': ['companion']}
    r = v1.get(bundle.path)
    assert (r.status, r.body) == (200, bundle.raw)
    assert r.header('content-type').startswith('application/json')
    assert 'sha256:' + hashlib.sha256(r.body).hexdigest() == bundle.digest
    assert v1.request('HEAD', bundle.path).status == 200


def test_a_second_put_is_no_news(v1, bundle):
    assert bundle.put(v1) == bundle.put(v1, status=200)


def test_other_bytes_under_its_name_are_refused(v1, bundle):
    changed = bundle.raw.replace(b'Acme.', b'Acme!')
    assert changed != bundle.raw
    error = v1.refused('PUT', bundle.path, 422, 'bundle_digest_mismatch', changed)
    assert error['details'] == {'digest': Bundle(changed).digest}
    v1.refused('GET', bundle.path, 404, 'bundle_not_found')


@pytest.mark.parametrize('change, code', [
    ({'profiles': []}, 'bundle_invalid'),
    ({'nonsense': 1}, 'bundle_invalid'),
    ({'schema': 'yoi.bundle/2'}, 'unsupported_declaration'),
    ({'prompts': [{'name': 'companion.system', 'media_type': 'text/markdown',
                   'text': 'key ' + 'ghp' + '_' + 'a1B2c3D4e5F6' * 3}]},
     'bundle_forbidden_content'),
])
def test_what_is_wrong_is_said_with_its_place(v1, change, code):
    bad = Bundle(**change)
    error = v1.refused('PUT', bad.path, 422, code, bad.raw)
    assert error['details']['pointer'].startswith('/'), error
    assert error['details']['rule'], error
    assert 'a1B2c3D4' not in json.dumps(error)


def test_a_name_that_is_no_digest(v1, bundle):
    for name in ('x', 'sha256:00', bundle.digest.upper(), bundle.digest[7:]):
        for method, body in (('GET', None), ('PUT', bundle.raw), ('DELETE', None)):
            v1.refused(method, f'/v1/config-bundles/{name}', 400, 'invalid_identifier', body)
    assert v1.request('HEAD', '/v1/config-bundles/x').status == 400


def test_they_are_listed_in_pages(v1):
    mine = {Bundle(revision=fresh('r')).put(v1)['digest'] for _ in range(3)}
    seen, after = [], ''
    while True:
        page = v1.ok('GET', f'/v1/config-bundles?limit=2{after}')
        seen += [b['digest'] for b in page['bundles']]
        if page['next'] is None:
            break
        assert page['next'] == seen[-1]
        after = f'&after={page["next"]}'
    assert seen == sorted(set(seen)) and mine <= set(seen)
    v1.refused('GET', '/v1/config-bundles?limit=257', 400, 'limit_too_large')
    v1.refused('GET', '/v1/config-bundles?after=x', 400, 'invalid_identifier')


def test_one_that_is_not_used_can_be_deleted(v1, bundle):
    bundle.put(v1)
    assert v1.delete(bundle.path).status == 204
    v1.refused('DELETE', bundle.path, 404, 'bundle_not_found')
    assert v1.request('HEAD', bundle.path).status == 404


def test_a_worker_is_made_of_one(v1, bundle):
    v1.refused('POST', '/v1/workers', 404, 'bundle_not_found', {'config_bundle': bundle.ref})
    bundle.put(v1)
    worker = Worker.create(v1, config_bundle=bundle.ref, workspace='acme')
    told = worker.get()
    assert told['config_bundle'] == bundle.ref
    spec = told['spec']
    assert (spec['source'], spec['bundle'], spec['profile']) == ('bundle', bundle.ref, 'companion')
    assert spec['workspace'] == {'id': 'acme', 'name': 'Acme', 'project': 'site'}
    assert spec['limits']['steps'] == 8
    assert worker.say('hello')['turn']['state'] == 'completed'
    error = v1.refused('DELETE', bundle.path, 409, 'bundle_in_use')
    assert error['details'] == {'workers': 1}
    worker.stop()
    assert v1.delete(bundle.path).status == 204
    assert worker.get()['spec'] == spec


@pytest.mark.parametrize('fields, status, code', [
    ({'profile': {'kind': 'named', 'value': 'nobody'}}, 422, 'invalid_profile'),
    ({'profile': {'kind': 'builtin', 'value': 'companion'}}, 422, 'invalid_profile'),
    ({'workspace': 'other'}, 403, 'policy_denied'),
    ({'requested_capabilities': [{'name': 'net:web'}]}, 422, 'grant_missing'),
])
def test_no_fallback_inside_a_bundle(v1, bundle, fields, status, code):
    bundle.put(v1)
    v1.refused('POST', '/v1/workers', status, code, {'config_bundle': bundle.ref, **fields})


def test_a_digest_that_is_here_under_another_id(v1, bundle):
    bundle.put(v1)
    v1.refused('POST', '/v1/workers', 422, 'bundle_digest_mismatch',
               {'config_bundle': {'id': 'other', 'digest': bundle.digest}})


def test_what_this_host_has_not_is_said_at_create(v1):
    needs = {'tools': TOOLS, 'grants': ['model:main', 'mount:workspace:ro'],
             'profiles': [{'name': 'companion', 'prompt': 'companion.system', 'model': 'main',
                           'tools': ['fs_read']}]}
    bundle = Bundle(revision=fresh('r'), **needs)
    bundle.put(v1)
    error = v1.refused('POST', '/v1/workers', 422, 'grant_missing', {'config_bundle': bundle.ref})
    assert error['details'] == {'missing': ['mount:workspace:ro']}
    for pin in ({'version': '>=99'}, {'digests': ['sha256:' + '0' * 64]}):
        pinned = Bundle(revision=fresh('r'), plugins=[{'id': 'dev.yoi.tool-fs', **pin}], **needs)
        pinned.put(v1)
        v1.refused('POST', '/v1/workers', 422, 'unsupported_declaration',
                   {'config_bundle': pinned.ref})
    other = Bundle(revision=fresh('r'), models=[{'name': 'main', 'ref': 'model:big'}],
                   grants=['model:big'])
    other.put(v1)
    error = v1.refused('POST', '/v1/workers', 422, 'unsupported_declaration',
                       {'config_bundle': other.ref})
    assert error['details'] == {'models': ['main']}


# ---- over restarts -----------------------------------------------------------


@pytest.fixture
def durable(new_host):
    return new_host(configs.standard(
        runtimes=[configs.stored('state', limits={'loaded_workers': 1})]))


def test_what_was_put_is_there_after_a_kill(durable, bundle):
    gone = Bundle(revision=fresh('r'))
    bundle.put(durable.v1)
    gone.put(durable.v1)
    workers = [Worker.create(durable.v1, config_bundle=bundle.ref) for _ in range(3)]
    assert durable.v1.delete(gone.path).status == 204
    kill_and_start(durable)
    assert durable.v1.get(bundle.path).body == bundle.raw
    durable.v1.refused('GET', gone.path, 404, 'bundle_not_found')
    error = durable.v1.refused('DELETE', bundle.path, 409, 'bundle_in_use')
    assert error['details'] == {'workers': len(workers)}
    again = Worker(durable.v1, '/v1', workers[0].id)
    assert again.say('hello')['turn']['state'] == 'completed'
    assert bundle.put(durable.v1, status=200)['digest'] == bundle.digest


def test_a_worker_outlives_the_loss_of_its_bundle(durable, bundle):
    """Its spec is its own: the file may be gone, or damaged, at the next start."""
    bundle.put(durable.v1)
    worker = Worker.create(durable.v1, config_bundle=bundle.ref)
    spec = worker.get()['spec']
    file = next(durable.folder.rglob('bundles/*.json'))
    assert hashlib.sha256(file.read_bytes()).hexdigest() == file.stem
    file.write_bytes(file.read_bytes()[:-1])
    kill_and_start(durable)
    durable.v1.refused('GET', bundle.path, 404, 'bundle_not_found')
    runtime = durable.v1.ok('GET', '/v1/runtime')['runtime']
    assert any('bundle' in d['message'] for d in runtime['diagnostics']), runtime
    again = Worker(durable.v1, '/v1', worker.id)
    assert again.get()['spec'] == spec
    assert again.say('hello')['turn']['state'] == 'completed'
    bundle.put(durable.v1)
    assert Worker.create(durable.v1, config_bundle=bundle.ref).say('hi')['turn']['state'] == \
        'completed'
