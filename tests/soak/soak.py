#!/usr/bin/env python3
"""A long mixed load on the real binary, with everything checked all along.

soak.py --build DIR [--seconds 1800] [--lives 40] [--seed N]

Lives (life.py) run side by side against one host with both surfaces and the
mock provider, at a pace that leaves the machine room, until the time is over.
Each promise below is a check that has to be met at least once and broken
never. A line a minute says how it goes; the last one is `N passed, N failed`.

Flat means: RSS and descriptors are sampled all along. What comes before the
warm-up (a quarter of the time, at least a minute) is not looked at; what is
left is cut in two, and the median of the later half may exceed that of the
earlier one by RSS_SLACK, for the allocator's holes and for how many turns ran
just then, and by LIFE_BYTES for each life between the two middles. A leak of
one KiB in a life (one event, one key, one cursor that is never freed) breaks
that bound within half an hour; kept idempotency records stay below it.
"""
import argparse
import asyncio
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'e2e')]

SAMPLE_S = 1.0
WARM_S = 60
RSS_SLACK = 3 << 20
LIFE_BYTES = 512
FD_SLACK = 64       # more streams at once by dice
DRAIN_MS = 60000    # whoever stalls has met gap_ms by then
CONFIG = {'gap_ms': 5000, 'first_byte_ms': 5000, 'retries': 1}
WRITE_MS = 3000
IDLE_WORKERS = 500  # that nobody speaks to: they are there at the end as well
SHOWN = 5           # of the failures of one check
METRICS_ITSELF = 1  # the request that asks for the counters


class Checks:
    """Promises by name: how often they were kept, and how they were broken."""

    def __init__(self):
        self.kept, self.broken = {}, {}

    def __call__(self, name, good, *what):
        if good:
            self.kept[name] = self.kept.get(name, 0) + 1
            return
        said = self.broken.setdefault(name, [])
        said.append(what)
        if len(said) <= SHOWN:
            print(f'soak: BROKEN: {name}: ' + ' '.join(str(w)[:400] for w in what), flush=True)

    def verdict(self):
        names = sorted({**self.kept, **self.broken})
        for name in names:
            bad = len(self.broken.get(name, ()))
            print(f'  soak {name}: ' + (f'BROKEN {bad} times' if bad else 'kept') +
                  f', of {self.kept.get(name, 0) + bad}')
        return len(names) - len(self.broken), len(self.broken)


class Soak:
    def __init__(self, host, provider, seconds, seed, doors, count):
        self.host, self.provider, self.seconds, self.seed = host, provider, seconds, seed
        self.doors, self.count, self.check = doors, count, Checks()
        self.acks = self.steps = self.streams = self.lives = 0
        self.turns, self.samples, self.running = {}, [], {}
        self.begin = time.monotonic()

    @property
    def age(self):
        return time.monotonic() - self.begin

    # ---- the load ------------------------------------------------------------
    async def one_after_another(self, n):
        from life import Life
        while self.age < self.seconds:
            seed = f'{self.seed}-{n}-{self.lives}'
            self.running[n] = seed
            self.lives += 1
            try:
                await Life(self, seed).live()
                self.check('every life comes to its end', True)
            except Exception as e:  # a life that breaks is a finding, not the end of all
                self.check('every life comes to its end', False, seed, repr(e))
            self.running.pop(n)

    async def run(self, lives):
        door = self.doors[0]
        for n in range(IDLE_WORKERS):
            made = await door.request('POST', door.path + '/workers', {'worker_id': f'idle-{n}'})
            self.check('every answer is one that the tables allow', made.status == 201, made)
        watch = asyncio.create_task(self.sample())
        await asyncio.gather(*(self.one_after_another(n) for n in range(lives)))
        watch.cancel()
        await self.rest_is_silence()
        self.flat()
        await self.drain()

    # ---- what is measured all along ---------------------------------------------
    def resident(self):
        text = pathlib.Path(f'/proc/{self.host.pid}/statm').read_text()
        return int(text.split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.host.pid}/fd'))

    async def sample(self):
        said = 0
        while True:
            self.samples.append((self.age, self.resident(), self.descriptors(), self.lives))
            if self.age // 60 > said:
                said = self.age // 60
                print(f'soak: {said:.0f} min: {self.lives} lives, {self.acks} turns, '
                      f'{self.count.requests} requests, {self.streams} streams open, '
                      f'RSS {self.samples[-1][1] / 1e6:.1f} MB, {self.samples[-1][2]} descriptors, '
                      f'{sum(map(len, self.check.broken.values()))} broken', flush=True)
            await asyncio.sleep(SAMPLE_S)  # the distance of two samples

    def flat(self):
        from lib import wait
        warm = max(WARM_S, self.seconds / 4)
        late = [s for s in self.samples if warm <= s[0] <= self.seconds]
        if len(late) < 20:
            print('soak: too short to say whether memory and descriptors are flat')
            return
        first, second = late[:len(late) // 2], late[len(late) // 2:]
        rss, fds, lives = ([statistics.median(s[i] for s in half) for half in (first, second)]
                           for i in (1, 2, 3))
        may = RSS_SLACK + LIFE_BYTES * (lives[1] - lives[0])
        print(f'soak: RSS {rss[0] / 1e6:.2f} then {rss[1] / 1e6:.2f} MB (may grow by '
              f'{may / 1e6:.2f}), descriptors {fds[0]:.0f} then {fds[1]:.0f}')
        if wait.SLOW == 1:  # a sanitizer keeps what was freed
            self.check('RSS is flat', rss[1] <= rss[0] + may, rss, may)
        self.check('descriptors are flat', fds[1] <= fds[0] + FD_SLACK, fds)

    # ---- when the load is over ----------------------------------------------------
    async def rest_is_silence(self):
        """Counters agree, nothing runs, nothing is held open."""
        api = self.doors[1]
        left = (await api.request('GET', '/api/workers?limit=256')).json['runtimes'][0]
        rest, page = left['workers'], left['next']
        while page:
            more = (await api.request('GET', f'{api.path}/workers?limit=256&after={page}')).json
            rest, page = rest + more['workers'], more['next']
        self.check('only the idle workers are left, and idle',
                   len(rest) == IDLE_WORKERS and all(w['state'] == 'idle' for w in rest),
                   [w for w in rest if w['state'] != 'idle' or 'idle' not in w['worker_id']][:3])
        for door in self.doors:
            door.close()
        metrics = await asyncio.to_thread(self.metrics)
        asked, unsure = metrics['yoi_http_requests_total'], self.count.unsure
        self.check('the host counted the requests that were sent',
                   self.count.requests <= asked <= self.count.requests + unsure + METRICS_ITSELF,
                   asked, self.count.requests, unsure)
        errors = metrics.get('yoi_http_errors_total', 0)
        self.check('the host counted the errors that were answered',
                   self.count.errors <= errors <= self.count.errors + unsure, errors,
                   self.count.errors, unsure)
        for state in ('completed', 'failed', 'cancelled'):
            have = metrics.get(f'yoi_turns_total{{state="{state}"}}', 0)
            self.check('the host counted the turns that the histories have',
                       have == self.turns.get(state, 0), state, have, self.turns)
        asked = sum(v for k, v in metrics.items() if k.startswith('yoi_model_requests_total'))
        self.check('the host counted a generation for each step', asked == self.steps, asked,
                   self.steps)
        print(f'soak: {self.lives} lives, turns {self.turns}, answers {self.count.by_status}')
        end = time.monotonic() + 60
        while time.monotonic() < end and (self.descriptors() > self.open_at_first + FD_SLACK or
                                          metrics['yoi_watchers'] > 0):
            await asyncio.sleep(0.1)  # until the host has seen the last closes
            metrics = await asyncio.to_thread(self.metrics)
        gauges = [metrics[k] for k in ('yoi_watchers', 'yoi_turns_running', 'yoi_workers')]
        self.check('the gauges are down again', gauges == [0, 0, IDLE_WORKERS], gauges)
        self.check('nothing is held open', self.descriptors() <= self.open_at_first + FD_SLACK,
                   self.descriptors(), self.open_at_first)

    def metrics(self):
        out = {}
        for line in self.host.api.get('/metrics').text.splitlines():
            if line and not line.startswith('#'):
                name, _, value = line.rpartition(' ')
                out[name] = float(value)
        return out

    async def drain(self):
        """SIGTERM while some speak: who can ends, who stalls is cancelled, exit 0."""
        door = self.doors[0]
        says = ['mode=text chunks=100 delay=15'] * 5 + ['mode=text chunks=9 stall=4']
        streams = []
        for n, text in enumerate(says):
            streams.append(await door.stream('POST', f'{door.path}/workers/idle-{n}/input',
                                             {'content': text}))
            while (await streams[-1].event()).kind != 'text.delta':
                pass
        begin = time.monotonic()
        self.host.signal()
        states = [await self.how_it_ended(s) for s in streams]
        self.check('turns end before the host does, the stalled one is not waited for',
                   set(states[:5]) == {'completed'} and states[5] in ('failed', 'cancelled'),
                   states)
        try:
            await asyncio.to_thread(self.host.stop)
            good, why = True, None
        except AssertionError as e:
            good, why = False, str(e)[-2000:]
        self.check('the host drains, exits 0, and its log is clean', good, why)
        print(f'soak: drained in {time.monotonic() - begin:.1f} s, turns {states}')

    async def how_it_ended(self, stream):
        state = None
        while event := await stream.event():
            if event.kind == 'turn.ended':
                state = event.data['turn']['state']
        stream.close()
        return state


async def soak(options, host, provider):
    from lib.host import TOKEN
    from wire import Count, Door
    count = Count()
    doors = [Door(host.address('runtime'), '/v1', count, TOKEN),
             Door(host.address('browser'), '/api/runtimes/main', count)]
    one = Soak(host, provider, options.seconds, options.seed, doors, count)
    one.open_at_first = one.descriptors()
    await one.run(options.lives)
    return one.check.verdict()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    parser.add_argument('--seconds', type=int, default=1800)
    parser.add_argument('--lives', type=int, default=40)
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    os.environ['YOI_BUILD'] = str(pathlib.Path(options.build).resolve())
    from lib import configs
    from lib.host import Host
    from lib.provider import Provider
    print(f'soak: {options.seconds} s, {options.lives} lives at a time, --seed {options.seed}',
          flush=True)
    with tempfile.TemporaryDirectory(prefix='yoi-soak-') as tmp:
        tmp = pathlib.Path(tmp)
        provider = Provider(tmp / 'provider').start()
        host = Host(tmp / 'host', configs.standard(
            model=configs.openai(provider.port, **CONFIG), drain_ms=DRAIN_MS,
            ingresses=[configs.ingress(e, write_ms=WRITE_MS)
                       for e in (configs.BROWSER, configs.RUNTIME)]))
        try:
            host.start()
            good, bad = asyncio.run(soak(options, host, provider))
        finally:
            host.kill()
            provider.kill()
    print(f'{good} passed, {bad} failed')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
