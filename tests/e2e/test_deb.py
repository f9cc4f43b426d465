"""`make deb`: what the packages hold, and that it works from there.

Nothing is installed here: the packages are unpacked into a folder. `make deb-check`
installs, uses and purges them in a Debian of their own (tests/deb.py).
"""
import json
import os
import re
import shutil
import stat
import subprocess

import pytest
from lib import wait
from lib.host import BINARY, ROOT, environment

EPOCH = 1700000000
VERSION = '1.0.0~20231114221320'
TOOLS = ['dpkg-deb', 'dpkg-shlibdeps', 'dpkg-architecture']
SCRIPTS = ['postinst', 'prerm', 'postrm']


def run(*command, code=0, **kw):
    done = subprocess.run([*map(str, command)], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=wait.patience(600), **kw)
    assert done.returncode == code, done.stdout
    return done.stdout


def build(folder):
    run('make', '-s', 'deb', f'DEB={folder}', f'SOURCE_DATE_EPOCH={EPOCH}',
        f'DEB_VERSION={VERSION}', cwd=ROOT)
    return {p.name.split('_')[0]: p for p in folder.glob('*.deb')}


class Package:
    """One of them: its fields, and it unpacked, with what dpkg reads beside."""

    def __init__(self, file, folder):
        self.file = file
        self.root, self.control = folder / 'root', folder / 'control'
        folder.mkdir()
        run('dpkg-deb', '-x', file, self.root)
        run('dpkg-deb', '-e', file, self.control)
        self.fields = dict(re.findall(r'^(\S+): (.*)$', (self.control / 'control').read_text(),
                                      re.M))
        self.files = {str(p.relative_to(self.root)): p for p in self.root.rglob('*')
                      if p.is_symlink() or not p.is_dir()}


@pytest.fixture(scope='module', name='packages')
def built(tmp_path_factory):
    missing = [t for t in TOOLS if not shutil.which(t)]
    if BINARY != ROOT / 'build/yoi-host' or missing:
        pytest.skip(f'packages are made of the plain build; not here: {missing}')
    folder = tmp_path_factory.mktemp('deb')
    return {name: Package(file, folder / name) for name, file in build(folder).items()}


def test_two_packages_have_all_that_is_installed_and_nothing_twice(packages, tmp_path):
    assert set(packages) == {'yoi', 'yoi-dev'}
    run('make', '-s', 'install', 'PREFIX=/usr', f'P={packages["yoi"].file.parent}/usr',
        f'DESTDIR={tmp_path}', cwd=ROOT)
    installed = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*') if not p.is_dir()}
    # files of pkg-config lie where a cross compiler looks, the licence is the copyright
    lib = f'usr/lib/{run("dpkg-architecture", "-q", "DEB_HOST_MULTIARCH").strip()}/pkgconfig'
    installed = {p.replace('usr/lib/pkgconfig', lib) for p in installed}
    installed -= {'usr/share/doc/yoi/LICENSE'}
    packed = [re.sub(r'(/man\d/.*)\.gz$', r'\1', p) for x in packages.values() for p in x.files]
    assert len(packed) == len(set(packed))
    assert set(packed) - installed == {
        'etc/yoi/yoi.json', 'usr/share/lintian/overrides/yoi',
        *(f'usr/share/doc/{n}/{f}' for n in packages for f in ('copyright', 'changelog.gz'))}
    assert installed <= set(packed)


def test_who_runs_it_gets_no_headers_and_who_writes_gets_no_service(packages):
    def those(name, *begins):
        return {p for p in packages[name].files if p.startswith(begins)}
    assert not those('yoi', 'usr/include') and not [p for p in packages['yoi'].files
                                                    if p.endswith(('.a', '.pc', '.map'))]
    assert not those('yoi-dev', 'usr/bin/yoi-host', 'etc', 'usr/lib/systemd', 'usr/lib/yoi/plugins')
    assert {'usr/include/yoi-1/yoi.h', 'usr/include/yoi-1/yoi/runtime.h', 'usr/lib/libyoi.so',
            'usr/include/yoi-1/sdk/plugin.h', 'usr/lib/libyoi-sdk-core.a', 'usr/lib/libyoi.a',
            'usr/lib/yoi/plugin.map'} <= set(packages['yoi-dev'].files)
    assert [p.name for p in packages['yoi'].control.iterdir() if p.name in SCRIPTS]
    assert not [p.name for p in packages['yoi-dev'].control.iterdir() if p.name in SCRIPTS]


@pytest.mark.parametrize('name', ['yoi', 'yoi-dev'])
def test_owners_and_modes(packages, name):
    seen = 0
    for line in run('dpkg-deb', '-c', packages[name].file).splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        path = path.split(' -> ')[0]
        seen += 1
        runs = re.fullmatch(r'\./usr/(bin/.*|lib/yoi/(yoi-worker|(runtimes|plugins)/.*\.so))', path)
        expected = 'drwxr-xr-x' if path.endswith('/') else 'lrwxrwxrwx' if mode[0] == 'l' else \
            '-rwxr-xr-x' if runs else '-rw-r--r--'
        assert (mode, owner) == (expected, 'root/root'), line
        assert re.match(r'\./(usr/|etc/|$)', path), line
    assert seen > len(packages[name].files)
    for script in SCRIPTS:
        path = packages[name].control / script
        assert not path.exists() or stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.parametrize('name', ['yoi', 'yoi-dev'])
def test_nothing_in_it_names_where_it_was_built(packages, name):
    for path, file in packages[name].files.items():
        if file.is_symlink():
            assert not os.readlink(file).startswith('/'), path
        else:
            assert str(ROOT).encode() not in file.read_bytes(), path


def test_control_fields(packages):
    for name, package in packages.items():
        assert package.fields['Package'] == name
        assert package.fields['Version'] == VERSION
        assert package.fields['Architecture'] == run('dpkg', '--print-architecture').strip()
        assert package.file.name == f'{name}_{VERSION}_{package.fields["Architecture"]}.deb'
        kib = sum(p.stat().st_size for p in package.files.values() if not p.is_symlink()) / 1024
        assert kib <= int(package.fields['Installed-Size']) <= kib * 1.2 + 150
    assert f'yoi (= {VERSION})' in packages['yoi-dev'].fields['Depends']
    for name, some in (('yoi', {'libc6', 'libcjson1', 'libcurl4', 'libxml2'}),
                       ('yoi-dev', {'libc6', 'libcjson1'})):
        needs = re.findall(r'(?:^|, )([a-z0-9.+-]+)', packages[name].fields['Depends'])
        owners = set()
        for file in packages[name].files.values():
            if not file.is_symlink() and file.read_bytes()[:4] == b'\x7fELF':
                for line in run('ldd', file).splitlines():
                    m = re.match(r'\s*(\S+) => (/\S+) ', line)
                    wanted = run('readelf', '-d', file)
                    if m and f'[{m.group(1)}]' in wanted:
                        owners.add(owner(m.group(2)))
        assert some <= owners <= set(needs)


def owner(path):
    """The package of a library; dpkg may know it by the name of before usr-merge."""
    real = os.path.realpath(path)
    for known in (path, real, re.sub('^/usr', '', real)):
        done = subprocess.run(['dpkg-query', '-S', known], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, universal_newlines=True)
        if done.returncode == 0:
            return done.stdout.split(':')[0]
    raise AssertionError(path)


def test_what_is_no_release_is_older_than_the_release_and_newer_than_before(packages):
    older = VERSION.replace('2023', '2022')
    of_it = packages['yoi'].fields['Version']
    for a, b in ((older, of_it), (of_it, '1.0.0'), ('1.0.0', '1.0.1')):
        run('dpkg', '--compare-versions', a, 'lt', b)


@pytest.mark.parametrize('name', ['yoi', 'yoi-dev'])
def test_sums_and_files_of_the_config(packages, name):
    package = packages[name]
    run('md5sum', '--check', '--strict', '--quiet', package.control / 'md5sums', cwd=package.root)
    summed = {line.split('  ', 1)[1]
              for line in (package.control / 'md5sums').read_text().splitlines()}
    config = package.control / 'conffiles'
    listed = set(config.read_text().split()) if config.exists() else set()
    assert listed == {f'/{p}' for p in package.files if p.startswith('etc/')}
    assert summed == {p for p, f in package.files.items()
                      if not f.is_symlink() and not p.startswith('etc/')}


def test_the_library_is_found_by_who_links_it(packages):
    package = packages['yoi']
    assert os.readlink(package.files['usr/lib/libyoi.so.1']) == 'libyoi.so.1.0.0'
    assert (package.control / 'shlibs').read_text() == 'libyoi 1 yoi\n'
    assert (package.control / 'triggers').read_text() == 'activate-noawait ldconfig\n'


def test_scripts_are_ones_that_a_shell_takes(packages):
    for script in SCRIPTS:
        path = packages['yoi'].control / script
        run('sh', '-n', path)
        # each option and every call of the manager is there for a reason
        assert 'set -e' in path.read_text()
        if shutil.which('shellcheck'):
            run('shellcheck', path)
    if shutil.which('shellcheck'):
        run('shellcheck', '-S', 'warning', ROOT / 'docs/install/deb/build.sh')


def test_scripts_do_nothing_without_a_service_manager_but_what_is_theirs(packages, tmp_path):
    """They run where there is no systemd and none of its helpers: nothing fails."""
    if not shutil.which('bwrap'):
        pytest.skip('no bwrap here')
    for name in ('local', 'var', 'bin'):
        (tmp_path / name).mkdir()
    state = tmp_path / 'var/private/yoi/main'
    state.mkdir(parents=True)
    (tmp_path / 'var/yoi').symlink_to('private/yoi')
    (tmp_path / 'var/else').write_text('of another package')
    for name in ('sh', 'mkdir', 'rm', 'rmdir'):
        (tmp_path / 'bin' / name).symlink_to(shutil.which(name))

    def script(name, *args):
        run('bwrap', '--dev-bind', '/', '/', '--bind', tmp_path / 'local', '/usr/local',
            '--bind', tmp_path / 'var', '/var/lib', '--tmpfs', '/run',
            '--setenv', 'PATH', tmp_path / 'bin', packages['yoi'].control / name, *args)
    drop = tmp_path / 'local/lib/yoi/runtimes'
    script('postinst', 'configure', '')
    assert drop.is_dir()
    script('prerm', 'remove')
    script('postrm', 'remove')
    assert state.is_dir() and drop.is_dir()
    (drop / 'mine.so').write_text('of this machine')
    script('postrm', 'purge')
    assert {p.name for p in (tmp_path / 'var').iterdir()} == {'private', 'else'}
    assert not state.parent.exists() and (drop / 'mine.so').exists()
    (drop / 'mine.so').unlink()
    script('postrm', 'purge')
    assert not (tmp_path / 'local/lib/yoi').exists()
    script('postinst', 'configure', VERSION)
    assert not drop.exists(), 'an upgrade brings back what somebody took away'


def at_its_place(package, folder, *command):
    """Runs a command where /usr/lib/yoi is the package's. Nothing is made in the
    machine's own folder: another one stands there, with the same in it."""
    if not shutil.which('bwrap'):
        pytest.skip('no bwrap here')
    args = ['--dev-bind', '/', '/', '--tmpfs', '/usr/lib']
    for entry in os.scandir('/usr/lib'):
        if entry.is_symlink():
            args += ['--symlink', os.readlink(entry.path), entry.path]
        elif entry.name != 'yoi':
            args += ['--ro-bind', entry.path, entry.path]
    args += ['--ro-bind', package.root / 'usr/lib/yoi', '/usr/lib/yoi', '--chdir', folder]
    return run('bwrap', *args, *command, env=environment(folder))


def test_the_program_works_from_there(packages, tmp_path):
    """With the config that is installed, but for the places that it names."""
    package = packages['yoi']
    program = package.files['usr/bin/yoi-host']
    listed = at_its_place(package, tmp_path, program, 'plugins', 'list')
    for path in package.files:
        if re.search(r'/(runtimes|plugins)/.*\.so$', path):
            assert f'dev.yoi.{os.path.basename(path)[:-3]}' in listed
    text = package.files['etc/yoi/yoi.json'].read_text()
    for place in ('/var/lib/yoi/main', '/usr/local/lib/yoi/runtimes'):
        assert place in text
        mine = tmp_path / place.lstrip('/')
        mine.mkdir(parents=True, mode=0o700)
        text = text.replace(place, str(mine))
    config = tmp_path / 'yoi.json'
    config.write_text(text)
    assert at_its_place(package, tmp_path, program, 'check', config) == f'{config}: ok\n'
    said = at_its_place(package, tmp_path, 'sh', '-c',
                        f'echo hello | {program} chat {config} --json')
    assert 'turn.ended' in {json.loads(line).get('event') or json.loads(line).get('kind')
                            for line in said.splitlines() if line.startswith('{')}, said


def test_the_same_files_give_the_same_packages(packages):
    folder = packages['yoi'].file.parent
    before = {p.name: p.read_bytes() for p in folder.glob('*.deb')}
    for p in folder.glob('*.deb'):
        p.unlink()
    build(folder)
    assert {p.name: p.read_bytes() for p in folder.glob('*.deb')} == before


def test_the_unit_gives_little(packages):
    """By systemd's own judgement, from 0 to 10 (here times ten); docs/operate.md has it."""
    if not shutil.which('systemd-analyze'):
        pytest.skip('no systemd-analyze here')
    unit = packages['yoi'].files['usr/lib/systemd/system/yoi-host.service']
    said = run('systemd-analyze', 'security', '--offline=true', '--threshold=20', unit)
    assert re.search(r'exposure level for yoi-host.service: \d', said), said


def test_lintian_has_no_remark(packages):
    if not shutil.which('lintian'):
        pytest.skip('no lintian here')
    said = run('lintian', '--fail-on', 'error,warning', *(p.file for p in packages.values()))
    assert not re.search(r'^[EW]:', said, re.M), said
