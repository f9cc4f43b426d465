"""yoi-conform itself, with a plugin (tests/plugins/unruly) that does to its process what
none should: each test is over in time, says what was seen, and leaves nothing."""
import os
import shutil
import signal
import subprocess
import tempfile

import pytest
from lib import configs, wait
from lib.conform import PROGRAM, folders, processes, report, results, run, written
from lib.host import BUILD, ROOT, TOKEN, environment
from lib.worker import Worker

UNRULY = BUILD / 'tests/plugins/unruly.so'
GOOD = BUILD / 'tests/broken/model/none.so'
PLAIN = BUILD == ROOT / 'build'
ONE = ['--include', 'stream.batch']


def only(said):
    assert len(said['tests']) == 1
    return said['tests'][0]


def unruly(folder, deed, *args, code=1, **more):
    config = written(folder, 'config.json', {'does': deed, **more})
    return report(folder, '--config', config, *args, UNRULY, code=code)


# ---- the limit of time ----
def test_who_closes_the_kits_pipe_and_hangs_is_ended_in_time(tmp_path):
    test = only(unruly(tmp_path, 'close', '--timeout', '1500', *ONE))
    assert test['result'] == 'timeout' and 'not over after 1500 ms' in test['seen']


@pytest.mark.parametrize('n, value', [(1, 0), (5, 0), (2052, 255), (4096, 0)])
def test_who_writes_into_the_kits_pipe_fails(tmp_path, n, value):
    test = only(unruly(tmp_path, 'write', *ONE, bytes=n, value=value))
    assert test['result'] == 'fail' and "the kit's pipe" in test['seen']


@pytest.mark.skipif(not PLAIN, reason='a sanitizer has an abort of its own')
def test_a_crash_is_one_although_a_process_of_it_goes_on(tmp_path):
    test = only(unruly(tmp_path, 'fork-crash', *ONE))
    assert test['result'] == 'crash' and test['signal'] == signal.SIGABRT
    assert test['ms'] < 20000 and not processes(tmp_path)


def test_a_call_that_takes_long_breaks_no_promise(tmp_path):
    said = unruly(tmp_path, 'slow', '--timeout', '6000', '--include', 'stream.again-wakes',
                  '--include', 'stream.cancel-ends', code=0)
    assert results(said) == {'stream.again-wakes': 'skip', 'stream.cancel-ends': 'pass'}
    assert 'more than 4000 ms; --timeout gives more' in str(said)


# ---- what is left ----
def test_a_process_that_left_the_group_is_ended_too(tmp_path):
    assert only(unruly(tmp_path, 'leave', *ONE, code=0))['result'] == 'pass'
    assert not processes(tmp_path)


def test_what_was_started_before_the_run_is_left_alone(tmp_path):
    done = subprocess.run(
        ['/bin/sh', '-c', 'sleep 600 >/dev/null & echo $!; exec "$@"', 'sh', str(PROGRAM), *ONE,
         str(GOOD)], cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.DEVNULL, check=True,
        stdout=subprocess.PIPE, timeout=wait.bound(60), universal_newlines=True)
    os.kill(int(done.stdout.split('\n')[0]), signal.SIGKILL)  # it is there


def test_the_standard_input_of_a_test_is_at_its_end(tmp_path):
    config = written(tmp_path, 'config.json', {'does': 'read'})
    ends = os.pipe()
    try:
        assert report(tmp_path, '--config', config, *ONE, UNRULY, stdin=ends[0])['ok']
    finally:
        os.close(ends[0])
        os.close(ends[1])


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'])
def test_a_signal_ends_the_run_and_nothing_of_it_is_left(tmp_path, name):
    config = written(tmp_path, 'config.json', {'does': 'close'})
    with subprocess.Popen([str(PROGRAM), '--config', str(config), *ONE, str(UNRULY)], cwd=tmp_path,
                          env=environment(tmp_path), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as kit:
        try:
            wait.until(lambda: [p for f in folders(tmp_path) for p in f.glob('stream.batch')])
            kit.send_signal(getattr(signal, name))
            assert kit.wait(wait.bound(20)) == -getattr(signal, name)
        finally:
            kit.kill()
    assert not folders(tmp_path) and not processes(tmp_path)


# ---- that something was tested ----
@pytest.mark.parametrize('so, config, words', [
    ('plugins/model-openai.so', {}, 'base_url'),
    ('plugins/model-script.so', {'no_such': 1}, 'no_such'),
    ('plugins/tool-time.so', {'no_such': 1}, 'no_such')])
def test_a_config_that_does_not_fit_is_a_wrong_command_line(tmp_path, so, config, words):
    config = written(tmp_path, 'config.json', config)
    said = run(tmp_path, '--config', config, BUILD / so, code=2)
    assert "'--config' does not fit" in said.stderr and words in said.stderr and not said.stdout


def test_a_plugin_that_needs_a_config_and_gets_none(tmp_path):
    assert 'base_url' in run(tmp_path, BUILD / 'plugins/model-openai.so', code=2).stderr


def test_a_url_behind_which_nothing_is(tmp_path):
    said = report(tmp_path, '--url', 'http://127.0.0.1:9', code=1)
    assert results(said)['runtime.describe'] == 'fail' and said['summary']['fail'] == 1


# ---- behind a surface ----
def worker_of(test, seed):
    """The name of that test's worker, which follows from the seed."""
    most = (1 << 64) - 1
    for char in test:
        seed = (seed * 31 + ord(char)) & most
    z = (seed + 0x9e3779b97f4a7c15) & most
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & most
    z = (z ^ z >> 27) * 0x94d049bb133111eb & most
    return f'conform-{(z ^ z >> 31) & 0xffffffff:08x}'


@pytest.fixture(name='surface')
def _surface(new_host, tmp_path):
    host = new_host(configs.standard())
    token = tmp_path / 'token'
    token.write_text(TOKEN)
    token.chmod(0o600)
    return host, ['--url', f"http://{host.address('runtime')}", '--token', token]


@pytest.mark.parametrize('test', ['worker.create', 'worker.drain'])
def test_what_an_earlier_run_has_left_is_taken_away_first(surface, tmp_path, test):
    host, url = surface
    Worker.create(host.v1, wid=worker_of(test, 77))
    said = report(tmp_path, '--reproduce', f'{test}:77', *url)
    assert results(said) == {test: 'pass'}
    assert host.v1.ok('GET', '/v1/workers')['workers'] == []


def test_a_run_that_passes_leaves_nothing_at_the_surface(surface, tmp_path):
    host, url = surface
    assert report(tmp_path, *url)['ok']
    assert host.v1.ok('GET', '/v1/workers')['workers'] == []


# ---- where it is ----
@pytest.mark.skipif(not os.access('/dev/shm', os.W_OK) or
                    os.stat('/dev/shm').st_dev == os.stat(BUILD).st_dev,
                    reason='there is no second file system')
def test_the_folder_of_a_run_may_be_on_another_file_system(tmp_path):
    folder = tempfile.mkdtemp(dir='/dev/shm')
    try:
        assert report(tmp_path, *ONE, GOOD, TMPDIR=folder)['ok']
        assert not os.listdir(folder)
    finally:
        shutil.rmtree(folder)


def test_the_folder_of_a_run_may_be_named_from_here(tmp_path):
    said = report(tmp_path, *ONE, GOOD, TMPDIR='tmp')
    assert results(said) == {'stream.batch': 'pass'}


@pytest.mark.parametrize('file, tmp, words', [
    ('/none.so', 'tmp', "cannot read the plugin '/none.so': No such file"),
    ('/dev/null', 'tmp', "cannot read the plugin '/dev/null': Invalid argument"),
    (GOOD, '/none', "cannot find the folder '/none': No such file")])
def test_what_cannot_be_read_or_made_is_said_with_the_reason(tmp_path, file, tmp, words):
    assert words in run(tmp_path, file, code=2, TMPDIR=tmp).stderr


# ---- the command line and the quirks ----
@pytest.mark.parametrize('more', [['--include', 'lib.loads'], ['--exclude', 'lib.loads']])
def test_one_test_is_seen_again_and_no_other(tmp_path, more):
    said = report(tmp_path, '--reproduce', 'stream.batch:7', GOOD)
    assert results(said) == {'stream.batch': 'pass'} and said['seed'] == '7'
    assert "'" + more[0] + "'" in run(tmp_path, '--reproduce', 'stream.batch:7', *more, GOOD,
                                      code=2).stderr
    assert 'no test' in run(tmp_path, '--reproduce', 'stream.*:7', GOOD, code=2).stderr


def test_a_report_that_cannot_be_written_is_no_success(tmp_path):
    for form in ([], ['--json']):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([str(PROGRAM), *form, *ONE, str(GOOD)], cwd=tmp_path, check=False,
                                  env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, timeout=wait.bound(60))
        assert done.returncode == 1 and b'cannot be written: No space' in done.stderr


@pytest.mark.parametrize('quirks, words', [
    ({'arguments': 7}, "'arguments' is an object"),
    ({'known': {}}, "'known' is an array"),
    ({'known': [{'test': 'stream.none', 'reason': 'x'}]}, "'known' names no test"),
    ({'arguments': {'nothing': {}}}, "name no tool of it: 'nothing'"),
    ({'arguments': {'fs_read': {'path': 7}}}, "of 'fs_read' do not fit: '/path'")])
def test_quirks_that_mean_nothing_are_refused(tmp_path, quirks, words):
    quirks = written(tmp_path, 'q.json', quirks)
    assert words in run(tmp_path, '--quirks', quirks, BUILD / 'plugins/tool-fs.so', code=2).stderr


def test_a_row_is_judged_when_all_that_it_names_was_run(tmp_path):
    known = written(tmp_path, 'q.json', {'known': [
        {'test': 'model.*', 'reason': 'one'}, {'test': 'model.us*', 'reason': 'two'}]})
    said = report(tmp_path, '--quirks', known, '--include', 'model.finish', GOOD)
    assert results(said) == {'model.finish': 'pass'}
    said = report(tmp_path, '--quirks', known, '--include', 'model.usage', GOOD, code=1)
    assert results(said) == {'model.usage': 'unexpected'} and 'failing: two' in str(said)


@pytest.mark.skipif(not PLAIN, reason='the broken plugins are for the plain build')
def test_each_row_of_a_failure_counts(tmp_path):
    so = BUILD / 'tests/broken/model/model.usage.so'
    known = written(tmp_path, 'q.json', {'known': [
        {'test': 'model.*', 'reason': 'one'}, {'test': 'model.us*', 'reason': 'two'}]})
    assert report(tmp_path, '--quirks', known, '--include', 'model.*', so)['ok']
    known = written(tmp_path, 'q.json', {'known': [
        {'test': 'model.us*', 'reason': 'one'}, {'test': 'model.fin*', 'reason': 'two'}]})
    said = report(tmp_path, '--quirks', known, '--include', 'model.*', so, code=1)
    assert results(said)['model.usage'] == 'known'
    assert results(said)['model.finish'] == 'unexpected'
