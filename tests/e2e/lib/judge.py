"""The rules that every history obeys, whatever happened to its worker."""
from .tables import TURN_ENDS


def judge(events):
    """events: [(kind, data)] of the durable ones, in order and without a gap."""
    numbers = [e['sequence'] for _, e in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    open_turn, calls, asked = None, set(), False
    for kind, data in events:
        if kind == 'turn.started':
            assert open_turn is None, 'a turn inside a turn'
            open_turn, calls, asked = data['turn_id'], set(), False
        elif kind == 'tool.requested':
            assert not asked, 'a tool after the cancel'
            calls.add(data['call']['id'])
        elif kind == 'tool.completed':
            calls.remove(data['call_id'])
        elif kind == 'turn.cancel_requested':
            assert open_turn and not asked
            asked = True
        elif kind == 'turn.ended':
            turn = data['turn']
            assert open_turn == turn['turn_id'] and not calls, 'ended once, every call answered'
            assert (turn['state'], turn['reason']) in TURN_ENDS
            assert not asked or turn['state'] == 'cancelled'
            open_turn = None
        elif kind == 'worker.stopped':
            assert (kind, data) == events[-1], 'nothing comes behind the stop'
        if kind in ('turn.started', 'message.completed', 'tool.requested', 'tool.completed'):
            assert data['turn_id'] == open_turn, 'of a turn that does not run'
    assert open_turn is None
