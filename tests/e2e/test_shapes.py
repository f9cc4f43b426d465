"""docs/workers.md says what the answers hold, member by member.

A worker goes through every kind of turn that this version has; each worker,
turn, item and event that is seen must have the members that the page lists:
those without `?` always, no others ever.
"""
import re

import pytest
from lib import configs, wait
from lib.hands import Scene
from lib.host import ROOT
from lib.worker import Worker

PAGE = (ROOT / 'docs/workers.md').read_text()
SHAPES = {name.strip('`'): members.split(', ') for name, members in
          re.findall(r'^\| (`?[\w.]+`?) \| `\{(.*?)\}` \|', PAGE, re.M)}
# Kinds that no ordinary turn brings: a store that fails, a model that counts on the way.
RARE = {'diagnostic', 'usage.updated'}


def fits(name, value, seen):
    """The members of a value against the page; then those inside it."""
    seen.add(name)
    may = {m.rstrip('?') for m in SHAPES[name]}
    must = {m for m in SHAPES[name] if not m.endswith('?')}
    assert must <= set(value) <= may, (name, value)
    inner = {'worker': 'worker', 'turn': 'turn', 'item': 'item', 'usage': 'usage', 'spec': 'spec',
             'approval': 'approval'}
    for member, shape in inner.items():
        if isinstance(value.get(member), dict) and name != shape:
            fits(shape, {k: v for k, v in value[member].items() if k != 'spec'}, seen)


def calls(module_host, folder, seen):
    """A turn that asks, and says more than a model is shown."""
    scene = Scene(folder)
    calls = [{'call': {'name': 'fs_read', 'arguments': {'bytes': 100000}}},
             {'call': {'name': 'fs_write', 'arguments': {}}}]
    model = configs.script(answers=[{'match': 'go', 'step': 0, 'steps': calls}],
                           steps=[{'say': 'done'}])
    host = module_host(scene.config(model), env=scene.env)
    worker = Worker.create(host.v1, profile={'kind': 'builtin', 'value': 'coder'})
    with worker.follow('go') as stream:
        wait.until(lambda: worker.get()['state'] == 'awaiting_approval', what='a question')
        (open_one,) = host.v1.ok('GET', worker.path + '/approvals')['approvals']
        fits('approval', open_one, seen)
        host.v1.ok('POST', f"{worker.path}/approvals/{open_one['approval_id']}",
                   {'decision': 'deny', 'reason': 'no'})
        events = list(stream)
    for event in events:
        fits(event.kind, event.data, seen)
    (long,) = [e.data['artefact_id'] for e in events if 'artefact_id' in e.data]
    fits('artefact', host.v1.ok('GET', f'{worker.path}/artefacts/{long}')['artefact'], seen)


@pytest.fixture(scope='module', name='seen')
def everything(module_host, tmp_path_factory):
    """Walks through a worker's life and gives back what was seen."""
    host = module_host(configs.standard(model=configs.script(answers=[
        {'match': 'tool', 'step': 0, 'steps': [{'call': {'name': 'w', 'arguments': {}}}]},
        {'match': 'fail', 'steps': [{'fail': 'overloaded'}]},
        {'match': 'wait', 'steps': [{'say': 'well '}, {'stall': True}]}],
        steps=[{'reason': 'hm'}, {'say': 'yes'},
               {'usage': {'input_tokens': 1, 'output_tokens': 2}}])))
    seen, events = set(), []
    worker = Worker.create(host.v1)
    for text in ('hello', 'tool', 'fail'):
        events += list(worker.follow(text))
    with worker.follow('wait') as stream:
        events += stream.until('text.delta')
        with worker.events() as other:
            events.append(other.next_event())
        worker.cancel('enough')
        events += list(stream)
    worker.stop('done')
    with worker.events(cursor=worker.born) as stream:
        events += stream.until('worker.stopped')
        worker.delete()
        events += stream.until('end')
    for event in events:
        fits(event.kind, event.data, seen)
    again = Worker.create(host.v1)
    first = again.batch()['events'][0]
    assert first['event'] == 'snapshot'
    detail = again.get()
    fits('spec', detail.pop('spec'), seen)
    fits('worker', detail, seen)
    fits('runtime', host.v1.ok('GET', '/v1/runtime')['runtime'], seen)
    calls(module_host, tmp_path_factory.mktemp('scene'), seen)
    return seen


def test_all_that_is_listed_is_seen(seen):
    assert set(SHAPES) - seen - RARE == {'worker.created'}


def test_turns_end_as_the_page_says(seen):
    """The rows of the page are the tables of ops.h."""
    ops = (ROOT / 'abi/yoi/ops.h').read_text()
    table = re.search(r'#define YOI_TURN_ENDS\(X\)(.*?)\n\n', ops, re.S).group(1)
    there = set(re.findall(r'X\("(\w+)", "(\w+)"\)', table))
    listed = {(state, reason) for state, row in re.findall(r'^\| `(\w+)` \| (`\w+`.*?) \|$', PAGE,
                                                           re.M)
              for reason in re.findall(r'`(\w+)`', row)}
    assert listed == there


def test_model_errors_are_sorted_as_the_table_does(seen):
    ops = (ROOT / 'abi/yoi/ops.h').read_text()
    table = re.search(r'#define YOI_MODEL_ERRORS\(X\)(.*?)\n\n', ops, re.S).group(1)
    there = {True: set(), False: set()}
    for name, retryable in re.findall(r'X\("(\w+)", (\d)\)', table):
        there[retryable == '1'].add(name)
    row = re.search(r'^\| (`connect`.*?) \| (.*?) \|$', PAGE, re.M)
    assert [set(re.findall(r'`(\w+)`', cell)) for cell in row.groups()] == \
        [there[True], there[False]]
