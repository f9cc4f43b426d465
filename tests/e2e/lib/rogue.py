"""Plugins that do harm where they are told to (tests/plugins/rogue), isolated,
and their processes as the machine sees them."""
import os
import pathlib

from . import configs, wait
from .bundle import Bundle
from .host import BUILD
from .worker import Worker

TOOL, MODEL, POLICY, ENTRY = (f'dev.yoi.test.rogue{x}' for x in ('', '-model', '-policy', '-entry'))
ALLOW = {'plugin': 'dev.yoi.test.judge', 'config': {'answer': '{"decision":"allow"}'}}
SLOW = {'match': 'a long talk', 'steps': [x for i in range(40) for x in (
    {'say': f'{i} '}, {'wait_ms': 25})]}


def isolated(plugin, **keys):
    """An entry of `plugins`."""
    return {'id': plugin, 'isolation': 'process', **keys}


def calls(*words):
    """A script that asks for the call which the input names: 'look DEED@OP' is one
    that says that it only reads, 'act DEED@OP' one of unknown effect."""
    answers = [SLOW]
    for word in words:
        verb, deed = word.split(' ')
        answers += [
            {'match': word + ';', 'step': 0, 'steps': [
                {'call': {'name': f'rogue_{verb}', 'id': 'c', 'arguments': {
                    'text': f'rogue:{deed};'}}}]},
            {'match': word + ';', 'steps': [{'say': 'done'}]}]
    return configs.script(answers=answers, steps=[{'say': 'hello'}])


def tools(*names, plugin=TOOL, grants=()):
    """A bundle whose profile has these tools."""
    return Bundle(
        tools=[{'name': n, 'plugin': plugin, 'policy': 'allow', 'grants': list(grants)}
               for n in names],
        grants=['model:main', *grants],
        profiles=[{'name': 'companion', 'prompt': 'companion.system', 'model': 'main',
                   'tools': list(names)}])


class Scene:
    """A host with the rogue tool in a process of its own."""

    def __init__(self, new_host, *words, bundle=None, entry=None, config=None, start=True,
                 env=None, **keys):
        self.bundle = bundle or tools('rogue_look', 'rogue_act')
        entry = isolated(TOOL, config=config or {}, **(entry or {}))
        keys.setdefault('policy', [ALLOW])
        self.host = new_host(configs.standard(
            model=calls('look harmless@none', *words), plugins=[entry], **keys), env=env,
            start=False)
        if start:
            self.start()

    def start(self, **kw):
        self.host.start(**kw)
        self.bundle.put(self.host.v1)
        return self

    def worker(self):
        return Worker.create(self.host.v1, config_bundle=self.bundle.ref)

    def do(self, word, worker=None):
        """The result of the call that the word names, once it has ended."""
        worker = worker or self.worker()
        turn = worker.say(word + ';', wait=30)['turn']
        assert turn['state'] == 'completed', turn
        return result(worker)

    def serves(self):
        """Waits until a harmless call of the rogue is answered again."""
        wait.until(lambda: said(self.do('look harmless@none')) == 'harmless', 20,
                   'the plugin to be served again')

    def ended(self, n):
        """Waits until the log says of n processes that they ended."""
        wait.until(lambda: len(self.host.entries(msg='a worker process ended')) >= n, 20,
                   f'the end of {n} processes in the log')
        return self.host.entries(msg='a worker process ended')


def result(worker):
    """The last result of a call in a worker's history."""
    found, cursor = None, worker.born
    while True:
        batch = worker.batch(cursor, wait=0)
        for e in batch['events']:
            if e['event'] == 'tool.completed':
                found = e['data']
        if not batch['events']:
            assert found, 'there is no result'
            return found
        cursor = batch['cursor']


def said(got):
    """The text of a result that is one; else None."""
    if got['status'] != 'ok':
        return None
    return ''.join(p['text'] for p in got['item']['content'] if p['type'] == 'text')


def children(pid):
    """The worker processes of a host."""
    found = []
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            found += [int(p) for p in (task / 'children').read_text().split()]
        except OSError:  # it has ended
            continue
    return [p for p in found if program(p) == str(BUILD / 'yoi-worker')]


def program(pid):
    try:
        return os.readlink(f'/proc/{pid}/exe')
    except OSError:
        return None


def gone(pids):
    """Waits until none of them is there."""
    wait.until(lambda: not [p for p in pids if program(p)], 20, f'the end of {pids}')
