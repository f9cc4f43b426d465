"""The examples of docs/embed.md; test_docs.py runs what stands on that page."""
import json
import re
import subprocess

import pytest
from lib import wait
from lib.host import BUILD, ROOT, environment


def run(tmp_path, name, **how):
    done = subprocess.run([str(BUILD / 'examples' / name), str(BUILD)], cwd=tmp_path, check=False,
                          env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=wait.patience(60), universal_newlines=True, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def said(line):
    return json.loads(line)['item']['content'][0]['text']


def test_every_example_is_run_here():
    here = {p.stem for p in (ROOT / 'docs/examples').iterdir() if p.suffix in ('.c', '.cc')}
    page = (ROOT / 'docs/embed.md').read_text()
    assert here == {'minimal', 'poll', 'own_tool', 'embed'}  # minimal: test_examples.py
    assert all(f'(examples/{name}.c' in page for name in here)


def test_a_loop_of_the_application_serves_two(tmp_path):
    """Each line is answered while its input stays open: neither side waits for the other."""
    with subprocess.Popen([str(BUILD / 'examples/poll'), str(BUILD)], cwd=tmp_path,
                          env=environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=(tmp_path / 'err').open('w'), bufsize=0) as app:
        try:
            app.stdin.write(b'one\ntw')
            assert wait.readable([app.stdout], wait.patience(30))
            assert said(app.stdout.readline()) == 'You said: one'
            app.stdin.write(b'o\nthree\n"four"\n\n')
            app.stdin.close()
            rest = app.stdout.read().decode().splitlines()
            assert [said(line) for line in rest] == [f'You said: {w}'
                                                     for w in ('two', 'three', '"four"')]
            assert app.wait(wait.patience(30)) == 0
        finally:
            app.kill()
    log = (tmp_path / 'err').read_text().splitlines()
    assert log and all(re.match(r'poll\[[1-4]\]: time=', line) for line in log), log


def test_too_long_a_line_ends_the_loop(tmp_path):
    done = subprocess.run([str(BUILD / 'examples/poll'), str(BUILD)], cwd=tmp_path, check=False,
                          env=environment(tmp_path), input=b'one\n' + 2000 * b'x',
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=wait.patience(60))
    assert done.returncode == 1 and said(done.stdout) == 'You said: one'


def test_a_worker_calls_a_tool_of_the_application(tmp_path):
    done = run(tmp_path, 'own_tool')
    event, line = done.stdout.splitlines()
    assert said(event) == 'set to 21 degrees' and json.loads(event)['status'] == 'ok'
    assert line == 'the house is at 21 degrees'


def test_a_class_of_cxx_owns_a_host(tmp_path):
    first, second, refused = run(tmp_path, 'embed').stdout.splitlines()
    assert (said(first), said(second)) == ('I am the first.', 'I am the second.')
    assert refused == "refused: there is no runtime 'nowhere'"


@pytest.mark.skipif('san' in BUILD.name, reason='the plain build is the one that others link')
def test_the_shared_library_has_a_name_and_exports_what_its_header_says():
    shown = subprocess.run(['readelf', '-d', str(BUILD / 'libyoi.so')], stdout=subprocess.PIPE,
                           check=True, universal_newlines=True, timeout=wait.patience(30)).stdout
    assert 'Library soname: [libyoi.so.1]' in shown
    header = (ROOT / 'abi/yoi.h').read_text()
    declared = set(re.findall(r'YOI_API [^;(]*?\b(yoi_\w+)\(', header))
    names = subprocess.run(['nm', '-D', '--defined-only', str(BUILD / 'libyoi.so')], check=True,
                           stdout=subprocess.PIPE, universal_newlines=True,
                           timeout=wait.patience(30)).stdout
    assert {line.split()[-1] for line in names.splitlines()} == declared


LINKED = '''
#include <cstdio>
#include <cstring>
#include <yoi.h>

YOI_LINKED_PLUGIN(null);

int main() {
  static const yoi_linked_plugin *const rows[] = {&yoi_linked_null};
  static const char config[] = "{\\"step\\": true, \\"plugin_path\\": [], "
      "\\"runtimes\\": [{\\"id\\": \\"null\\", \\"plugin\\": \\"dev.yoi.test.null\\"}]}";
  yoi_embed *host = nullptr;
  bool ok = yoi_link_plugins(rows, 1, nullptr) == YOI_OK &&
            yoi_host_new(config, std::strlen(config), nullptr, &host, nullptr) == YOI_OK &&
            yoi_host_start(host, nullptr) == YOI_OK;
  yoi_host_free(host);
  std::puts(ok ? "started" : "not started");
}
'''


@pytest.mark.skipif('san' in BUILD.name, reason='the plain build is the one that others link')
def test_a_plugin_is_linked_into_a_program_of_cxx(tmp_path):
    (tmp_path / 'app.cc').write_text(LINKED)
    null = ROOT / 'tests/plugins/null'
    manifest = f'-DMANIFEST="{null}/null.yoi.json"'
    warn = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', f'-I{ROOT}/abi']
    for argv in (['gcc', '-std=c11', f'-I{ROOT}/abi', '-DYOI_STATIC=null', manifest, '-c',
                  str(null / 'plugin.c'), '-o', 'null.o'],
                 ['g++', '-std=c++11', *warn, '-o', 'app', 'app.cc', 'null.o',
                  str(BUILD / 'libyoi.a'), '-lcjson', '-lcrypto', '-lpthread', '-ldl'],
                 ['./app']):
        done = subprocess.run(argv, cwd=tmp_path, check=False, env=environment(tmp_path),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=wait.patience(120), universal_newlines=True)
        assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == 'started'
