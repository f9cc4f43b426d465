"""The load generators of tests/bench as children: many watchers, many turns."""
import json
import subprocess

from .host import BUILD, Child


class Watchers(Child):
    """bench_watch: n watchers of one stream and some that never read.

    start() returns when all watch; result() when all have seen `turns` turns
    end; rest() lets the stalled ones read what they still get."""

    def __init__(self, folder, address, target, n, turns=1, stalled=0):
        super().__init__([BUILD / 'tests/bench/bench_watch', address.rsplit(':', 1)[1], target, n,
                          turns, stalled], folder, None, 'bench_watch')

    def start(self, seconds=60.0):
        self.spawn(stdin=subprocess.PIPE)
        self.line(lambda s: s == 'watching', seconds, 'watching')
        return self

    def _json(self, first, seconds):
        return json.loads(self.line(lambda s: s.startswith('{"' + first), seconds, first))

    def result(self, seconds=60.0):
        return self._json('watchers', seconds)

    def rest(self, seconds=180.0):
        self.proc.stdin.close()
        out = self._json('stalled', seconds)
        assert self.wait_exit() == 0, self.tail()
        return out

    def stop(self):
        self.kill()


class Turns(Child):
    """bench_turn: `clients` that speak to workers of their own on runtime `bench`."""

    def __init__(self, folder, address, clients, turns, chunks=8):
        super().__init__([BUILD / 'tests/bench/bench_turn', address.rsplit(':', 1)[1], 'yoi',
                          clients, turns, chunks], folder, None, 'bench_turn')

    def result(self, seconds=60.0):
        out = json.loads(self.line(lambda s: s.startswith('{"turns'), seconds, 'a result'))
        assert self.wait_exit() == 0, self.tail()
        return out

    def stop(self):
        self.kill()
