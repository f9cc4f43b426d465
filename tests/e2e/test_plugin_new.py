"""`yoi-host plugin new`: what it writes builds against an installation, and works."""
import subprocess

import pytest
from lib import wait
from lib.host import BINARY, environment
from lib.install import PREFIX, shell, staged

stage = pytest.fixture(scope='module', name='stage')(staged)
KINDS = ['runtime', 'tool', 'policy', 'model']


def new(folder, *args, code=0):
    done = subprocess.run([str(BINARY), 'plugin', *args], cwd=folder, check=False,
                          env=environment(folder), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=wait.patience(30), universal_newlines=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.parametrize('lang', ['c', 'c++'])
@pytest.mark.parametrize('kind', KINDS)
def test_it_builds_and_its_own_test_passes(stage, tmp_path, kind, lang):
    said = new(tmp_path, 'new', kind, 'my-first', '--lang', lang).stdout
    assert said == f'my-first/ is a {kind}; build and try it with: make -C my-first check\n'
    shell(stage, tmp_path, f'PATH={PREFIX}/bin:$PATH make -C my-first check')
    listed = shell(stage, tmp_path,
                   f'{PREFIX}/bin/yoi-host plugins check my-first/build/my-first.so')
    assert 'com.example.my-first' in listed and kind in listed


@pytest.mark.parametrize('kind', KINDS)
def test_its_test_fails_when_the_plugin_does_not_work(stage, tmp_path, kind):
    """What stands in the code is changed where the test must notice."""
    new(tmp_path, 'new', kind, 'broken')
    code = tmp_path / 'broken/plugin.c'
    was, now = {'runtime': ('"workers", YOI_LIT("[]")', '"workers", YOI_LIT("[1]")'),
                'tool': ('%zu words', '%zu birds'),
                'policy': ('decision\\":\\"deny', 'decision\\":\\"allow'),
                'model': ('I was given', 'They gave me')}[kind]
    assert was in code.read_text()
    code.write_text(code.read_text().replace(was, now))
    shell(stage, tmp_path, f'! PATH={PREFIX}/bin:$PATH make -C broken check')


def test_it_is_installed_where_the_host_looks(stage, tmp_path):
    new(tmp_path, 'new', 'tool', 'mine', '--id', 'org.acme.mine', '-o', 'here')
    shell(stage, tmp_path, f'make -C here install DESTDIR={tmp_path}/root')
    assert (tmp_path / f'root{PREFIX}/lib/yoi/plugins/mine.so').exists()
    assert '"id": "org.acme.mine"' in (tmp_path / 'here/mine.yoi.json').read_text()


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/plugin.c').write_text('precious')
    said = new(tmp_path, 'new', 'tool', 'mine', code=3).stderr
    assert "cannot make the folder 'mine': File exists" in said
    assert (tmp_path / 'mine/plugin.c').read_text() == 'precious'
    assert len(list((tmp_path / 'mine').iterdir())) == 1


@pytest.mark.parametrize('args, words', [
    ([], 'takes new'), (['old', 'tool', 'x'], 'takes new'),
    (['new'], 'takes runtime, tool, policy or model'),
    (['new', 'ingress', 'x'], 'takes runtime, tool, policy or model'),
    (['new', 'tool'], "a plugin's name"), (['new', 'tool', 'X'], "a plugin's name"),
    (['new', 'tool', '../x'], "a plugin's name"), (['new', 'tool', '9'], "a plugin's name"),
    (['new', 'tool', 'x' * 49], '1 to 48'),
    (['new', 'tool', 'x', '--lang', 'rust'], "'--lang' takes c or c++"),
    (['new', 'tool', 'x', '--id', 'x'], "'--id' takes a name such as com.example.x"),
    (['new', 'tool', 'x', '--id', 'a.b"c'], "'--id' takes"),
    (['new', 'tool', 'x', '--id', 'a.' + 'b' * 127], "'--id' takes")])
def test_a_wrong_command_line_writes_nothing(tmp_path, args, words):
    assert words in new(tmp_path, *args, code=2).stderr
    assert not [p for p in tmp_path.iterdir() if p.name not in ('home', 'tmp')]


def test_the_longest_name_is_good(stage, tmp_path):
    new(tmp_path, 'new', 'tool', 'x' * 48)
    shell(stage, tmp_path, f'PATH={PREFIX}/bin:$PATH make -C {"x" * 48} check')
