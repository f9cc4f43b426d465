#!/usr/bin/env python3
"""Is the ABI what it promises to be? One line per gate; exit 1 on a failure.

check.py [--root DIR] [--build DIR] [--write] [--only GATE,...]

  headers    each public header compiles alone in four language modes with two
             compilers, strict, without implicit padding; those of the sdk too,
             which never cross and may be padded
  offsets    tests/abi/offsets.c: sizes and offsets as asserted by hand
  witness    tests/abi/witness.c names every type
  layout     today's layout, types, callbacks, functions and numbers are those of
             tests/abi/layout-MAJOR.MINOR.txt of the version in yoi/base.h, and
             every older one is a prefix of it; --write writes today's
  history    tests/abi/HISTORY says what each minor added, and each layout file is
             still the one of which it says so; --write writes today's section only
  frozen     tests/abi/headers/MAJOR.MINOR has the headers of each earlier version, and
             they still are what its layout says: plugins are compiled against them
  snapshot   tests/abi/witness.abi is what abidw reads out of the witness: a second
             reader, which follows types through pointers; --write writes it
  symbols    plugins export their entry only, libyoi.so what yoi.h declares,
             and nothing exports an internal name
  libraries  what libyoi.so and yoi-host load; no search path in any object
  manifests  the section holds the manifest's bytes, also after strip

--only runs these gates; witness goes with layout.

Gates compare what is built in --build; those down to snapshot need no build.
What was found good is remembered below --build under a hash of all that it
depends on. A gate whose tool is missing says SKIPPED loudly and does not fail.
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

STRICT = ['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wpadded', '-Werror']
COMPILERS = {'gcc': ('c', ('c11', 'c17')), 'clang': ('c', ('c11', 'c17')),
             'g++': ('c++', ('c++11', 'c++20')), 'clang++': ('c++', ('c++11', 'c++20'))}
# Beside libc, as the dynamic section names them (older libcs come in parts).
LIBC = r'libc\.so\.\d+|lib(pthread|dl|rt)\.so\.\d+|ld-linux.*'
OURS = LIBC + r'|libcjson\.so\.\d+|libcrypto\.so\.\d+'
SANITIZER = r'lib(asan|ubsan|tsan|lsan|stdc\+\+|gcc_s|m|resolv)\.so\.\d+'
FROZEN = ('yoi_str', 'yoi_stream', 'yoi_log_field', 'yoi_socket')
ENTRY = 'yoi_plugin_entry_v1'
HISTORY = '''# What each minor of the plugin ABI added, from the layouts of this folder.
# tests/abi/check.py --write makes the section of today's minor. Older sections
# stay as they are, and with them the layouts whose hashes they name.'''
GATES = ('headers', 'offsets', 'layout', 'history', 'frozen', 'snapshot', 'symbols',
         'libraries', 'manifests')


def run(argv, **kw):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=120, **kw)


def without_comments(text):
    return re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)


def one_line(text):
    text = re.sub(r'\s+', ' ', text).strip()
    text = re.sub(r' ?(\*+) ?', r' \1', text)
    text = re.sub(r'(?<=[(*]) | (?=[(),])|(?<=\*) (?=\*)', '', text)
    return re.sub(r', ?', ', ', text).replace('(*', ' (*').replace(',  (', ', (')


class Check:
    def __init__(self, root, build, abi=None):
        self.root, self.build = root, build
        self.abi = abi or root / 'abi'
        self.headers = [self.abi / 'yoi.h', *sorted((self.abi / 'yoi').glob('*.h'))]
        self.sdk = [h for h in sorted((self.abi / 'sdk').glob('*.h'))
                    if h.name not in ('banned.h', 'hard.h')]
        self.bad = self.skipped = 0

    def gate(self, name, findings, what):
        """findings: None skipped (what says why), else a list."""
        if findings is None:
            self.skipped += 1
            print(f'  abi {name}: SKIPPED: {what}')
            return
        for finding in findings:
            print(f'  abi {name}: {finding}')
        self.bad += bool(findings)
        print(f'  abi {name}: ' + (f'FAILED ({len(findings)})' if findings else f'ok, {what}'))

    # ---- headers -----------------------------------------------------------
    def closure(self, header, seen):
        if header not in seen:
            seen[header] = header.read_bytes()
            for name in re.findall(rb'#include <((?:yoi|sdk)[^>]*)>', seen[header]):
                child = self.abi / name.decode()
                if child.exists():
                    self.closure(child, seen)
        return seen

    def compile_alone(self, job):
        header, compiler, version, language, mode = job
        text = f'#include <{header.relative_to(self.abi)}>\nextern int yoi_check_;\n'
        strict = [w for w in STRICT if w != '-Wpadded' or header in self.headers]
        argv = [compiler, '-x', language, f'-std={mode}', *strict, '-fsyntax-only']
        key = hashlib.sha256(repr((argv, version)).encode() + text.encode() + b''.join(
            v for _, v in sorted(self.closure(header, {}).items()))).hexdigest()
        mark = self.build / 'abi-check' / key
        if mark.exists():
            return None
        done = run([*argv, f'-I{self.abi}', '-'], input=text.encode())
        if done.returncode == 0:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            return None
        first = next((x for x in done.stdout.decode(errors='replace').splitlines()
                      if re.search(r'error|warning', x)), f'ended with {done.returncode}')
        return f'{compiler} -std={mode} {header.name}: {first}'

    def check_headers(self):
        jobs, missing = [], []
        for compiler, (language, modes) in COMPILERS.items():
            if not shutil.which(compiler):
                missing.append(compiler)
                continue
            version = run([compiler, '--version']).stdout
            jobs += [(h, compiler, version, language, m)
                     for h in [*self.headers, *self.sdk] for m in modes]
        if missing:
            self.gate('headers', None, f"no {' '.join(missing)}")
        if jobs:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                findings = [f for f in pool.map(self.compile_alone, jobs) if f]
            self.gate('headers', findings, f'{len(jobs)} compilations')

    def check_offsets(self):
        source = self.root / 'tests/abi/offsets.c'
        done = run(['gcc', '-std=c11', *STRICT[:-2], '-Werror', f'-I{self.abi}', '-fsyntax-only',
                    str(source)])
        found = re.findall(r'error: (?:static assertion failed: )?"?([^"\n]*)',
                           done.stdout.decode(errors='replace'))
        if done.returncode and not found:
            found = ['does not compile']
        text = source.read_text()
        found += [f"'{t}' has no size there" for t in self.structs() if f'SIZE({t},' not in text]
        self.gate('offsets', found, f"{len(re.findall('(?m)^(?:AT|SIZE)', text))} assertions")

    def structs(self):
        return [n for h in self.headers for n in re.findall(
            r'^\} (yoi_\w+);', without_comments(h.read_text()), re.M)]

    def callbacks(self):
        return {m.group(1): one_line(m.group(0)) for h in self.headers for m in re.finditer(
            r'^typedef [^;{}]*\(\*(yoi_\w+)\)\([^;{}]*\);', without_comments(h.read_text()), re.M)}

    def functions(self):
        return {m.group(1): one_line(m.group(0)) for h in self.headers for m in re.finditer(
            r'^YOI_API [^;{}#]*?\b(yoi_\w+)\([^;{}#]*\);', without_comments(h.read_text()), re.M)}

    def scalars(self):
        """What a name like yoi_status stands for, which no struct's row shows."""
        return [one_line(m.group(0)) for h in self.headers for m in re.finditer(
            r'^typedef (?!struct)[^;{}()]+ \**yoi_\w+;', without_comments(h.read_text()), re.M)]

    # ---- layout ------------------------------------------------------------
    def numbers(self):
        """Constants and table rows that callers compile in: name to value."""
        out = {}
        for h in self.headers:
            if h.name == 'limits.h':
                continue  # limits may be lowered or raised; they are no layout
            text = without_comments(h.read_text())
            for m in re.finditer(r'^#define (YOI_\w+)[ \t]+([^\s\\][^\n\\]*)$', text, re.M):
                out[m.group(1)] = m.group(2).strip()
        ops = without_comments((self.abi / 'yoi/ops.h').read_text())
        for table, prefix in (('YOI_OPS', 'YOI_OP_'), ('YOI_CODES', 'YOI_CODE_'),
                              ('YOI_EVENTS', 'YOI_EVENT_')):
            body = re.search(r'#define %s\(X\)((?:\\\n|[^\n])*)' % table, ops)
            for row in re.findall(r'X\(((?:"[^"]*"|[^()"])*)\)', body.group(1) if body else ''):
                cells = [c.strip() for c in re.sub(r'[\\\s]+', ' ', row).split(',')]
                out[prefix + cells[0]] = ', '.join(cells[1:])
        out.pop('YOI_ABI_MINOR', None)
        return out

    def witness(self, tmp):
        """(the witness with debug information, why there is none)."""
        lib = f'{tmp}/witness.so'
        done = run(['gcc', '-g', '-std=c11', '-shared', '-fPIC', '-Iabi', '-o', lib,
                    'tests/abi/witness.c'], cwd=self.root)
        return lib, done.stdout.decode(errors='replace') if done.returncode else None

    def version(self):
        base = (self.abi / 'yoi/base.h').read_text()
        return '.'.join(re.search(rf'YOI_ABI_{p} (\d+)u', base).group(1)
                        for p in ('MAJOR', 'MINOR'))

    def layouts(self):
        """Version to its file, the oldest first."""
        files = {p.stem.partition('-')[2]: p
                 for p in (self.root / 'tests/abi').glob('layout-*.txt')}
        return dict(sorted(files.items(), key=lambda f: [int(n) for n in f[0].split('.')]))

    def today(self):
        """The layout as text, from the witness' debug information."""
        with tempfile.TemporaryDirectory() as tmp:
            lib, why = self.witness(tmp)
            if why:
                return None, why
            shown = run(['pahole', lib]).stdout.decode()
        out = ['# The layout of the plugin ABI: offset, size, type, name of each member.',
               '# tests/abi/check.py --write makes this file; it is read, not edited.']
        structs = {}
        for m in re.finditer(r'^struct (yoi_\w+) \{\n(.*?)^\};', shown, re.M | re.S):
            size = re.search(r'/\* size: (\d+)', m.group(2)).group(1)
            rows = re.findall(r'^\t(.+?);\s*/\*\s+(\d+)\s+(\d+) \*/$', m.group(2), re.M)
            if len(rows) != int(re.search(r'members: (\d+)', m.group(2)).group(1)):
                return None, f'struct {m.group(1)} has a member that is not one line of pahole: ' \
                    'a struct or union inside it, or a bit field'
            structs[m.group(1)] = [f'struct {m.group(1)} {size}'] + [
                f'  {at:>3} {n:>2} {one_line(member)}' for member, at, n in rows]
        for name in sorted(structs):
            out += ['', *structs[name]]
        out += ['', '# types', *sorted(self.scalars()), '',
                '# callbacks and functions', *sorted(self.callbacks().values()),
                *sorted(self.functions().values()), '', '# numbers',
                *(f'{k} = {v}' for k, v in sorted(self.numbers().items()))]
        return '\n'.join(out) + '\n', None

    @staticmethod
    def parse(layout):
        """(struct name to its lines, all other lines)."""
        structs, rest, now = {}, [], None
        for line in layout.splitlines():
            if line.startswith('struct '):
                now = structs.setdefault(line.split()[1], [line.split()[2]])
            elif line.startswith('  ') and now is not None:
                now.append(line.strip())
            else:
                now = None
                if line and not line.startswith('#'):
                    rest.append(line)
        return structs, rest

    def check_layout(self, write):
        named = (self.root / 'tests/abi/witness.c').read_text()
        every = self.structs() + list(self.callbacks())
        self.gate('witness', [f"'{t}' is not in witness.c" for t in every
                              if f'WITNESS({t})' not in named], f'{len(every)} types')
        if not shutil.which('pahole'):
            self.gate('layout', None, 'no pahole (package dwarves)')
            return
        now, why = self.today()
        if now is None:
            self.gate('layout', ['it cannot be told: ' + why.strip()], '')
            return
        version = self.version()
        current = self.root / f'tests/abi/layout-{version}.txt'
        if write:
            current.write_text(now)
        findings = []
        old = current.read_text() if current.exists() else ''
        before, after = old.splitlines(), now.splitlines()
        findings += [f'{current.name}: gone: {x.strip()}' for x in before if x not in after]
        findings += [f'{current.name}: new: {x.strip()}' for x in after if x not in before]
        if not findings and old != now:
            findings.append(f'{current.name}: the order differs')
        if findings:
            findings.append('what is released stays; for a version that is not: check.py --write')
        structs, rest = self.parse(now)
        for path in self.layouts().values():
            if path != current:
                findings += [f'{path.name}: {x}' for x in self.breaks(path.read_text(), structs,
                                                                     rest)]
        self.gate('layout', findings, f'version {version}, {len(structs)} structs')

    def breaks(self, old, structs, rest):
        """How today's layout fails what was promised by an older one."""
        was, lines = self.parse(old)
        for name, rows in was.items():
            have = structs.get(name, ['gone'])
            if have[1:len(rows)] != rows[1:]:
                yield f"struct {name} does not begin with its old members"
            elif name in FROZEN and have != rows:
                yield f'struct {name} is frozen'
        for line in lines:
            if line not in rest:
                yield f'gone: {line}'

    # ---- what came when ----------------------------------------------------
    def section(self, version, path, before):
        """HISTORY's lines of one minor: its layout's hash, and what is new in it."""
        structs, rest = self.parse(path.read_text())
        was, lines = self.parse(before.read_text()) if before else ({}, [])
        out = [f'{version} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}']
        if not before:
            return [*out, f'  the first: {len(structs)} structs, {len(rest)} other lines']
        for name, rows in structs.items():
            if name not in was:
                out.append(f'  struct {name}, {rows[0]} bytes')
            out += [f'  {name} gained: {re.sub(" +", " ", row).split(" ", 2)[2]}'
                    for row in rows[len(was.get(name, rows)):]]
        return out + [f'  {x}' for x in rest if x not in lines]

    def check_history(self, write):
        path, layouts = self.root / 'tests/abi/HISTORY', self.layouts()
        versions = list(layouts)
        want = {v: self.section(v, layouts[v], layouts[versions[i - 1]] if i else None)
                for i, v in enumerate(versions)}
        text = path.read_text() if path.exists() else ''
        have = {part.split(' ', 1)[0]: part.rstrip('\n').split('\n')
                for part in re.split(r'^(?=\d)', text, flags=re.M)[1:]}
        now = self.version()
        if write and now in want:
            have[now] = want[now]
            path.write_text('\n\n'.join([HISTORY, *('\n'.join(have[v]) for v in have)]) + '\n')
        findings = [f'{v} has no section' for v in want if v not in have]
        findings += [f'{v} has a section and no layout' for v in have if v not in want]
        for v in want:
            if v in have and have[v] != want[v]:
                gone = [x.strip() for x in have[v] if x not in want[v]]
                new = [x.strip() for x in want[v] if x not in have[v]]
                findings += [f'{layouts[v].name} is not what was written down'
                             ] if have[v][0] != want[v][0] else []
                findings += [f'{v}: gone: {x}' for x in gone if 'sha256:' not in x]
                findings += [f'{v}: new: {x}' for x in new if 'sha256:' not in x]
        if list(have) != versions and not findings:
            findings.append('the order differs')
        self.gate('history', findings, f'{len(want)} versions, {versions[0]} to {versions[-1]}')

    # ---- headers of before -------------------------------------------------
    def thawed(self, version, layout):
        """How frozen headers differ from the layout of their version."""
        old = Check(self.root, self.build, self.root / 'tests/abi/headers' / version)
        if not (old.abi / 'yoi.h').exists():
            yield f'{version} has no headers in tests/abi/headers'
            return
        structs, rest = self.parse(layout.read_text())
        have = {f'{k} = {v}' for k, v in old.numbers().items()}
        have |= {*old.functions().values(), *old.callbacks().values()}
        have |= set(old.scalars()) & set(rest)  # 1.0 wrote none down
        yield from (f'{version}: gone: {x}' for x in sorted(set(rest) - have))
        yield from (f'{version}: new: {x}' for x in sorted(have - set(rest)))
        yield from (f'{version}: new: struct {x}'
                    for x in sorted(set(old.structs()) - set(structs)))
        text = ''.join(f'#include <{h.relative_to(old.abi)}>\n' for h in old.headers)
        for name, (size, *rows) in structs.items():
            text += f'_Static_assert(sizeof(struct {name}) == {size}, "size of {name}");\n'
            for at, _, decl in (r.split(None, 2) for r in rows):
                member = re.search(r'\(\*(\w+)\)|(\w+)(?:\[\d+\])*$', decl)
                member = member.group(1) or member.group(2)
                text += (f'_Static_assert(offsetof(struct {name}, {member}) == {at}, '
                         f'"{name}.{member}");\n')
        done = run(['gcc', '-std=c11', f'-I{old.abi}', '-x', 'c', '-fsyntax-only', '-'],
                   input=text.encode())
        found = re.findall(r'error: (?:static assertion failed: )?(.*)',
                           done.stdout.decode(errors='replace'))
        yield from (f'{version}: {x}' for x in found)

    def check_frozen(self):
        before = {v: p for v, p in self.layouts().items() if v != self.version()}
        findings = [f for v, p in before.items() for f in self.thawed(v, p)]
        self.gate('frozen', findings, f'headers of {len(before)} versions')

    def check_snapshot(self, write):
        if not (shutil.which('abidw') and shutil.which('abidiff')):
            self.gate('snapshot', None, 'no abidw (package abigail-tools)')
            return
        path = self.root / 'tests/abi/witness.abi'
        with tempfile.TemporaryDirectory() as tmp:
            lib, why = self.witness(tmp)
            if why:
                self.gate('snapshot', ['the witness does not compile: ' + why.strip()], '')
                return
            if platform.machine() != 'x86_64':
                self.gate('snapshot', None, 'it was taken on x86_64')
                return
            if write:
                run(['abidw', '--no-comp-dir-path', '--no-corpus-path', '--no-show-locs',
                     '--out-file', str(path), lib])
            if not path.exists():
                self.gate('snapshot', ['there is no tests/abi/witness.abi'], '')
                return
            done = run(['abidiff', '--no-default-suppression', '--harmless', str(path), lib])
        said = [x.strip() for x in done.stdout.decode(errors='replace').splitlines() if x.strip()]
        self.gate('snapshot', said if done.returncode else [], path.name)

    # ---- what was built ----------------------------------------------------
    def built(self):
        return [p for d in ('runtimes', 'plugins', 'tests/plugins')
                for p in sorted((self.build / d).glob('*.so'))]

    def exports(self, path):
        out = run(['nm', '-D', '--defined-only', str(path)]).stdout.decode()
        return {line.split()[-1].split('@')[0] for line in out.splitlines() if line.strip()}

    def check_symbols(self):
        if not shutil.which('nm'):
            self.gate('symbols', None, 'no nm (package binutils)')
            return
        findings, plugins = [], self.built()
        for path in plugins:
            names = self.exports(path)
            strange = 'tests' in path.relative_to(self.build).parts
            for name in sorted(names - {ENTRY}):
                if not (strange and name.startswith('yoi_plugin_entry_')):
                    findings.append(f"{path.name} exports '{name}'")
            if ENTRY not in names and not strange:
                findings.append(f'{path.name} does not export {ENTRY}')
        library, program = self.build / 'libyoi.so', self.build / 'yoi-host'
        static = self.build / 'yoi-host-static'
        if library.exists():
            names, declared = self.exports(library), set(self.functions()) - {ENTRY}
            findings += [f"libyoi.so exports '{n}'" for n in sorted(names - declared)]
            findings += [f"libyoi.so lacks '{n}'" for n in sorted(declared - names)]
        for path in (program, static):
            if path.exists():
                findings += [f"{path.name} exports '{n}'" for n in sorted(self.exports(path))
                             if n.startswith('yoi_')]
        absent = [p.name for p in (library, program) if not p.exists()]
        if absent:
            findings.append(f"not built: {' '.join(absent)}")
        self.gate('symbols', findings, f'{len(plugins)} plugins')

    def check_libraries(self):
        if not shutil.which('readelf'):
            self.gate('libraries', None, 'no readelf (package binutils)')
            return
        findings, seen = [], 0
        static = self.build / 'yoi-host-static'  # it may load what its plugins need
        for path in [self.build / 'libyoi.so', self.build / 'yoi-host', static, *self.built()]:
            if not path.exists():
                continue
            seen += 1
            dynamic = run(['readelf', '-dW', str(path)]).stdout.decode()
            for tag in re.findall(r'\((RPATH|RUNPATH|TEXTREL)\)', dynamic):
                findings.append(f'{path.name} has {tag}')
            if path == static or path.suffix == '.so' and path.name != 'libyoi.so':
                continue
            allowed = OURS
            if any(s in path.read_bytes() for s in (b'__asan_init', b'__tsan_init',
                                                    b'__ubsan_handle')):
                allowed += '|' + SANITIZER
            for name in re.findall(r'\(NEEDED\).*\[(.*?)\]', dynamic):
                if not re.fullmatch(allowed, name):
                    findings.append(f'{path.name} needs {name}; libc, libcjson and libcrypto only')
        self.gate('libraries', findings, f'{seen} objects')

    def manifest(self, path):
        """The bytes of the manifest section, as readelf locates them."""
        out = run(['readelf', '-SW', str(path)]).stdout.decode()
        m = re.search(r'\.yoi\.manifest\s+PROGBITS\s+[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+) \S+ +(\w+)',
                      out)
        if not m or 'A' not in m.group(3):
            return None
        at, size = int(m.group(1), 16), int(m.group(2), 16)
        return path.read_bytes()[at:at + size]

    def check_manifests(self):
        if not (shutil.which('readelf') and shutil.which('strip')):
            self.gate('manifests', None, 'no readelf or strip (package binutils)')
            return
        findings, plugins = [], self.built()
        with tempfile.TemporaryDirectory() as tmp:
            for path in plugins:
                folder = self.root / path.relative_to(self.build).with_suffix('')
                source = folder / f'{path.stem}.yoi.json'
                want = source.read_bytes() if source.exists() else None
                got = self.manifest(path)
                if got is None:
                    findings.append(f'{path.name} has no section .yoi.manifest that is loaded')
                    continue
                if want is not None and got != want:
                    findings.append(f'{path.name}: the section is not {source.name}')
                if 'tests' not in path.relative_to(self.build).parts:
                    try:
                        json.loads(got)
                    except ValueError as e:
                        findings.append(f'{path.name}: the manifest is not JSON: {e}')
                bare = pathlib.Path(tmp) / path.name
                run(['strip', '-o', str(bare), str(path)])
                if not bare.exists() or self.manifest(bare) != got:
                    findings.append(f'{path.name}: strip takes the manifest away')
        self.gate('manifests', findings, f'{len(plugins)} plugins')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--root', default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument('--build', default='build')
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--only', default=','.join(GATES), metavar='GATE,...')
    options = parser.parse_args()
    root = pathlib.Path(options.root).resolve()
    check = Check(root, (root / options.build).resolve())
    for name in options.only.split(','):
        if name not in GATES:
            parser.error(f"no gate '{name}'; there are {', '.join(GATES)}")
        gate = getattr(check, f'check_{name}')
        gate(options.write) if name in ('layout', 'history', 'snapshot') else gate()
    if check.skipped:
        print(f'abi: {check.skipped} GATES WERE SKIPPED')
    return 1 if check.bad else 0


if __name__ == '__main__':
    sys.exit(main())
