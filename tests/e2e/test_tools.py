"""Calls of tools and approvals, black box: both surfaces, restarts, the chat.

The tools are those of tests/plugins/hands, which write down what they did: the
`ledger` says how often a call had its effect. What the model asks for is a
script's; a turn of it is told by words in the input.
"""
import json
import re
import subprocess

import pytest
from lib import configs, wait
from lib.hands import Scene
from lib.host import BINARY, PLUGIN_PATH, ROOT, environment
from lib.metrics import Metrics
from lib.terminal import CTRL_C, CTRL_D, Terminal
from lib.worker import Worker, fresh, text_of

CODER = {'kind': 'builtin', 'value': 'coder'}
API = '/api/runtimes/main'


def call(name, _id=None, **arguments):
    return {'call': {'name': name, 'arguments': arguments, **({'id': _id} if _id else {})}}


def turn(match, *steps, then='done'):
    """A turn that asks for the calls of each step and then says `then`."""
    rows = [{'match': match, 'step': i, 'steps': list(s)} for i, s in enumerate(steps)]
    return [*rows, {'match': match, 'steps': [{'say': then}]}]


HOSTILE = 'x\x1b[2J\u202e\u2028\x9by'
MODEL = configs.script(answers=[
    *turn('one call', [call('fs_read', path='a.txt')]),
    *turn('meeting', [call('fs_grep', 'left'), call('fs_grep', 'right')]),
    *turn('chain', *[[call('fs_read', n=i)] for i in range(10)], then='ten'),
    *turn('mixed', [call('fs_read', 'good'), call('fs_glob', 'bad'), call('fs_nothing', 'none'),
                    call('fs_read', 'unfit', bytes='many')]),
    *turn('ask', [call('fs_write', path='f', text='1')]),
    *turn('both', [call('fs_write', 'w1', n=1), call('fs_write', 'w2', n=2),
                   call('fs_read', 'r', n=3)]),
    *turn('slow', [call('fs_list')]),
    *turn('stuck', [call('fs_edit', 'e', n=1), call('fs_write', 'w', n=2)]),
    *turn('once more', [call('fs_edit', 'e', n=1)]),
    *turn('long', [call('fs_read', 'l', bytes=200000)]),
    *turn('hostile', [call('fs_write', text=HOSTILE)]),
    *turn('big', [call('fs_write', text='b' * 5000 + 'THE END')]),
    *turn('loop', *[[call('fs_read', n=1)]] * 5)], steps=[{'say': 'hello'}])


@pytest.fixture(name='scene')
def a_scene(tmp_path):
    folder = tmp_path / 'scene'
    folder.mkdir()
    return Scene(folder)


@pytest.fixture(scope='module', name='shared')
def a_shared_scene(tmp_path_factory, module_host):
    scene = Scene(tmp_path_factory.mktemp('scene'))
    scene.host = module_host(scene.config(MODEL), env=scene.env)
    return scene


@pytest.fixture(name='coder', params=['/v1', API])
def a_coder(request, shared):
    """A fresh worker of the profile, on either surface."""
    client = shared.host.v1 if request.param == '/v1' else shared.host.api
    return Worker.create(client, request.param, profile=CODER)


def create(host, **fields):
    return Worker.create(host.v1, profile=CODER, **fields)


def approvals(worker):
    return worker.client.ok('GET', worker.path + '/approvals')['approvals']


def awaited(worker, n=1):
    """The open approvals, once there are n."""
    wait.until(lambda: worker.get()['state'] == 'awaiting_approval' and len(approvals(worker)) == n,
               what=f'{n} open approvals')
    return approvals(worker)


def decide(worker, approval, decision, **more):
    out = worker.client.ok('POST', f"{worker.path}/approvals/{approval['approval_id']}",
                           {'decision': decision, **more})
    assert set(out) - {'runtime_id'} == {'ack'}
    return out['ack']


def ended(worker):
    return wait.until(lambda: worker.get()['turn'].get('ended_at') and worker.get()['turn'],
                      what='the end of the turn')


def history(worker):
    """[(kind, data)] of all durable events."""
    found, cursor = [], worker.born
    while True:
        batch = worker.batch(cursor, wait=0)
        found += [(e['event'], e['data']) for e in batch['events']]
        if not batch['events']:
            return found
        cursor = batch['cursor']


def results(worker):
    return {d['call_id']: d for kind, d in history(worker) if kind == 'tool.completed'}


def of_call(worker, call_id):
    """The kinds of a call's events, in order."""
    return [kind for kind, d in history(worker)
            if call_id in (d.get('call_id'), d.get('call', {}).get('id'),
                           d.get('approval', {}).get('call_id'))]


# ---- calls ------------------------------------------------------------------
def test_the_coder_is_given_what_there_is(coder):
    tools = {t['name']: t for t in coder.get()['spec']['tools']}
    assert set(tools) == {'fs_read', 'fs_list', 'fs_glob', 'fs_grep', 'fs_write', 'fs_edit'}
    assert tools['fs_read']['policy'] == 'allow' and tools['fs_write']['policy'] == 'ask'
    assert tools['fs_write']['grants'] == ['mount:workspace:rw']


def test_a_turn_with_one_call(coder):
    out = coder.say('one call')
    assert (out['turn']['state'], out['turn']['steps']) == ('completed', 2)
    assert text_of(out['message']) == 'done'
    (result,) = results(coder).values()
    assert result['status'] == 'ok' and 'artefact_id' not in result
    assert json.loads(text_of(result['item'])) == {'path': 'a.txt'}
    assert result['item']['tool_call_id'] == result['call_id']
    assert of_call(coder, result['call_id']) == ['tool.requested', 'policy.decided',
                                                 'tool.started', 'tool.completed']
    roles = [i['role'] for i in coder.transcript()['items']]
    assert roles == ['user', 'assistant', 'tool', 'assistant']


def test_two_calls_run_at_the_same_time(coder):
    assert coder.say('a meeting')['turn']['state'] == 'completed'
    assert {k: text_of(r['item']) for k, r in results(coder).items()} == \
        {'left': 'met', 'right': 'met'}


def test_a_chain_of_ten(coder):
    out = coder.say('a chain')
    assert (out['turn']['steps'], text_of(out['message'])) == (11, 'ten')
    assert [json.loads(text_of(r['item']))['n'] for r in results(coder).values()] == [*range(10)]


def test_calls_that_go_wrong_end_no_turn(coder):
    assert coder.say('mixed')['turn']['state'] == 'completed'
    got = results(coder)
    assert {k: r['status'] for k, r in got.items()} == \
        {'good': 'ok', 'bad': 'error', 'none': 'error', 'unfit': 'error'}
    assert got['bad']['item']['error'] == {'code': 'invalid_request',
                                           'message': 'it went wrong, as asked'}
    assert 'there is no tool' in got['none']['item']['error']['message']
    assert "'/bytes'" in got['unfit']['item']['error']['message']
    assert 'tool.started' not in of_call(coder, 'none') + of_call(coder, 'unfit')


def test_the_same_call_over_and_over_is_stopped(coder):
    assert coder.say('a loop')['turn']['state'] == 'completed'
    assert [r['status'] for r in results(coder).values()] == ['ok'] * 3 + ['error'] * 2


def test_what_a_tool_says_is_seen_as_it_comes(coder):
    with coder.follow('slow') as stream:
        told = []
        while 'piece 2' not in ''.join(told):
            told.append(stream.until('tool.progress')[-1].data['text'])
        coder.cancel()
        seen = stream.until('end')
    assert ''.join(told).startswith('it begins\npiece 1\n')
    (end,) = [e for e in seen if e.kind == 'turn.ended']
    assert end.data['turn']['reason'] == 'cancel_requested'
    (result,) = results(coder).values()
    assert result['status'] == 'cancelled'
    assert 'piece 2' in text_of(result['item']) and 'it begins' not in text_of(result['item'])


def count(host):
    return Metrics(host.v1.get('/metrics').text).sum('yoi_tool_calls_total', result='ok')


def test_metrics_count_calls(shared):
    worker = create(shared.host)
    before = count(shared.host)
    worker.say('one call')
    assert count(shared.host) == before + 1


# ---- artefacts --------------------------------------------------------------
def whole():
    return ''.join(chr(ord('a') + i % 26) for i in range(200000))


def test_a_long_output_is_cut_for_the_model_and_kept_whole(coder):
    coder.say('long')
    result = results(coder)['l']
    limit = coder.get()['spec']['limits']['tool_result_bytes']
    shown = text_of(result['item'])
    assert result['artefact_bytes'] == 200000 and limit < len(shown) < limit + 200
    assert shown.startswith(whole()[:limit // 2]) and shown.endswith(whole()[-limit // 2:])
    assert f"artefact_read with artefact_id {result['artefact_id']} " in shown
    path = f"{coder.path}/artefacts/{result['artefact_id']}"
    got, start, pages = '', 0, 0
    while start is not None:
        page = coder.client.ok('GET', f'{path}?start={start}&limit=70000')['artefact']
        assert (page['start'], page['bytes'], page['call_id']) == (start, 200000, 'l')
        got, start, pages = got + page['text'], page['next_start'], pages + 1
    assert got == whole() and pages == 3
    assert len(coder.client.ok('GET', path)['artefact']['text']) == 65536
    past = coder.client.ok('GET', path + '?start=200000')['artefact']
    assert (past['text'], past['next_start']) == ('', None)


def test_what_is_no_artefact_is_not_found(coder):
    coder.say('one call')
    (result,) = results(coder).values()
    for name in (str(result['sequence']), '1', '0', '99999', 'x', '-1', '18446744073709551616'):
        coder.client.refused('GET', f'{coder.path}/artefacts/{name}', 404, 'artefact_not_found')
    path = f"{coder.path}/artefacts/{result['sequence']}"
    coder.client.refused('GET', path + '?limit=0', 400, 'invalid_request')
    coder.client.refused('GET', path + '?limit=262145', 400, 'limit_too_large')
    coder.client.refused('GET', path + '?start=-1', 400, 'invalid_request')
    coder.client.refused('POST', path, 405, 'method_not_allowed')
    elsewhere = coder.path.replace(coder.id, fresh())
    coder.client.refused('GET', elsewhere + '/artefacts/1', 404, 'worker_not_found')


# ---- approvals --------------------------------------------------------------
def test_a_call_waits_is_listed_allowed_and_runs(coder, shared):
    before = len(shared.effects())
    coder.input('ask')
    (one,) = awaited(coder)
    assert len(shared.effects()) == before
    assert (one['tool'], one['tool_plugin'], one['step']) == ('fs_write', 'dev.yoi.tool-fs', 1)
    assert json.loads(one['arguments']) == {'path': 'f', 'text': '1'}
    listed = coder.client.ok('GET', coder.path.rsplit('/', 1)[0] + '?state=awaiting_approval')
    assert coder.id in [w['worker_id'] for w in listed['workers']]
    worker = coder.get()
    assert worker['turn']['state'] == 'awaiting_approval'
    assert {'worker.approve', 'worker.cancel', 'worker.stop'} <= set(worker['capabilities'])
    ack = decide(coder, one, 'allow')
    assert ack['turn_id'] == one['turn_id']
    assert ended(coder)['state'] == 'completed'
    assert shared.effects()[before:] == [{'path': 'f', 'text': '1'}]
    assert approvals(coder) == []
    kinds = of_call(coder, one['call_id'])
    assert [k for k in kinds if k != 'policy.decided'] == [
        'tool.requested', 'tool.approval_requested', 'tool.approval_resolved', 'tool.started',
        'tool.completed']
    (resolved,) = [d for k, d in history(coder) if k == 'tool.approval_resolved']
    door = 'surface:browser' if coder.path.startswith('/api') else 'token:runtime-token'
    assert (resolved['decision'], resolved['principal']) == ('allow', door)
    assert resolved['sequence'] == ack['sequence']


def test_a_call_that_is_denied_does_not_run_and_the_model_reads_why(coder, shared):
    before = len(shared.effects())
    coder.input('ask')
    (one,) = awaited(coder)
    decide(coder, one, 'deny', reason='not on a Friday')
    assert ended(coder)['state'] == 'completed'
    assert len(shared.effects()) == before
    result = results(coder)[one['call_id']]
    assert result['status'] == 'denied'
    assert result['item']['error']['code'] == 'policy_denied'
    assert 'not on a Friday' in text_of(result['item'])
    assert 'tool.started' not in of_call(coder, one['call_id'])


def test_each_is_decided_by_itself_and_others_run_meanwhile(coder, shared):
    before = len(shared.effects())
    coder.input('both')
    first, second = awaited(coder, 2)
    wait.until(lambda: 'r' in results(coder), what='the call that needs nobody')
    decide(coder, second, 'deny')
    assert [a['approval_id'] for a in awaited(coder)] == [first['approval_id']]
    decide(coder, first, 'allow')
    assert ended(coder)['state'] == 'completed'
    assert shared.effects()[before:] == [{'n': 1}]
    assert {k: r['status'] for k, r in results(coder).items()} == \
        {'w1': 'ok', 'w2': 'denied', 'r': 'ok'}


def test_the_same_said_again_is_acknowledged_and_something_else_is_not(coder):
    coder.input('both')
    first, second = awaited(coder, 2)
    path = f"{coder.path}/approvals/{first['approval_id']}"
    ack = decide(coder, first, 'deny')
    assert decide(coder, first, 'deny') == {**ack, 'state': 'awaiting_approval'}
    assert decide(coder, first, 'deny', reason='another') == {**ack, 'state': 'awaiting_approval'}
    coder.client.refused('POST', path, 409, 'approval_conflict', {'decision': 'allow'})
    assert [k for k, _ in history(coder)].count('tool.approval_resolved') == 1
    decide(coder, second, 'deny')
    ended(coder)
    assert decide(coder, first, 'deny')['sequence'] == ack['sequence']
    coder.client.refused('POST', path, 409, 'approval_conflict', {'decision': 'allow'})


@pytest.mark.parametrize('body,status,code', [
    ({}, 400, 'invalid_request'), ({'decision': 'yes'}, 400, 'invalid_request'),
    ({'decision': 'allow', 'forever': True}, 400, 'invalid_request'),
    ({'decision': 'allow', 'reason': 'r' * 1025}, 400, 'invalid_request'),
    ({'decision': 'expired'}, 400, 'invalid_request'), (None, 400, 'invalid_request'),
])
def test_what_is_no_decision_changes_nothing(shared, body, status, code):
    worker = create(shared.host)
    worker.input('ask')
    (one,) = awaited(worker)
    path = f"{worker.path}/approvals/{one['approval_id']}"
    worker.client.refused('POST', path, status, code, body)
    assert approvals(worker) == [one]
    worker.cancel()


def test_what_is_no_approval_is_not_found(coder):
    coder.input('ask')
    (one,) = awaited(coder)
    other = one['approval_id'][:-1] + ('0' if one['approval_id'][-1] != '0' else '1')
    for name in (other, 'x', one['approval_id'].upper() + 'x'):
        coder.client.refused('POST', f'{coder.path}/approvals/{name}', 404, 'approval_not_found',
                             {'decision': 'allow'})
    coder.client.refused('POST', f'{coder.path}/approvals/a%20b', 400, 'invalid_identifier',
                         {'decision': 'allow'})
    elsewhere = coder.path.replace(coder.id, fresh())
    coder.client.refused('GET', elsewhere + '/approvals', 404, 'worker_not_found')
    coder.client.refused('POST', f"{elsewhere}/approvals/{one['approval_id']}", 404,
                         'worker_not_found', {'decision': 'allow'})
    coder.client.refused('GET', f"{coder.path}/approvals/{one['approval_id']}", 405,
                         'method_not_allowed')
    coder.cancel()


def test_an_approval_of_one_worker_is_none_of_another(shared):
    first, second = create(shared.host), create(shared.host)
    first.input('ask')
    second.input('ask')
    (one,), (other,) = awaited(first), awaited(second)
    for worker, foreign in ((first, other), (second, one)):
        worker.client.refused('POST', f"{worker.path}/approvals/{foreign['approval_id']}", 404,
                              'approval_not_found', {'decision': 'allow'})
        assert len(approvals(worker)) == 1
        worker.cancel()


def test_a_cancel_while_a_person_is_asked(coder, shared):
    before = len(shared.effects())
    coder.input('ask')
    (one,) = awaited(coder)
    coder.cancel()
    assert ended(coder)['reason'] == 'cancel_requested'
    assert coder.get()['state'] == 'idle' and approvals(coder) == []
    assert results(coder)[one['call_id']]['status'] == 'cancelled'
    coder.client.refused('POST', f"{coder.path}/approvals/{one['approval_id']}", 404,
                         'approval_not_found', {'decision': 'allow'})
    assert coder.say('one call')['turn']['state'] == 'completed'
    assert len(shared.effects()) == before


def test_a_stop_while_a_person_is_asked(coder, shared):
    before = len(shared.effects())
    coder.input('ask')
    (one,) = awaited(coder)
    coder.stop()
    assert coder.get()['state'] == 'stopped' and approvals(coder) == []
    assert results(coder)[one['call_id']]['status'] == 'cancelled'
    assert len(shared.effects()) == before


def test_input_while_a_person_is_asked(coder):
    coder.input('ask')
    (one,) = awaited(coder)
    coder.client.refused('POST', coder.path + '/input', 409, 'worker_busy', {'content': 'hello'})
    coder.input('one call', on_busy='queue')
    assert coder.get()['queued'] == 1
    coder.input('hello', on_busy='interrupt')
    wait.until(lambda: coder.get()['state'] == 'idle', what='all turns have ended')
    ends = [d['turn'] for k, d in history(coder) if k == 'turn.ended']
    assert [t['state'] for t in ends] == ['cancelled', 'completed', 'completed']
    assert results(coder)[one['call_id']]['status'] == 'cancelled'


def test_who_watches_is_told_and_so_is_who_comes_later(coder):
    with coder.events() as watching:
        assert watching.next_event().kind == 'snapshot'
        coder.input('ask')
        asked = watching.until('tool.approval_requested')[-1].data['approval']
    assert [asked] == awaited(coder)
    with coder.events(cursor=coder.born) as later:
        assert later.until('tool.approval_requested')[-1].data['approval'] == asked
    with coder.events() as fresh_one:
        snapshot = fresh_one.next_event().data
        assert snapshot['worker']['state'] == 'awaiting_approval'
        assert snapshot['in_flight'] is None
        decide(coder, asked, 'allow')
        assert fresh_one.until('turn.ended')[-1].data['turn']['state'] == 'completed'


def test_an_inputs_stream_goes_on_while_a_person_is_asked(coder):
    with coder.follow('ask') as stream:
        asked = stream.until('tool.approval_requested')[-1].data['approval']
        decide(coder, asked, 'allow')
        kinds = [e.kind for e in stream]
    assert kinds[-2:] == ['turn.ended', 'end'] and 'tool.started' in kinds


def test_without_the_mount_there_is_no_such_worker(new_host, scene):
    config = scene.config(MODEL)
    del config['local']['mounts']
    host = new_host(config, env=scene.env)
    host.v1.refused('POST', '/v1/workers', 422, 'grant_missing', {'profile': CODER})
    host.stop()
    config['local']['mounts'] = {'workspace': {'path': str(scene.folder / 'workspace')}}
    reader = create(new_host(config))
    assert 'fs_write' not in [t['name'] for t in reader.get()['spec']['tools']]


# ---- restarts ---------------------------------------------------------------
def stored(scene, new_host):
    return new_host(scene.config(MODEL, runtimes=[configs.stored(scene.folder / 'store')]),
                    env=scene.env)


def again(host, worker):
    host.start()
    return Worker(host.v1, '/v1', worker.id)


@pytest.mark.parametrize('how', ['kill', 'drain'])
def test_what_waits_goes_on_waiting_in_the_next_process(new_host, scene, how):
    host = stored(scene, new_host)
    worker = create(host)
    born = worker.born
    worker.input('ask')
    asked = awaited(worker)
    if how == 'kill':
        host.crash()
    else:
        host.stop()
    worker = again(host, worker)
    worker.born = born
    listed = wait.until(lambda: host.v1.ok('GET', '/v1/workers?state=awaiting_approval')['workers'],
                        what='the worker is listed without being asked for')
    assert [w['worker_id'] for w in listed] == [worker.id]
    assert awaited(worker) == asked and scene.effects() == []
    decide(worker, asked[0], 'allow')
    assert ended(worker)['state'] == 'completed'
    assert scene.effects() == [{'path': 'f', 'text': '1'}]
    kinds = [k for k, _ in history(worker)]
    assert kinds.count('tool.started') == kinds.count('tool.completed') == 1
    assert worker.say('one call')['turn']['state'] == 'completed'


def test_a_call_that_ran_when_the_process_died_is_uncertain_and_asked_for(new_host, scene):
    host = stored(scene, new_host)
    worker = create(host)
    born = worker.born
    worker.input('stuck')
    edit, write = awaited(worker, 2)
    decide(worker, edit, 'allow')
    wait.until(lambda: scene.effects() == [{'n': 1}], what='the effect')
    host.crash()
    worker = again(host, worker)
    worker.born = born
    assert [a['approval_id'] for a in awaited(worker)] == [write['approval_id']]
    wait.until(lambda: 'e' in results(worker), what='the result of the other')
    assert results(worker)['e']['status'] == 'uncertain'
    decide(worker, write, 'allow')
    assert ended(worker)['state'] == 'completed'
    assert scene.effects() == [{'n': 1}, {'n': 2}]
    worker.input('once more')
    (asked,) = awaited(worker)
    assert json.loads(asked['arguments']) == {'n': 1}
    decide(worker, asked, 'deny')
    ended(worker)
    assert scene.effects() == [{'n': 1}, {'n': 2}]


def test_a_call_that_ends_never_is_uncertain_after_its_grace(shared):
    worker = create(shared.host)
    worker.input('once more')
    (asked,) = awaited(worker)
    before = len(shared.effects())
    decide(worker, asked, 'allow')
    wait.until(lambda: len(shared.effects()) == before + 1, what='the effect')
    worker.cancel()
    assert ended(worker)['reason'] == 'cancel_requested'
    assert results(worker)['e']['status'] == 'uncertain'


# ---- the chat ---------------------------------------------------------------
def chat_config(scene, runtimes=None):
    path, token = scene.folder / 'yoi.json', scene.folder / 'runtime.token'
    path.write_text(json.dumps(scene.config(MODEL, runtimes=runtimes)))
    token.write_text('t' * 32)
    token.chmod(0o600)
    return path


class Chats:
    def __init__(self, scene):
        self.scene, self.made = scene, []

    def start(self, *args, runtimes=None):
        argv = [BINARY, 'chat', chat_config(self.scene, runtimes), '--profile', 'builtin:coder',
                *args]
        self.made.append(Terminal(argv, self.scene.folder, self.scene.env).start())
        self.made[-1].see('> ' if '--worker' not in args else '(model')
        return self.made[-1]


@pytest.fixture(name='chats')
def some_chats(scene):
    made = Chats(scene)
    yield made
    for terminal in made.made:
        terminal.kill()


def test_a_person_allows_and_denies_in_the_terminal(chats, scene):
    terminal = chats.start()
    terminal.type('one call')
    terminal.see('(fs_read {"path":"a.txt"})')
    terminal.see('  | {"path":"a.txt"}')
    terminal.see('(fs_read: ok)')
    terminal.see('done\n> ')
    terminal.type('both')
    terminal.see('permission is needed for: fs_write')
    terminal.see('arguments: {"n":1}')
    terminal.see('or why not: ')
    terminal.type('yes')
    terminal.see('permission is needed for: fs_write')
    terminal.see('arguments: {"n":2}')
    terminal.see('or why not: ')
    terminal.type('that is for tomorrow')
    terminal.see('(fs_write: denied, a person has denied the call: that is for tomorrow)')
    terminal.see('done\n> ')
    assert scene.effects() == [{'n': 1}]
    terminal.key(CTRL_D)
    assert terminal.wait_exit() == 0


def test_nothing_in_arguments_acts_on_the_terminal(chats):
    terminal = chats.start()
    terminal.type('hostile')
    terminal.see('permission is needed for: fs_write')
    terminal.see(r'arguments: {"text":"x\u001b[2J\u202e\u2028\u009by"}')
    terminal.see('or why not: ')
    assert not set(HOSTILE) - set('x[2Jy') & set(terminal.shown)
    terminal.type('N')
    terminal.see('(fs_write: denied, a person has denied the call)')


def test_long_arguments_are_cut_with_a_word_and_shown_whole_when_asked(chats):
    terminal = chats.start()
    terminal.type('big')
    terminal.see('bytes more ...]')
    terminal.see('or why not: ')
    assert 'THE END' not in terminal.shown
    terminal.type('a')
    terminal.see('THE END')
    terminal.see('or why not: ')
    terminal.type('no')
    terminal.see('(fs_write: denied')


def test_what_was_typed_before_a_question_is_no_answer(chats, scene):
    terminal = chats.start()
    terminal.key(b'ask\ny\n')
    terminal.see('or why not: ')
    terminal.type('n')
    terminal.see('(fs_write: denied, a person has denied the call)')
    assert scene.effects() == []


def test_ctrl_c_at_a_question_cancels_the_turn(chats, scene):
    terminal = chats.start()
    terminal.type('ask')
    terminal.see('or why not: ')
    terminal.key(CTRL_C)
    terminal.see('(cancelled)')
    terminal.see('> ')
    terminal.type('hello')
    terminal.see('hello')
    terminal.key(CTRL_D)
    assert terminal.wait_exit() == 0 and scene.effects() == []


def test_a_worker_that_waits_is_asked_about_when_a_chat_begins(chats, scene):
    runtimes = [configs.stored(scene.folder / 'store')]
    terminal = chats.start('--worker', 'ada', runtimes=runtimes)
    terminal.see('> ')
    terminal.type('ask')
    terminal.see('or why not: ')
    terminal.key(CTRL_D)
    assert terminal.wait_exit() == 0
    terminal = chats.start('--worker', 'ada', runtimes=runtimes)
    terminal.see('permission is needed for: fs_write')
    terminal.see('or why not: ')
    assert scene.effects() == []
    terminal.type('y')
    terminal.see('(fs_write: ok)')
    terminal.see('done\n> ')
    assert scene.effects() == [{'path': 'f', 'text': '1'}]
    terminal.type('one call')
    terminal.see('done\n> ')


# ---- the chat of a script -----------------------------------------------------
def piped(scene, text, *args, runtimes=None):
    path = chat_config(scene, runtimes)
    return subprocess.run([BINARY, 'chat', path, '--profile', 'builtin:coder', *args], check=False,
                          input=text, env=environment(scene.folder, scene.env), cwd=scene.folder,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=wait.patience(60),
                          universal_newlines=True)


class Script:
    """A chat whose events a program reads and whose lines it writes."""

    def __init__(self, scene, *args):
        self.proc = subprocess.Popen(
            [BINARY, 'chat', chat_config(scene), '--profile', 'builtin:coder', '--json', *args],
            env=environment(scene.folder, scene.env), cwd=scene.folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, universal_newlines=True)

    def say(self, line):
        self.proc.stdin.write(line + '\n')
        self.proc.stdin.flush()

    def until(self, kind):
        for line in self.proc.stdout:
            event = json.loads(line)
            if event['event'] == kind:
                return event['data']
        raise AssertionError(f'it ended without {kind}')


@pytest.fixture(name='script')
def a_script(scene):
    made = Script(scene)
    yield made
    made.proc.kill()
    made.proc.wait()
    made.proc.stdout.close()
    if not made.proc.stdin.closed:
        made.proc.stdin.close()


def test_a_script_lists_allows_and_denies(script, scene):
    script.say('both')
    ids = [script.until('tool.approval_requested')['approval']['approval_id'] for _ in range(2)]
    script.say('/approvals')
    assert [a['approval_id'] for a in script.until('result')['approvals']] == ids
    script.say('/allow nothing')
    assert 'no such approval' in script.until('error')['message']
    script.say('one call')  # no answer, so it is left out
    assert 'this line is left out' in script.until('error')['message']
    script.say(f'/deny {ids[1]} not today ')
    assert script.until('tool.approval_resolved')['reason'] == 'not today'
    script.say(f'/allow {ids[0]}')
    assert script.until('tool.approval_resolved')['decision'] == 'allow'
    assert script.until('turn.ended')['turn']['state'] == 'completed'
    script.say('/approvals')
    assert script.until('result') == {'approvals': []}
    script.proc.stdin.close()
    assert script.proc.wait(wait.patience(20)) == 4  # since lines were left out
    assert scene.effects() == [{'n': 1}]


def test_a_pipe_that_ends_waits_for_nobody(scene):
    done = piped(scene, 'ask\n')
    assert done.returncode == 4 and done.stdout == ''
    assert 'permission is needed for: fs_write' in done.stderr
    assert 'nobody is here to answer' in done.stderr
    assert scene.effects() == []


def test_what_a_tool_says_is_no_answer_of_the_model(scene):
    done = piped(scene, 'one call\n')
    assert (done.returncode, done.stdout) == (0, 'done\n')
    assert done.stderr == ('(fs_read {"path":"a.txt"})\n  | {"path":"a.txt"}\n(fs_read: ok)\n')


def test_a_profile_is_builtin(scene):
    for profile in ('coder', 'named:coder', ''):
        done = piped(scene, '', '--profile', profile)
        assert done.returncode == 2 and 'it is builtin:NAME' in done.stderr
    done = piped(scene, '', '--profile', 'builtin:nobody')
    assert done.returncode == 3 and "no builtin profile 'nobody'" in done.stderr


def test_a_worker_that_was_made_otherwise_is_joined(scene):
    runtimes = [configs.stored(scene.folder / 'store')]
    argv = ['--worker', 'ada', '--json']
    assert piped(scene, 'one call\n', *argv, runtimes=runtimes).returncode == 0
    done = piped(scene, '', '--worker', 'ada', '--profile', 'builtin:companion', runtimes=runtimes)
    assert done.returncode == 3 and 'cannot make a worker' in done.stderr
    done = subprocess.run([BINARY, 'chat', chat_config(scene, runtimes), *argv], input='one call\n',
                          env=environment(scene.folder, scene.env), cwd=scene.folder, check=False,
                          stdout=subprocess.PIPE, timeout=wait.patience(60),
                          universal_newlines=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]['data']['worker']['profile'] == CODER
    assert [e['data']['status'] for e in events if e['event'] == 'tool.completed'] == ['ok']


# ---- the example -----------------------------------------------------------------
def test_the_example_reads_by_itself_and_asks_before_it_writes(tmp_path):
    """docs/examples/coder.json with the real tools and a scripted model."""
    notes = tmp_path / 'workspace/notes'
    notes.mkdir(parents=True)
    (notes / '3.txt').write_text('the garden\n')
    text = re.sub(r'/\*.*?\*/|^\s*//.*?$', '', (ROOT / 'docs/examples/coder.json').read_text(),
                  flags=re.S | re.M)
    config = json.loads(text)
    config['models'] = [configs.script(answers=turn(
        'garden', [call('fs_grep', pattern='garden')],
        [call('fs_write', path='notes/4.txt', content='spring\n')]))]
    config['plugin_path'] = PLUGIN_PATH
    (tmp_path / 'yoi.json').write_text(json.dumps(config))
    terminal = Terminal([BINARY, 'chat', tmp_path / 'yoi.json'], tmp_path).start()
    try:
        terminal.see('> ')
        terminal.type('which note is about the garden?')
        terminal.see('3.txt')
        terminal.see('(fs_grep: ok)')
        terminal.see(r'arguments: {"path":"notes/4.txt","content":"spring\n"}')
        terminal.see('or why not: ')
        assert not (notes / '4.txt').exists()
        terminal.type('y')
        terminal.see('(fs_write: ok)')
        terminal.see('done\n> ')
        assert (notes / '4.txt').read_text() == 'spring\n'
        terminal.key(CTRL_D)
        assert terminal.wait_exit() == 0
    finally:
        terminal.kill()
