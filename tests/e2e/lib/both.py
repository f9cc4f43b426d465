"""Two hosts that a test takes for one: the runtimes run in the second.

With YOI_E2E_REMOTE set, each host of a black-box test becomes a Both, whose
runtimes are http-remote to a `far` host of the same config, over Unix sockets.
What the suites say of a runtime is then said of http-remote as well. The value
is what stands behind: `embedded`, or `fs-store` for runtimes of the first kind
to become ones of files.
"""
import copy
import os
import pathlib

from .host import Host

BEHIND = os.environ.get('YOI_E2E_REMOTE')
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
        self.far, folder = None, pathlib.Path(folder)
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
                                         'socket': f'{far}/etc/{r["id"]}.sock'}}
                             for r in config['runtimes']]}

    def start(self, seconds=20.0):
        if self.far and self.far.alive():
            self.far.crash()  # a test ended near by its id, and means the runtime
        if self.far:
            self.far.start(seconds)
        return super().start(seconds)

    def stop(self, seconds=25.0, code=0):
        super().stop(seconds, code)
        if self.far:
            self.far.stop(seconds, code)

    def crash(self):
        super().crash()
        if self.far:
            self.far.crash()

    def kill(self):
        super().kill()
        if self.far:
            self.far.kill()


def deselect(config, items):
    """Of the tests that were collected, those that can be said of two hosts."""
    names = {**OF_ONE_HOST, **(OF_MEMORY if BEHIND == 'fs-store' else {})}
    out = [i for i in items if getattr(i, 'originalname', i.name) in names]
    if BEHIND and out:
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in out]
