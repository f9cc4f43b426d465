"""/metrics: clean for Prometheus, true, and documented to the last name."""
import re
import time

import pytest

from lib import configs, remote, wait
from lib.host import ROOT, descriptors
from lib.metrics import Metrics, judge
from lib.worker import Worker


def scrape(client):
    r = client.get('/metrics')
    assert r.status == 200
    return Metrics(r.text)


def becomes(host, value, *names, **labels):
    """Waits until each has that value: what ends is counted a little after it was told."""
    wait.until(lambda: all(scrape(host.api).sum(n, **labels) == value for n in names),
               what=f'{names} to be {value}')


@pytest.fixture(scope='module')
def busy(module_host, tmp_path_factory):
    """A host on which turns worked, failed and were cancelled, with a watcher and a
    model in a process of its own."""
    store = tmp_path_factory.mktemp('files') / 'store'
    host = module_host(configs.standard(runtimes=[configs.embedded(),
                                                  configs.stored(store, 'stored'),
                                                  remote.entry('http://127.0.0.1:1', 'remote',
                                                               token=None)],
                                         plugins=[{'id': 'dev.yoi.model-script',
                                                   'isolation': 'process'}]))
    failing = module_host(configs.standard(configs.fails()))
    worker = Worker.create(host.v1)
    for text in ('one', 'two', 'three'):
        worker.say(text)
    with worker.follow('four') as stream:
        stream.until('end')
    Worker.create(failing.v1).say('this fails')
    host.v1.refused('GET', '/v1/workers/nobody', 404, 'worker_not_found')
    host.api.refused('POST', '/api/runtimes/main/workers', 415, 'unsupported_media_type', b'{}',
                     headers={'Content-Type': 'text/plain'})
    return host, failing, worker


@pytest.mark.parametrize('surface', ['api', 'v1'])
def test_promtool_finds_nothing(busy, surface):
    for host in busy[:2]:
        text = getattr(host, surface).get('/metrics').text
        assert judge(text) == ''


def test_promtool_is_no_rubber_stamp(busy):
    text = busy[0].api.get('/metrics').text
    assert judge(text.replace('# HELP yoi_turns_total', '# HELP yoi_others_total'))
    assert judge(text.replace('yoi_turns_total', 'yoi_turns'))
    assert judge(text.replace('_seconds', '_ms'))


def test_every_family_has_help_and_type(busy):
    m = scrape(busy[0].api)
    families = set(m.types)
    assert set(m.helps) == families
    lines = [(s.name, tuple(s.labels.items())) for s in m.samples]
    assert len(lines) == len(set(lines))
    for s in m.samples:
        base = re.sub(r'_(bucket|sum|count)$', '', s.name)
        assert s.name in families or m.types.get(base) == 'histogram', s
        assert s.value >= 0, s


def test_histograms_agree_with_themselves(busy):
    m = scrape(busy[0].api)
    seen = m.histograms()
    assert {f for f, _, _ in seen} == {n for n, kind in m.types.items() if kind == 'histogram'}
    for family, labels, buckets in seen:
        bounds = [b for b, _ in buckets]
        counts = [c for _, c in buckets]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float('inf'), family
        assert counts == sorted(counts), family
        [total] = m.all(family + '_count', **labels)
        [seconds] = m.all(family + '_sum', **labels)
        assert total.value == counts[-1], family
        # no more time than every observation at the end of its bucket
        most = sum((c - before) * b for (b, c), before in zip(buckets, [0] + counts) if c > before)
        assert 0 <= seconds.value <= most, family


def test_what_happened_is_what_was_counted(new_host):
    host = new_host(configs.standard())
    before = scrape(host.api)
    worker = Worker.create(host.v1)
    for text in ('one', 'two', 'three'):
        worker.say(text)
    for _ in range(4):
        host.v1.get('/v1/workers/nobody')
    after = scrape(host.api)

    def grown(name, **labels):
        return after.sum(name, **labels) - before.sum(name, **labels)
    assert grown('yoi_turns_total', state='completed') == grown('yoi_turns_total') == 3
    for family in ('yoi_turn_duration_seconds', 'yoi_turn_queue_seconds',
                   'yoi_model_first_delta_seconds'):
        assert grown(family + '_count') == 3, family
    assert grown('yoi_model_requests_total', result='ok') == 3
    assert grown('yoi_model_tokens_total', kind='input') == 3 * 3
    assert grown('yoi_model_tokens_total', kind='output') == 3 * 5
    # created, and twice per turn: its input and its answer
    assert grown('yoi_store_append_seconds_count') == 1 + 2 * 3
    assert grown('yoi_http_request_duration_seconds_count', surface='runtime', status='2xx') == 4
    assert grown('yoi_http_request_duration_seconds_count', surface='runtime', status='4xx') == 4
    assert grown('yoi_http_errors_total') == 4
    # the first scrape, and all of the above; a scrape is counted and not answered
    assert grown('yoi_http_request_duration_seconds_count') == 9
    assert grown('yoi_http_requests_total') == 9
    assert grown('yoi_http_streams_total') == 3
    assert grown('yoi_workers') == 1
    assert after.sum('yoi_turns_running') == 0
    assert after.sum('yoi_turn_duration_seconds_sum') >= after.sum('yoi_turn_queue_seconds_sum')


def test_failed_and_cancelled_turns_have_their_own(new_host):
    host = new_host(configs.standard(configs.stalls()))
    worker = Worker.create(host.v1)
    with worker.follow('wait for me') as stream:
        stream.until('text.delta')
        m = scrape(host.api)
        assert m.sum('yoi_turns_running') == 1
        assert m.sum('yoi_watchers') == 1
        assert m.sum('yoi_http_streams', surface='runtime') == 1
        assert m.sum('yoi_http_connections', surface='runtime') >= 1
        assert m.sum('yoi_turn_duration_seconds_count') == 0
        worker.cancel()
        stream.until('end')
    becomes(host, 0, 'yoi_http_streams', surface='runtime')
    becomes(host, 0, 'yoi_turns_running', 'yoi_watchers')
    becomes(host, 1, 'yoi_turns_total', state='cancelled')
    becomes(host, 1, 'yoi_model_requests_total', result='cancelled')
    becomes(host, 1, 'yoi_turn_duration_seconds_count')


def test_gauges_go_back_down(new_host):
    host = new_host(configs.standard())
    workers = [Worker.create(host.v1) for _ in range(3)]
    streams = [w.events() for w in workers]
    for s in streams:
        s.until('snapshot')
    m = scrape(host.api)
    assert m.sum('yoi_workers') == m.sum('yoi_watchers') == 3
    becomes(host, 3, 'yoi_http_connections', surface='runtime')
    for s in streams:
        s.close()
    becomes(host, 0, 'yoi_watchers')
    for w in workers[1:]:
        w.stop()
        w.delete()
    assert host.metric('yoi_workers') == 1
    becomes(host, 0, 'yoi_http_connections', surface='runtime')


def test_a_slow_model_is_seen_where_it_is_slow(new_host):
    ms = 300
    host = new_host(configs.standard(configs.script({'wait_ms': ms}, {'say': 'late'})))
    Worker.create(host.v1).say('hello')
    m = scrape(host.api)
    for family in ('yoi_model_first_delta_seconds', 'yoi_turn_duration_seconds',
                   'yoi_http_request_duration_seconds'):
        seconds = m.sum(family + '_sum')
        assert seconds >= ms / 1000, family
        for f, _, buckets in m.histograms():
            if f == family:
                assert all(c == 0 or b >= ms / 1000 or family.startswith('yoi_http')
                           for b, c in buckets), family
    assert m.sum('yoi_turn_queue_seconds_sum') < m.sum('yoi_turn_duration_seconds_sum')
    # the wait was a timer of a loop
    assert m.sum('yoi_loop_lag_seconds_count') >= 1


def test_the_process_is_this_process(new_host):
    began = time.time()
    host = new_host(configs.standard())
    first, second = scrape(host.api), scrape(host.api)
    start = first.sum('process_start_time_seconds')
    assert began - 1 <= start <= time.time() + 1
    assert second.sum('process_start_time_seconds') == start
    assert second.sum('process_cpu_seconds_total') >= first.sum('process_cpu_seconds_total') > 0
    # the connections of the scrapes come and go beside
    wait.until(lambda: abs(scrape(host.api).sum('process_open_fds')
                           - len(descriptors(host.pid))) <= 2, what='the descriptors agree')
    assert 1 << 20 < first.sum('process_resident_memory_bytes') < 1 << 32
    [build] = first.all('yoi_build_info')
    assert re.fullmatch(r'\d+\.\d+\.\d+', build.labels['version']) and build.value == 1
    assert first.sum('yoi_plugins_mapped') >= 2  # the runtime and the ingress


def test_no_label_is_unbounded(busy):
    """Everything said to name something is in none of the lines."""
    host, _, worker = busy
    text = host.api.get('/metrics').text
    assert worker.id not in text
    labels = {k for s in Metrics(text).samples for k in s.labels}
    assert labels <= {'le', 'surface', 'status', 'state', 'result', 'reason', 'kind', 'version',
                      'plugin'}  # of which there are as many as the config has


def documented():
    """{name: labels} of the tables in docs/operate.md."""
    page = (ROOT / 'docs/operate.md').read_text()
    rows = re.findall(r'^\| `((?:yoi|process)_\w+)(?:\{([a-z_,]*)\})?` \| (\w+) \|', page, re.M)
    assert rows
    return {name: (kind, set(filter(None, labels.split(',')))) for name, labels, kind in rows}


def test_every_name_is_documented_and_every_documented_name_is_there(busy):
    m = scrape(busy[0].api)
    exposed = {}
    for s in m.samples:
        family = s.name if s.name in m.types else re.sub(r'_(bucket|sum|count)$', '', s.name)
        exposed[family] = (m.types[family], set(s.labels) - {'le'})
    assert exposed == documented()
