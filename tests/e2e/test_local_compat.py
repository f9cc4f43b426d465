"""The read-only projection: dropped in, listed, routed to, refused what it
cannot, removed; and records of whatever quality behind the HTTP surface."""
import json

import pytest

from lib import configs
from lib.host import dropped

NULL = {'id': 'main', 'plugin': 'dev.yoi.test.null'}  # no worker of another runtime is needed


def record(folder, name, **changes):
    folder.mkdir(exist_ok=True)
    body = {'worker_id': name, 'created_at': '2026-06-26T00:00:00Z', 'items': [
        {'role': 'user', 'text': 'hello', 'created_at': '2026-06-26T00:00:01Z'},
        {'role': 'assistant', 'text': 'good day', 'created_at': '2026-06-26T00:00:02.5Z'}]}
    body.update(changes)
    (folder / f'{name}.json').write_text(json.dumps(body))


@pytest.fixture
def archive(new_host):
    """A host that is not started yet; the folder of its records."""
    host = new_host(configs.standard(runtimes=[NULL], drop_in=['runtimes.d']), start=False)
    (host.etc / 'runtimes.d').mkdir()
    records = host.folder / 'home' / 'records'  # the host's working directory is its home
    records.parent.mkdir(parents=True, exist_ok=True)
    yield host, records


def runtimes(host):
    return {r['runtime_id']: r for r in host.api.ok('GET', '/api/runtimes')['runtimes']}


def test_dropped_in_it_is_listed_routed_to_refused_and_removed(archive):
    host, records = archive
    plugin = dropped('local-compat', host.etc / 'runtimes.d')
    record(records, 'w1', display_name='First')
    record(records, 'w2', state='idle')
    host.start()
    row = runtimes(host)['local-compat']
    assert row['source'] == {'kind': 'local_compat', 'plugin': 'dev.yoi.local-compat',
                             'isolated': False}
    assert row['runtime']['kind'] == 'read_only_projection'
    assert row['runtime']['diagnostics'][0]['code'] == 'read_only_projection'
    base = '/api/runtimes/local-compat/workers'
    assert [w['worker_id'] for w in host.api.ok('GET', base)['workers']] == ['w1', 'w2']
    items = host.api.ok('GET', f'{base}/w1/transcript')['transcript']['items']
    assert [(i['role'], i['content'][0]['text']) for i in items] == [
        ('user', 'hello'), ('assistant', 'good day')]
    for method, path, body in (('POST', base, {}), ('POST', f'{base}/w1/input', {'content': 'x'}),
                               ('POST', f'{base}/w1/stop', None), ('DELETE', f'{base}/w1', None),
                               ('GET', f'{base}/w1/events', None)):
        host.api.refused(method, path, 501, 'unsupported_operation', body)
    host.api.refused('GET', f'{base}/w3', 404, 'worker_not_found')
    plugin.unlink()
    host.restart()
    assert 'local-compat' not in runtimes(host)
    host.api.refused('GET', f'{base}/w1', 404, 'runtime_not_found')


def test_dropped_in_without_records_it_is_empty_and_says_so(archive):
    host, _ = archive
    dropped('local-compat', host.etc / 'runtimes.d')
    host.start()
    runtime = runtimes(host)['local-compat']['runtime']
    assert runtime['counts']['workers'] == 0
    assert 'records_missing' in {d['code'] for d in runtime['diagnostics']}
    assert host.api.ok('GET', '/api/runtimes/local-compat/workers')['workers'] == []


def test_a_bad_record_is_corrupt_and_blocks_nobody(archive):
    host, records = archive
    dropped('local-compat', host.etc / 'runtimes.d')
    record(records, 'good')
    (records / 'bad.json').write_text('{"worker_id": "bad", "worker_id": "bad"}')
    (records / 'link.json').symlink_to('/etc/passwd')
    host.start()
    base = '/api/runtimes/local-compat/workers'
    states = {w['worker_id']: w['state'] for w in host.api.ok('GET', base)['workers']}
    assert states == {'bad': 'corrupt', 'good': 'stopped', 'link': 'corrupt'}
    host.api.refused('GET', f'{base}/bad/transcript', 500, 'store_corrupt')
    assert host.api.ok('GET', f'{base}/good/transcript')['transcript']['total'] == 2


def test_a_folder_that_the_config_names_must_be_there(archive):
    host, records = archive
    entry = {'id': 'archive', 'plugin': 'dev.yoi.local-compat',
             'config': {'root': str(records)}}
    host.config = configs.standard(runtimes=[NULL, entry])
    host.write()
    host.spawn()
    assert host.wait_exit() == 3, host.log  # cannot start
    assert 'archive' in host.log
    host.proc = None
    record(records, 'w1')
    host.start()
    assert host.api.ok('GET', '/api/runtimes/archive/workers/w1')['worker']['state'] == 'stopped'
