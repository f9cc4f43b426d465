"""`make install` into a folder, what works from there, and `make uninstall`."""
import os
import re
import shutil
import subprocess
import sys

import pytest
from lib import wait
from lib.host import BINARY, ROOT
from lib.install import PREFIX, make, shell, staged

stage = pytest.fixture(scope='module', name='stage')(staged)


def test_an_installation_finds_its_own_plugins(stage, tmp_path):
    listed = shell(stage, tmp_path, f'{PREFIX}/bin/yoi-host plugins list')
    for name in ('runtimes', 'plugins'):
        for plugin in (stage / f'usr/local/lib/yoi/{name}').glob('*.so'):
            assert f'dev.yoi.{plugin.stem}' in listed
            assert plugin.stat().st_mode & 0o777 == 0o755
    assert str(ROOT) not in listed


@pytest.mark.parametrize('link', ['', '-static'], ids=['shared', 'static'])
def test_a_program_is_built_against_it(stage, tmp_path, link):
    shutil.copy(ROOT / 'docs/examples/minimal.c', tmp_path)
    library = f'{PREFIX}/lib/libyoi.a $(pkg-config --libs --static yoi | sed s/-lyoi//)' if link \
        else '$(pkg-config --libs yoi)'
    said = shell(stage, tmp_path, f'gcc -std=c11 $(pkg-config --cflags yoi) -o minimal minimal.c '
                 f'{library}\n./minimal {PREFIX}/lib/yoi',
                 LD_LIBRARY_PATH=f'{PREFIX}/lib')
    assert 'You said: hello' in said


@pytest.mark.parametrize('command', [
    'gcc -std=c11 own_tool.c -o app $(pkg-config --cflags --libs yoi yoi-plugin)',
    'g++ -std=c++11 embed.cc -o app $(pkg-config --cflags --libs yoi)'], ids=['own_tool', 'embed'])
def test_the_installed_examples_are_built_against_it(stage, tmp_path, command):
    shell(stage, tmp_path, f'cp {PREFIX}/share/doc/yoi/docs/examples/*.c* .\n{command}\n'
          f'./app {PREFIX}/lib/yoi', LD_LIBRARY_PATH=f'{PREFIX}/lib')


def test_a_plugin_is_built_against_it(stage, tmp_path):
    """By the command of the manual page, as it stands there."""
    page = (ROOT / 'docs/man/yoi-plugin.7').read_text().split('.EX\n')[1].split('.EE')[0]
    command = page.replace('\\e', '\\').replace('\\-', '-').replace('NAME', 'null')
    for name in ('plugin.c', 'null.yoi.json'):
        shutil.copy(ROOT / 'tests/plugins/null' / name, tmp_path)
    shell(stage, tmp_path, command)
    shell(stage, tmp_path, f'{PREFIX}/bin/yoi-host plugins check null.so --load')


def test_every_link_of_the_installed_manual_leads_to_what_is_installed(stage):
    manual = stage / 'usr/local/share/doc/yoi'
    links = [(page, link) for page in manual.rglob('*.md')
             for link in re.findall(r'\]\(([^)#\s]+)[^)]*\)', page.read_text())
             if not re.match(r'\w+:', link)]
    there = {str(page.relative_to(manual)) for page, _ in links}
    assert {'README.md', 'docs/start.md', 'plugins/ingress-http/README.md'} <= there
    assert not [(p, link) for p, link in links if not (p.parent / link).exists()]
    led = {(p.parent / link).resolve() for p, link in links}
    for path in ('include/yoi-1/yoi/ops.h', 'include/yoi-1/yoi.h', 'include/yoi-1/yoi',
                 'lib/systemd/system/yoi-host.service', 'share/doc/yoi/docs/start.md'):
        assert stage / 'usr/local' / path in led
    # what is only in the source tree has its text
    assert '[`tests/plugins/null/`]' in (ROOT / 'docs/write-a-plugin.md').read_text()
    assert '\n`tests/plugins/null/` is a' in (manual / 'docs/write-a-plugin.md').read_text()


def test_uninstall_takes_away_what_install_has_put_there(stage, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(stage, copy, symlinks=True)
    kept = copy / 'usr/local/lib/yoi/plugins/a-stranger.so'
    kept.write_text('not ours')
    make('uninstall', copy)
    left = [p for p in copy.rglob('*') if not p.is_dir()]
    assert left == [kept]
    assert {p for p in copy.rglob('*') if 'yoi' in str(p.relative_to(copy))} \
        == {kept, kept.parent, kept.parent.parent}


def test_another_prefix_is_another_place_and_the_same_one_builds_nothing(tmp_path):
    """What knows where it will be installed is made anew when that changes."""
    targets = [tmp_path / t for t in ('obj/host/place.o', 'install/yoi.pc')]

    def made(prefix):
        subprocess.run(['make', '-s', f'P={tmp_path}', f'PREFIX={prefix}', *map(str, targets)],
                       cwd=ROOT, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       timeout=wait.bound(60))
        return targets[0].read_bytes(), targets[1].read_text(), targets[0].stat().st_mtime_ns

    for prefix in ('/first', '/second'):
        code, text, when = made(prefix)
        assert f'{prefix}/lib/yoi'.encode() in code and f'prefix={prefix}\n' in text
        assert made(prefix)[2] == when


def test_the_unit_names_the_installed_program(stage):
    text = (stage / 'usr/local/lib/systemd/system/yoi-host.service').read_text()
    assert re.findall(r'^Exec\w+=(\S+yoi\S+)', text, re.M) == [f'{PREFIX}/bin/yoi-host'] * 2
    assert '@' not in text.replace('@system-service', '')
    assert '@' not in (stage / 'usr/local/lib/systemd/system/yoi-host.socket').read_text()


# ---- what is written by hand names what there is ----------------------------------------

def usage():
    return subprocess.run([str(BINARY), '--help'], check=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, universal_newlines=True,
                          timeout=wait.patience(30)).stdout


def words(text):
    """The commands and options of the program's own words."""
    commands = set(re.findall(r'^  yoi-host \[?([a-z-]+)', text, re.M))
    return commands | set(re.findall(r'(?<![\w-])--?[a-z][a-z-]*', text.split('\n\n', 1)[1]))


def test_manual_page_and_completion_have_every_command_and_option():
    page = (ROOT / 'docs/man/yoi-host.1').read_text()
    page = re.sub(r'\\f[BIR]', '', page).replace('\\-', '-')
    completion = (ROOT / 'docs/install/yoi-host').read_text()
    for text, name in ((page, 'page'), (completion, 'completion')):
        missing = {w for w in words(usage()) if not re.search(rf'(?<![\w-]){w}(?![\w-])', text)}
        assert not missing, (name, missing)


@pytest.mark.parametrize('typed, offered', [
    ('', {'serve', 'check', 'bundle', 'store'}), ('bun', {'bundle'}),
    ('store rep', {'repair'}), ('chat --wo', {'--worker'}),
    ('policy explain c.json --tool x --profile a', {'allow', 'ask'})])
def test_completion(tmp_path, typed, offered):
    line = typed.split(' ')
    script = (f'. {ROOT}/docs/install/yoi-host; COMP_WORDS=(yoi-host "$@"); COMP_CWORD=$#; '
              '_yoi_host; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(['bash', '-c', script, 'bash', *line], check=True, cwd=tmp_path,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          universal_newlines=True, timeout=wait.patience(30))
    found = set(done.stdout.split())
    assert offered <= found and all(w.startswith(line[-1]) for w in found), found


def test_the_page_of_the_config_is_up_to_date():
    done = subprocess.run([sys.executable, str(ROOT / 'tests/man.py')], check=False,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=os.sep,
                          universal_newlines=True, timeout=wait.patience(30))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('name', ['yoi-host.1', 'yoi-conform.1', 'yoi.json.5', 'yoi-plugin.7'])
def test_pages_are_ones_that_man_takes(name):
    if not shutil.which('groff'):
        pytest.skip('no groff here')
    done = subprocess.run(['groff', '-man', '-t', '-ww', '-z', '-Tutf8',
                           str(ROOT / 'docs/man' / name)], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=wait.patience(30))
    assert done.returncode == 0 and not done.stdout, done.stdout
