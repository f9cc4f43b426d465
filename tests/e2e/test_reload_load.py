"""200 reloads, good and bad ones, while turns and watchers run: nothing is dropped."""
import copy
import json
import pathlib
import threading

import pytest
from lib import configs, reload, sample, wait
from lib.host import descriptors
from lib.watch import View
from lib.wire import Closed
from lib.worker import Worker

RULES = [{'plugin': 'dev.yoi.policy-rules',
          'config': {'rules': [{'name': 'all', 'operations': ['*'], 'decision': 'allow'}]}}]


class Load:
    """Threads that go on until `over`; what they find wrong is kept."""

    def __init__(self):
        self.over, self.wrong, self.threads = threading.Event(), [], []

    def start(self, fn, *args):
        def run():
            try:
                fn(*args)
            except Exception as e:  # told by the test's own thread
                self.wrong.append(f'{fn.__name__}{args[1:]}: {e!r}')
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def end(self):
        self.over.set()
        for t in self.threads:
            t.join(wait.patience(60))
            assert not t.is_alive()
        assert not self.wrong, self.wrong


class Talker:
    """Gives inputs to a worker; counts those that were acknowledged."""

    def __init__(self, load, worker, may_wait):
        self.load, self.worker, self.may_wait = load, worker, may_wait
        self.acks, self.later = [], 0

    def talk(self):
        n = 0
        while not self.load.over.is_set():
            n += 1
            r = self.worker.client.post(f'{self.worker.path}/input?wait=60', {'content': f'{n}'},
                                        seconds=90)
            if r.status == 200:
                self.acks.append(r.json['turn']['turn_id'])
                continue
            error = r.json['error']
            assert self.may_wait and error['retryable'], r
            self.later += 1


class Watcher:
    """What one who watches has seen; kept: the connection is never ended."""

    def __init__(self, load, worker, kept):
        self.load, self.worker, self.kept, self.view = load, worker, kept, View()
        self.view.cursor = worker.born

    def is_done(self):
        return self.load.over.is_set() and self.view.kinds[-1:] == ['worker.stopped']

    def watch(self):
        while not self.is_done():
            try:
                with self.worker.events(self.view.cursor, seconds=600) as stream:
                    assert stream.head.status == 200, stream.head
                    for event in stream:
                        self.view.take(event)
                        if self.is_done():
                            return
            except Closed:
                assert not self.kept
            assert not self.kept, self.view.ends


def written(worker):
    """The durable events of a worker, as its runtime has them."""
    view = View()
    view.cursor = worker.born
    with worker.events(view.cursor) as stream:
        for event in stream:
            view.take(event)
            if view.kinds[-1:] == ['worker.stopped']:
                return view.log
    raise AssertionError(view.ends)


def good_config(base, root, n):
    config = copy.deepcopy(base)
    config['models'] = [configs.script({'say': f'words {n}'})]
    config['runtimes'] = [configs.embedded(), configs.stored(root, 'stored')]
    if n % 3 == 0:
        config['runtimes'].append(configs.embedded('more'))
    if n % 4 == 0:
        config['policy'] = RULES
    if n % 5 == 0:
        config['ingress'].append({**configs.BROWSER, 'listen': 'localhost:0'})
    if n % 6 == 0:
        config['ingress'][1] = configs.ingress(configs.RUNTIME, connections=100 + n)
    if n % 7 == 0:
        config['runtimes'][1] = configs.stored(root, 'stored', limits={'workers': 1000 + n})
    return config


def bad_config(base, root, taken, n):
    config = good_config(base, root, n)
    kind = n % 6
    if kind == 0:
        return json.dumps(config)[:-20]
    if kind == 1:
        config['runtimes'][0] = configs.embedded(config={'limits': {'workers': 5}})
    if kind == 2:
        config['ingress'].append({**configs.BROWSER, 'listen': taken})
    if kind == 3:
        config['runtimes'].append(configs.stored('/dev/null/no', 'none'))
    if kind == 4:
        config['loops'] = 7
    if kind == 5:
        config['local'] = {'secrets': {**config['local']['secrets'], 'no': {'file': 'not.there'}}}
    return config


def threads(pid):
    return len(list(pathlib.Path(f'/proc/{pid}/task').iterdir()))


@pytest.mark.tsan
@pytest.mark.timeout(1200)  # half a minute where nothing else runs
def test_200_reloads_under_load(new_host, tmp_path):
    rounds = sample.count(200, 24)
    root = tmp_path / 'root'
    base = configs.standard(drain_ms=5000)
    host = new_host(good_config(base, root, 1), allow_log=['reload', 'config finding', 'cannot'])
    load = Load()
    talkers, watchers = [], []
    for kept, at in ((True, '/api/runtimes/main'), (False, '/api/runtimes/stored')):
        for _ in range(2):
            worker = Worker.create(host.api, at)
            talkers.append(Talker(load, Worker(host.api, at, worker.id), not kept))
            watcher = Worker(host.api, at, worker.id)
            watcher.born = worker.born
            watchers.append(Watcher(load, watcher, kept))
    for t, w in zip(talkers, watchers):
        load.start(Talker.talk, t)
        load.start(Watcher.watch, w)
    taken = host.address('browser')
    at_first = None
    for n in range(rounds):
        if n % 2:
            reload.refused(host, bad_config(base, root, taken, n // 2), 60)
        else:
            reload.good(host, good_config(base, root, n // 2), 60)
        if n == 15:
            at_first = len(descriptors(host.pid)), threads(host.pid)
        assert not load.wrong, load.wrong
    reload.good(host, good_config(base, root, 1), 60)
    assert host.metric('yoi_reloads_total', result='ok') == rounds - rounds // 2 + 1
    assert host.metric('yoi_reloads_total', result='refused') == rounds // 2
    # connections of this test come and go; each listener has a socket per loop
    wait.until(lambda: len(descriptors(host.pid)) <= at_first[0] + 24 and
               threads(host.pid) <= at_first[1] + 2, 60, f'no more than {at_first}')
    assert host.metric('yoi_plugins_mapped') <= 8
    load.over.set()
    for t in talkers:
        wait.until(lambda t=t: t.worker.get()['state'] != 'running', 60, 'the last turn')
        t.worker.stop()
    load.end()
    for t, w in zip(talkers, watchers):
        ended = {json.loads(text)['turn']['turn_id'] if 'turn' in json.loads(text)
                 else json.loads(text)['turn_id']
                 for _, kind, text in w.view.log if kind == 'turn.ended'}
        assert len(t.acks) > 0 and set(t.acks) <= ended
        begun = [kind for _, kind, _ in w.view.log if kind == 'input.accepted']
        assert len(begun) == len(ended), 'an input that was acknowledged has no end'
        assert w.view.log == written(w.worker)
