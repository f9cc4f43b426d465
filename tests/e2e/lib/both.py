"""Two hosts that a test takes for one: the runtimes run in the second.

With YOI_E2E_REMOTE set, each host of a black-box test becomes a Both, whose
runtimes are http-remote to a `far` host of the same config, over Unix sockets.
What the suites say of a runtime is then said of http-remote as well. The value
is what stands behind: `embedded`, or `fs-store` for runtimes of the first kind
to become ones of files.

With YOI_E2E_SICK=SEED too, a proxy of lib/proxy.py stands between the two, which
is not well: what it does to a connection follows from the seed and the name of
the test. near then sends a request up to eleven times, and the tests' client asks
again where even that was not enough (lib/wire.py).
"""
import copy
import os
import pathlib

from .host import Host
from .proxy import Proxy, unwell

BEHIND = os.environ.get('YOI_E2E_REMOTE')
SICK = os.environ.get('YOI_E2E_SICK')
OURS = ('dev.yoi.embedded', 'dev.yoi.fs-store')

# Whole suites that speak of a runtime's answers, and what in them speaks of the
# one host that has it: why it is not so for two.
SUITES = ('api_surface', 'bundles', 'bundles_host', 'events', 'idempotency', 'input', 'queue',
          'restart', 'runtime_surface', 'shapes', 'tools', 'transcript', 'turns', 'workers')
SUITES_OF_FILES = ('bundles', 'events', 'idempotency', 'restart', 'turns', 'workers')
OF_ONE_HOST = {
    'test_the_principal_of_each_surface_stands_in_the_record': 'near is one principal to far',
    'test_a_call_waits_is_listed_allowed_and_runs': 'near is one principal to far',
    'test_watchers_of_a_runtime_are_limited': 'near watches a worker once, for all',
    'test_a_shutdown_ends_what_waits': 'the turn is not ended by near going away',
    'test_the_runtimes_are_listed_with_source_and_last_seen': 'it is another source',
    'test_one_runtime_has_the_same_members': 'it is another source',
    'test_the_runtime_describes_itself': 'its state is remote',
    'test_each_first_metric_is_there_with_help_and_type': 'near counts no turns',
    'test_metrics_count_what_happens': 'near counts no turns',
    'test_metrics_count_calls': 'near counts no calls',
    'test_more_workers_than_are_kept_in_memory': 'near counts no workers',
    'test_what_is_wrong_is_said_with_its_place': 'names of rules are words of the remote',
    'test_what_this_host_has_not_is_said_at_create': 'so is what stands in its bundles',
    'test_a_worker_outlives_the_loss_of_its_bundle': 'so are messages of its diagnostics',
}
OF_MEMORY = {
    'test_a_cursor_from_before_a_restart_has_expired': 'histories in files outlive a restart',
    'test_a_create_brings_the_bundle': 'so do bundles',
    'test_instance_id_is_new_after_a_restart_of_a_memory_runtime': 'so does the store',
}
# Over a network that fails too: what is only so when each request is sent once.
NEW = 'says whether a create is the first; one that was sent again is answered 200'
AGAIN = 'the client asks again, and a cancel that had its effect is another one then'
OF_A_NETWORK = {
    'test_answers_are_those_of_the_runtime_with_its_id_in_front': NEW,
    'test_two_hundred_creates_bring_it_once': NEW,
    'test_what_needs_a_bundle': NEW,
    'test_workspaces_are_kept_apart': NEW,
    'test_bytes_go_in_and_out_as_they_are': NEW,
    'test_a_create_with_a_key_is_made_once': NEW,
    'test_another_body_under_a_used_key_is_a_conflict': NEW,
    'test_a_key_belongs_to_worker_and_operation': NEW,
    'test_answers_are_wrapped_by_noun_and_have_the_documented_members': NEW,
    'test_writes_want_json': NEW,
    'test_create_with_an_id_is_idempotent': NEW,
    'test_a_replayed_create_is_answered_before_any_other_check': NEW,
    'test_many_creates_of_one_id_at_once_make_one_worker': NEW,
    'test_a_cancelled_turn_ends_as_cancelled': AGAIN,
    'test_queued_inputs_run_one_after_the_other': AGAIN,
    'test_a_cursor_inside_a_message_that_has_finished_gets_it_whole': 'a resume skips deltas',
    'test_a_chunked_body_is_a_body': 'speaks past the client that asks again',
    'test_one_connection_carries_many_requests': 'likewise',
    'test_all_that_is_listed_is_seen': 'a resume may leave out what is live',
}


def behind(entry, folder):
    """The runtime as far has it: without what its host decides of it."""
    entry = {k: copy.deepcopy(v) for k, v in entry.items() if k in ('id', 'plugin', 'config')}
    if BEHIND == 'fs-store' and entry['plugin'] == 'dev.yoi.embedded':
        config = {'root': str(folder / f'store-{entry["id"]}'), **entry.get('config', {})}
        entry = {**entry, 'plugin': 'dev.yoi.fs-store', 'config': config}
    return entry


class Both(Host):
    """far is a Host of its own below this one's folder."""

    def __init__(self, folder, config=None, **kw):
        self.far, folder, self.between = None, pathlib.Path(folder), []
        runtimes = config.get('runtimes', []) if isinstance(config, dict) else []
        if runtimes and all(r['plugin'] in OURS for r in runtimes) and not kw.get('args'):
            far = folder / 'far'
            self.far = Host(far, self.far_config(config, far), **kw)
            config = self.near_config(config, far)
        super().__init__(folder, config, **kw)

    @staticmethod
    def far_config(config, far):
        surface = {'plugin': 'dev.yoi.ingress-http', 'surface': 'runtime', 'token': 'secret:both'}
        local = copy.deepcopy(config.get('local', {}))
        local.setdefault('secrets', {})['both'] = {'file': 'runtime.token'}
        return {**{k: v for k, v in config.items() if k not in ('bundles', 'policy')},
                'local': local,
                'runtimes': [behind(r, far) for r in config['runtimes']],
                'ingress': [{**surface, 'runtime': r['id'],
                             'listen': f'unix:{far}/etc/{r["id"]}.sock'}
                            for r in config['runtimes']]}

    @staticmethod
    def near_config(config, far):
        local = copy.deepcopy(config.get('local', {}))
        local.setdefault('secrets', {})['both'] = {'file': 'runtime.token'}
        return {**{k: v for k, v in config.items() if k != 'models'}, 'local': local,
                'runtimes': [{**r, 'plugin': 'dev.yoi.http-remote',
                              'config': {'base_url': 'http://localhost', 'token': 'secret:both',
                                         **({'socket': f'{far}/etc/{r["id"]}.sick',
                                             'retries': 10} if SICK else
                                            {'socket': f'{far}/etc/{r["id"]}.sock'})}}
                             for r in config['runtimes']]}

    def connect(self):
        """Puts what is not well between near and a far that was started."""
        test = os.environ.get('PYTEST_CURRENT_TEST', '').split(' ')[0]
        for runtime in self.far.config['runtimes'] if SICK else ():
            at = f'{self.far.etc}/{runtime["id"]}'
            self.between.append(Proxy(f'{at}.sock', unwell, f'{SICK}/{test}', f'{at}.sick'))

    def part(self):
        for proxy in self.between:
            proxy.stop()
        self.between = []

    def start(self, seconds=20.0):
        if self.far and self.far.alive():
            self.far.crash()  # a test ended near by its id, and means the runtime
        if self.far:
            self.part()
            self.far.start(seconds)
            self.connect()
        return super().start(seconds)

    def stop(self, seconds=25.0, code=0):
        super().stop(seconds, code)
        if self.far:
            self.part()
            self.far.stop(seconds, code)

    def crash(self):
        super().crash()
        if self.far:
            self.far.crash()

    def kill(self):
        super().kill()
        if self.far:
            self.part()
            self.far.kill()


def deselect(config, items):
    """Of the tests that were collected, those that can be said of two hosts."""
    names = {**OF_ONE_HOST, **(OF_MEMORY if BEHIND == 'fs-store' else {}),
             **(OF_A_NETWORK if SICK else {})}
    out = [i for i in items if getattr(i, 'originalname', i.name) in names]
    if BEHIND and out:
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in out]
