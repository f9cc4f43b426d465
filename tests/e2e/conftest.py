"""Fixtures of the black-box tests.

YOI_BUILD names the build directory; a directory whose name has `san` in it is
a sanitizer build, and its bounds are stretched. Under a thread sanitizer run
`-m tsan`. Every process that a test starts is stopped by its id at the end of
the test, and its log is looked through for words that no log may hold.

  host       a module-wide host of the standard config, both surfaces
  new_host   new_host(config, ...) starts one more, stopped at the end
  provider   provider(*args) starts a mock provider
  v1, api    clients of the shared host's surfaces
  worker     a fresh worker on the shared host's runtime surface
"""
import faulthandler
import itertools
import pathlib
import signal
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import configs, wait  # noqa: E402
from lib.both import BEHIND, Both, deselect  # noqa: E402
from lib.host import Host  # noqa: E402
from lib.provider import Provider  # noqa: E402
from lib.worker import Worker  # noqa: E402


def pytest_configure(config):
    for line in ('soak: long; runs in `make soak` only',
                 'tsan: streams and races; this subset also runs under the thread sanitizer',
                 'rule(name, ...): the numbered rules of the pitfalls that a test covers'):
        config.addinivalue_line('markers', line)


def pytest_collection_modifyitems(config, items):
    deselect(config, items)


@pytest.fixture(autouse=True)
def limit(request):
    """The last resort: a test that forgot a bound ends with a traceback."""
    own = request.node.get_closest_marker('timeout')
    usual = 1800 if request.node.get_closest_marker('soak') else 600
    seconds = wait.bound(own.args[0] if own else usual)
    if threading.current_thread() is not threading.main_thread():
        # No signal arrives here, so it is this whole worker that ends.
        faulthandler.dump_traceback_later(seconds, exit=True)
        yield
        faulthandler.cancel_dump_traceback_later()
        return

    def over(_signal, _frame):
        raise AssertionError(f'a test of more than {seconds} s')
    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(int(seconds))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _keep(made, tmp):
    """A factory of hosts, which end with _end(made)."""
    count = itertools.count()

    def new(config=None, start=True, **kw):
        folder = pathlib.Path(tmp) / f'host{next(count)}'
        host = (Both if BEHIND else Host)(folder, config, **kw)
        if start:
            host.start()  # a child that does not come up is ended there
        made.append(host)
        return host
    return new


def _end(made):
    errors = []
    for child in reversed(made):
        try:
            child.stop()
        except AssertionError as e:
            errors.append(str(e))
        finally:
            child.kill()
    assert not errors, '\n'.join(errors)


@pytest.fixture
def new_host(tmp_path):
    made = []
    yield _keep(made, tmp_path)
    _end(made)


@pytest.fixture(scope='module')
def module_host(tmp_path_factory):
    """Like new_host, for a host that a whole module shares."""
    made = []
    yield _keep(made, tmp_path_factory.mktemp('module'))
    _end(made)


@pytest.fixture(scope='module')
def host(module_host):
    return module_host(configs.standard())


@pytest.fixture
def provider(tmp_path):
    made = []

    def new(*args):
        made.append(Provider(tmp_path / f'provider{len(made)}', *args))
        return made[-1].start()
    yield new
    _end(made)


@pytest.fixture
def v1(host):
    return host.v1


@pytest.fixture
def api(host):
    return host.api


@pytest.fixture
def worker(host):
    return Worker.create(host.v1)
