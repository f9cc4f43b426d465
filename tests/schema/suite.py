#!/usr/bin/env python3
"""The official tests of JSON Schema 2020-12, against sdk/schema.

suite.py --build DIR

Each file has groups, each a schema and values with the verdict. left_out.json
names the groups that do not pass, by file and by description ("*": any of the
file), with the reason: those whose schema is refused, and those that are
checked with another verdict. A group that is named and passes is a finding
too, so the list can only say what is so. Exit 0: all is as listed; 1: it is not; 77:
the tests are not there.
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / 'build/schema-suite/draft2020-12'
LEFT_OUT = ROOT / 'tests/schema/left_out.json'


def groups():
    """(file, group) of all."""
    for path in sorted(VECTORS.rglob('*.json')):
        for group in json.loads(path.read_text(encoding='utf-8')):
            yield str(path.relative_to(VECTORS)), group


def ask(program, found):
    lines = ''.join(json.dumps({'schema': g['schema'], 'data': [t['data'] for t in g['tests']]},
                               ensure_ascii=False) + '\n' for _, g in found)
    done = subprocess.run([str(program)], input=lines.encode(), stdout=subprocess.PIPE,
                          timeout=100, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def what_is_wrong(group, answer):
    """(kind, details) of why the group does not pass, or (None, '')."""
    if 'valid' not in answer:
        return 'refused', answer.get('why', answer.get('unread', '?'))
    wrong = [t['description'] for t, valid in zip(group['tests'], answer['valid'])
             if t['valid'] != valid]
    return ('other_verdict', '; '.join(wrong)) if wrong else (None, '')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default='build')
    options = parser.parse_args()
    if not VECTORS.is_dir():
        print('  schema suite: SKIPPED, its tests are not there; `make packages-test` brings them',
              flush=True)
        return 77
    left_out = json.loads(LEFT_OUT.read_text(encoding='utf-8'))
    found = list(groups())
    answers = ask(ROOT / options.build / 'tests/schema/validate', found)
    assert len(answers) == len(found)
    problems, unused = [], {
        (kind, f, d) for kind, files in left_out.items() for f, rows in files.items() for d in rows}
    total = passed = out = 0
    for (name, group), answer in zip(found, answers):
        about = group['description']
        kind, details = what_is_wrong(group, answer)
        total += len(group['tests'])
        if not kind:
            passed += len(group['tests'])
            continue
        out += len(group['tests'])
        rows = left_out[kind].get(name, {})
        key = about if about in rows else '*'
        unused.discard((kind, name, key))
        if key not in rows:
            problems.append(f'{name}: {about}: {kind}: {details}')
    problems += [f'{f}: {d}: is left out as {k}, and is not' for k, f, d in sorted(unused)]
    for p in problems:
        print(f'  schema suite: {p}')
    print(f'  schema suite: {passed} of {total} tests ({100 * passed / total:.0f} %) passed, '
          f'{out} are left out in {LEFT_OUT.name}', flush=True)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
