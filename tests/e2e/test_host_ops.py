"""What the host itself answers: readiness, metrics, all runtimes, all workers."""
import concurrent.futures

import pytest

from lib import configs, logs, wait
from lib.worker import Worker

BAD = ('hang', 'error', 'garbage', 'late')
# One behind the other they would take longer than a client here waits for an answer.
DEAD = [f'dead-{n}' for n in range(40)]


@pytest.fixture(scope='module')
def crowd(module_host):
    """A healthy runtime among others that are not."""
    runtimes = [configs.embedded('main')]
    runtimes += [configs.faulty(f'f-{mode}', config={'lists': mode}) for mode in BAD]
    runtimes += [configs.faulty(rid, config={'lists': 'hang'}) for rid in DEAD]
    runtimes += [configs.faulty('f-many', config={'workers': 200})]
    return module_host(configs.standard(runtimes=runtimes))


def test_a_dead_runtime_starves_nobody_in_the_list_of_all_workers(crowd):
    Worker.create(crowd.api, '/api/runtimes/main', 'alive')
    rows = {r['runtime_id']: r for r in crowd.api.ok('GET', '/api/workers?limit=10')['runtimes']}
    assert set(rows) == {'main', 'f-many', *(f'f-{m}' for m in BAD), *DEAD}
    assert all(rows[rid]['diagnostics'][0]['code'] == 'timeout' for rid in DEAD)
    assert [w['worker_id'] for w in rows['main']['workers']] == ['alive']
    assert rows['main']['diagnostics'] == []
    for mode in ('hang', 'error', 'garbage'):
        row = rows[f'f-{mode}']
        assert row['workers'] == [] and row['diagnostics'], (mode, row)
        (d,) = row['diagnostics']
        assert {'code', 'severity', 'message', 'count', 'last_at'} <= set(d), d
    assert rows['f-hang']['diagnostics'][0]['code'] == 'timeout'
    assert rows['f-error']['diagnostics'][0]['code'] == 'runtime_unavailable'
    assert len(rows['f-late']['workers']) == 1 and not rows['f-late']['diagnostics']
    assert len(rows['f-many']['workers']) == 10 and rows['f-many']['truncated']


def test_a_dead_runtime_is_shown_as_such_in_the_list_of_runtimes(crowd):
    rows = {r['runtime_id']: r for r in crowd.api.ok('GET', '/api/runtimes')['runtimes']}
    assert set(DEAD) < set(rows)
    assert rows['main']['runtime']['status'] == 'ready'
    for mode in ('hang', 'error'):
        runtime = rows[f'f-{mode}']['runtime']
        assert runtime['status'] in ('unreachable', 'degraded', 'failed'), runtime
        assert runtime['diagnostics']
    assert rows['f-many']['source'] == {'kind': 'plugin', 'plugin': 'dev.yoi.test.faulty',
                                        'isolated': False}


def test_a_dead_runtime_can_be_asked_for_alone(crowd):
    body = crowd.api.ok('GET', '/api/runtimes/f-hang', seconds=40)
    assert body['runtime_id'] == 'f-hang' and body['runtime']['status'] != 'ready'


def test_a_dead_runtime_delays_no_other(crowd):
    """Requests that come behind those that wait for it are answered before them."""
    def overtakes():
        jobs = [pool.submit(crowd.api.get, '/api/workers') for _ in range(3)]
        for _ in range(20):
            crowd.v1.ok('GET', '/v1/runtime')
        first = not any(job.done() for job in jobs)
        assert {job.result().status for job in jobs} == {200}
        return first
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wait.until(overtakes, 60, 'twenty answers before the first list')


def test_the_limit_of_all_workers_is_checked(crowd):
    crowd.api.refused('GET', '/api/workers?limit=257', 400, 'limit_too_large')
    crowd.api.refused('GET', '/api/workers?limit=0', 400, 'invalid_request')
    crowd.api.refused('GET', '/api/workers?wat=0', 400, 'invalid_request')


def test_the_runtimes_come_in_a_steady_order(crowd):
    orders = {tuple(r['runtime_id'] for r in crowd.api.ok('GET', '/api/runtimes')['runtimes'])
              for _ in range(2)}
    assert len(orders) == 1


def test_last_seen_moves_for_a_living_runtime_only(crowd):
    def seen(rid):
        rows = crowd.api.ok('GET', '/api/runtimes')['runtimes']
        return [r['last_seen'] for r in rows if r['runtime_id'] == rid][0]
    first = seen('main')
    assert first and seen('main') >= first
    assert seen('f-hang') is None or isinstance(seen('f-hang'), str)


def test_readiness_is_not_listening(host):
    r = host.api.get('/readyz')
    assert r.status == 200
    r = host.api.request('POST', '/readyz', b'{}')
    assert r.status == 405


def test_two_runtimes_under_one_id_are_refused(new_host):
    host = new_host(configs.standard(runtimes=[configs.embedded('main'), configs.faulty('main')]),
                    start=False)
    host.write()
    host.spawn()
    assert host.wait_exit() > 0
    assert 'main' in host.log and 'msg=ready' not in host.log
    host.proc = None


def test_a_runtime_that_cannot_open_is_named(new_host):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main'), configs.faulty('broken', config={'open': 'fail'})]), start=False)
    host.write()
    host.spawn()
    code = host.wait_exit()
    assert code > 0 and 'broken' in host.log, host.log
    host.proc = None


@pytest.mark.parametrize('config', [
    {'wat': 1}, {'lists': 'wat'}, {'workers': -1}, {'workers': 1.5}])
def test_a_plugin_config_is_checked_against_its_schema(new_host, config):
    host = new_host(configs.standard(runtimes=[
        configs.embedded('main'), configs.faulty('x', config=config)]), start=False)
    host.write()
    host.spawn()
    assert host.wait_exit() > 0
    assert logs.re.search(r'yoi\.json:\d+:\d+: ', host.log), host.log
    assert 'msg=ready' not in host.log
    host.proc = None
