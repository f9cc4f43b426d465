"""yoi-host store: options, what is shown where, exit codes; with a plugin that
keeps nothing. What fs-store does with the verbs is in test_store_verbs.py."""
import json
import os
import pty
import signal
import subprocess

import pytest
from lib import wait
from lib.host import BINARY, BUILD, environment

VERBS = ['check', 'repair', 'compact', 'export', 'cat', 'stat']


@pytest.fixture(name='write')
def writer(tmp_path):
    def write(**config):
        path = tmp_path / 'yoi.json'
        path.write_text(json.dumps({
            'plugin_path': [str(BUILD / 'tests/plugins'), str(BUILD / 'runtimes')],
            'runtimes': [{'id': 'a', 'plugin': 'dev.yoi.test.offline', 'config': config},
                         {'id': 'memory', 'plugin': 'dev.yoi.embedded'}]}))
        return path
    return write


@pytest.fixture(name='run')
def runner(tmp_path, write):
    write()

    def run(verb, *args, code=0, runtime='a', **kw):
        done = subprocess.run([str(BINARY), 'store', verb, 'yoi.json', runtime, *args],
                              cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.DEVNULL,
                              stdout=kw.pop('stdout', subprocess.PIPE), stderr=subprocess.PIPE,
                              check=False, timeout=wait.patience(30), universal_newlines=True)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done
    return run


def test_every_verb_gets_config_and_options(run, write):
    write(text='t')
    for verb in VERBS:
        if verb == 'compact':
            assert "no verb 'compact'" in run(verb, code=2).stderr
            continue
        said = json.loads(run(verb, '--private', '--yes', '--to', 'x', '--json').stdout
                          .splitlines()[0])
        assert said == {'verb': verb, 'config': {'text': 't'},
                        'options': {'to': 'x', 'private': True, 'apply': True}}
    said = json.loads(run('cat', '--worker', 'w').stdout)
    assert said['options'] == {'worker': 'w'}
    assert "'check' has no option 'worker'" in run('check', '--worker', 'w', code=2).stderr


def test_findings_stand_where_they_were_asked_for(run, write):
    write(lines=2)
    out = ["kept/a.jsonl:1: warning: something is as it is (worker 'w', byte 100)",
           "kept/a.jsonl:2: warning: something is as it is (worker 'w', byte 200)",
           'that was all']
    for verb in ('check', 'repair'):
        done = run(verb)
        assert done.stdout.splitlines()[1:] == out and done.stderr == ''
    done = run('cat')
    assert len(done.stdout.splitlines()) == 1 and done.stderr.splitlines() == out
    lines = [json.loads(x) for x in run('check', '--json').stdout.splitlines()]
    assert [list(x) for x in lines] == [['verb', 'options', 'config'], ['finding'], ['finding'],
                                        ['summary']]
    assert lines[1]['finding']['offset'] == 100


def test_stat_is_a_table(run):
    done = run('stat')
    assert done.stdout.splitlines()[0].split() == ['verb', 'stat']
    assert json.loads(run('stat', '--json').stdout)['verb'] == 'stat'


@pytest.mark.parametrize('status, code', [(15, 6), (9, 3), (5, 3), (13, 3), (3, 2), (8, 5),
                                          (-1, 3)])
def test_each_status_has_its_exit_code(run, write, status, code):
    write(status=status, lines=0)
    said = run('check', code=code).stderr
    assert f'it ended with {status}' in said and 'in the folder of this test' in said


def test_what_others_wrote_does_not_reach_the_terminal(run, write):
    write(text='\x1b[2J\x9b2Jx', lines=1)
    for args in ([], ['--json']):
        done = run('check', *args)
        assert '\x1b' not in done.stdout and '\x9b' not in done.stdout.splitlines()[1], done.stdout


def test_a_runtime_that_keeps_nothing_is_named(run):
    said = run('check', runtime='memory', code=2).stderr
    assert "plugin 'dev.yoi.embedded' of runtime 'memory'" in said
    assert "no runtime 'b'" in run('check', runtime='b', code=3).stderr


def test_a_wrong_config_is_exit_1(run, write):
    path = write()
    path.write_text(path.read_text().replace('"runtimes"', '"runtime"'))
    assert "yoi.json:1:" in run('check', code=1).stderr
    path.unlink()
    assert 'cannot read config' in run('check', code=1).stderr


@pytest.mark.parametrize('args', [
    [], ['chekc', 'yoi.json', 'a'], ['check'], ['check', 'yoi.json'],
    ['check', 'yoi.json', 'a', 'b'], ['check', 'yoi.json', 'a', '--fast'],
    ['cat', 'yoi.json', 'a', '--worker']])
def test_a_wrong_command_line_is_exit_2(tmp_path, write, args):
    write()
    done = subprocess.run([str(BINARY), 'store', *args], cwd=tmp_path, stderr=subprocess.PIPE,
                          env=environment(tmp_path), check=False, timeout=wait.patience(30))
    assert done.returncode == 2 and b'--help' in done.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it(tmp_path, write, number):
    ready = tmp_path / 'ready'
    write(ready=str(ready))
    child = subprocess.Popen([str(BINARY), 'store', 'check', 'yoi.json', 'a'], cwd=tmp_path,
                             env=environment(tmp_path), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    wait.until(ready.exists)
    child.send_signal(number)
    out, err = child.communicate(timeout=wait.patience(30))
    assert child.returncode == 128 + number and err == b'', err
    assert b'something is as it is' in out


def test_a_full_output_is_exit_5(run):
    with open('/dev/full', 'w', encoding='utf-8') as full:
        assert 'takes nothing more' in run('cat', code=5, stdout=full).stderr


def test_progress_is_for_terminals(tmp_path, write):
    write(lines=400)
    ours, theirs = pty.openpty()
    done = subprocess.run([str(BINARY), 'store', 'check', 'yoi.json', 'a'], cwd=tmp_path,
                          stderr=theirs, env=environment(tmp_path), check=False,
                          stdout=subprocess.DEVNULL, timeout=wait.patience(30))
    os.close(theirs)
    seen = b''
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert done.returncode == 0 and b'\rreading: 0 %' in seen, seen[:200]
    # At most a few times a second, whatever the plugin says: it says it 400 times.
    assert seen.count(b'reading: ') < 100
