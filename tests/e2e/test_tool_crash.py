"""A host that dies at each append of a session with tools.

One session is played again and again: a worker is made, an input asks for a
tool that only reads and for one that has an effect, a person allows the second,
and both results reach the model. Each time the process dies at another write or
sync of the store, before it, behind it, or in the middle. Then a host on a good
disk goes on, as a caller and a person would. Whatever happened:

  - the effect took place once at most, and once when anybody was told so;
  - a call that may have had it, of which nobody knows, says that it is uncertain;
  - each call has exactly one result, and the worker can be used.
"""
import pytest
from lib import configs, fault, sample, wait
from lib.hands import Scene
from lib.wire import Closed

READS = {'call': {'name': 'fs_read', 'arguments': {'n': 1}, 'id': 'reads'}}
WRITES = {'call': {'name': 'fs_write', 'arguments': {'n': 2}, 'id': 'writes'}}
MODEL = configs.script(answers=[
    {'match': 'work', 'step': 0, 'steps': [READS, WRITES]},
    {'match': 'work', 'step': 1, 'steps': [{'say': 'done'}]}], steps=[{'say': 'yes'}])
CALLS = ('write', 'fdatasync')
# Cases of the short form, spread over all of them: the hard mode cuts writes into thousands.
SHORT = 60


class Session:
    """The caller and the person, who try again until they are answered."""

    def __init__(self, new_host, tmp_path, name):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        self.scene, self.root = Scene(folder), folder / 'store'
        self.disk = fault.Disk(folder, self.root)
        self.config = self.scene.config(
            model=MODEL, runtimes=[{**configs.stored(self.root),
                                    'default_profile': 'builtin:coder'}])
        self.new_host, self.hosts = new_host, []

    def host(self, env=None):
        host = self.new_host(self.config, start=False, env={**self.scene.env, **(env or {})})
        self.hosts.append(host)
        return host

    def play(self, host):
        """From wherever it is to its end."""
        v1 = host.v1
        v1.request('POST', '/v1/workers', {'worker_id': 'w'})
        v1.request('POST', '/v1/workers/w/input', {'content': 'work'},
                headers={'Idempotency-Key': 'k'})
        for _ in range(3):
            state = self.settled(v1)
            if state == 'idle':
                return
            (open_one,) = v1.ok('GET', '/v1/workers/w/approvals')['approvals']
            assert open_one['tool'] == 'fs_write' and open_one['call_id'] == 'writes'
            v1.request('POST', f"/v1/workers/w/approvals/{open_one['approval_id']}",
                    {'decision': 'allow'})
        raise AssertionError('it is asked again and again')

    @staticmethod
    def settled(v1):
        return wait.until(lambda: (lambda s: s in ('idle', 'awaiting_approval') and s)(
            v1.ok('GET', '/v1/workers/w')['worker']['state']))

    def effects(self):
        return len(self.scene.effects())

    def clear(self):
        for host in self.hosts:
            if host.proc is not None:
                host.crash()
        self.disk.close()


def dies(session, kind, call, n):
    """Plays with the fault; False: it was not met, the session is shorter."""
    session.disk.arm(kind, n, calls=(call,))
    host = session.host(session.disk.env)
    try:
        host.start()
        session.play(host)
    except (AssertionError, OSError, Closed):
        # The fault, and nothing else, may end it.
        wait.until(lambda: not host.alive())
        assert session.disk.hits, host.tail()
    if host.alive():
        host.signal()  # its end may meet the fault as well
    code = host.wait_exit()
    host.crashed()
    hit = session.disk.hits > 0
    assert code == (-9 if hit else 0), host.tail()
    session.disk.disarm()
    return hit


def history(v1):
    """All durable events; a cursor of any place names the worker and its epoch."""
    cursor = v1.ok('GET', '/v1/workers/w')['worker']['cursor']
    cursor, found = '-'.join([*cursor.split('-')[:3], '1', '0']), []
    while True:
        batch = v1.ok('GET', f'/v1/workers/w/events?cursor={cursor}&wait=0')
        if not batch['events']:
            return [e for e in found if 'sequence' in e['data']]
        found += batch['events']
        cursor = batch['cursor']


def judge(v1, effects):
    """What the history says beside what happened."""
    events = history(v1)
    kinds = [e['event'] for e in events]
    requested = [e['data']['call']['id'] for e in events if e['event'] == 'tool.requested']
    results = {}
    for e in events:
        if e['event'] == 'tool.completed':
            assert e['data']['call_id'] not in results, 'two results of one call'
            results[e['data']['call_id']] = e['data']['status']
    assert sorted(results) == sorted(requested), (requested, results)
    started = [e['data']['call_id'] for e in events if e['event'] == 'tool.started']
    assert len(started) == len(set(started)), 'started twice'
    assert effects <= 1, 'it had its effect twice'
    assert kinds.count('turn.ended') == kinds.count('turn.started')
    wrote = results.get('writes')
    if wrote == 'ok':
        assert effects == 1, 'a result without an effect'
    elif effects == 1:
        assert wrote == 'uncertain', f'the effect is said to be {wrote}'
    if 'writes' not in started:
        assert effects == 0 and wrote != 'uncertain'
    return wrote


def case(new_host, tmp_path, kind, call, n):
    session = Session(new_host, tmp_path, f'{kind}-{call}-{n}')
    try:
        hit = dies(session, kind, call, n)
        before = session.effects()
        host = session.host()
        host.start()
        session.play(host)
        wrote = judge(host.v1, session.effects())
        if before == 1:
            assert wrote in ('ok', 'uncertain')
        assert host.v1.ok('POST', '/v1/workers/w/input?wait=60', {'content': 'are you there'},
                          seconds=90)['turn']['state'] == 'completed'
        host.stop()
        return hit, wrote
    finally:
        session.clear()


def all_cases(new_host, tmp_path):
    """The session without a fault says how many writes and syncs it has."""
    session = Session(new_host, tmp_path, 'count')
    try:
        assert not dies(session, 'crash_before', 'write', 1 << 40)
        assert session.effects() == 1
        counts = {call: sum(c.call == call for c in session.disk.log()) for call in CALLS}
    finally:
        session.clear()
    assert counts['write'] >= 8, counts
    return [(kind, call, n) for call in CALLS for n in range(1, counts[call] + 1)
            for kind in fault.CRASHES if kind != 'crash_torn' or call == 'write']


def test_a_tool_runs_at_most_once_wherever_the_host_dies(new_host, tmp_path):
    cases = all_cases(new_host, tmp_path)
    seen, met = set(), 0
    step = -(-len(cases) // SHORT)
    for kind, call, n in sample.some(cases[::step], least=12):
        hit, wrote = case(new_host, tmp_path, kind, call, n)
        met += hit
        seen.add(wrote)
    assert met >= 5
    assert 'ok' in seen


@pytest.mark.soak
def test_at_each_of_them(new_host, tmp_path):
    seen = {}
    for kind, call, n in all_cases(new_host, tmp_path):
        _, wrote = case(new_host, tmp_path, kind, call, n)
        seen[wrote] = seen.get(wrote, 0) + 1
    assert {'ok', 'uncertain'} <= set(seen), seen
