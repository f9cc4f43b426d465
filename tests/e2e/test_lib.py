"""The tests' own tools: a parser that is wrong would hide what it reads."""
import os
import socket
import threading

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib import logs, sse, tables, wait, wire
from lib.host import environment

STREAM = (b'\xef\xbb\xbfretry: 1000\n\n: hello\nid: a\nevent: text.delta\n'
          b'data: {"text":"\xc3\xa4"}\n\n'
          b'data: one\r\ndata:two\r\n\r\nid\ndata: x\r\rdata: lost at the end')


def events(pieces):
    parser = sse.Parser()
    out = [e for piece in pieces for e in parser.feed(piece)]
    return [(e.kind, e.text, e.id) for e in out], parser


EXPECTED = [('text.delta', '{"text":"\u00e4"}', 'a'), ('message', 'one\ntwo', None),
            ('message', 'x', '')]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_parser_gives_the_same_events_however_the_bytes_are_split(cuts):
    cuts = [0, *sorted(cuts), len(STREAM)]
    got, parser = events(STREAM[a:b] for a, b in zip(cuts, cuts[1:]))
    assert got == EXPECTED
    assert parser.retry == 1000 and parser.comments == 1 and parser.last_id == ''


def test_parser_takes_single_bytes():
    assert events(STREAM[i:i + 1] for i in range(len(STREAM)))[0] == EXPECTED


def test_log_lines_are_parsed_and_bad_words_found():
    entry = logs.parse('time=2026-01-01T00:00:00.000Z level=info msg="a \\"b\\" c" '
                       'address=127.0.0.1:80')
    assert entry['msg'] == 'a "b" c' and entry['address'] == '127.0.0.1:80'
    assert logs.findings('fine\n==1==ERROR: AddressSanitizer: heap-use-after-free\nok\n'
                         'x.c:3:4: runtime error: shift') == [
        '==1==ERROR: AddressSanitizer: heap-use-after-free', 'x.c:3:4: runtime error: shift']
    assert logs.findings('detected memory leaks') and not logs.findings('msg=ready')


def test_tables_are_read_whole():
    assert [op.number for op in tables.OPS] == list(range(1, len(tables.OPS) + 1))
    assert [c.number for c in tables.CODES] == list(range(1, len(tables.CODES) + 1))
    assert tables.CODE['timeout'].status == 504 and tables.LIMIT['YOI_ID_MAX'] == 64
    assert ('interrupted', 'host_restarted') in tables.TURN_ENDS
    assert {'text.delta'} <= tables.LIVE and {'turn.ended'} <= tables.DURABLE
    assert any(f.name == 'cursor' for f in tables.FIELDS)


def test_a_child_sees_nothing_of_its_caller(tmp_path):
    os.environ['YOI_PLANTED'] = 'x'
    env = environment(tmp_path)
    assert 'YOI_PLANTED' not in env and 'OPENAI_BASE_URL' not in env
    assert env['HOME'].startswith(str(tmp_path)) and env['TMPDIR'].startswith(str(tmp_path))


def test_waiting_ends(monkeypatch):
    monkeypatch.setattr(wait, 'HANG_S', 0)
    with pytest.raises(AssertionError, match='never'):
        wait.until(lambda: False, 0.02, 'never')


def test_wire_reads_chunks_lengths_and_interim_responses():
    a, b = socket.socketpair()
    with a, b:
        data = (b'HTTP/1.1 100 Continue\r\n\r\n'
                b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
                b'3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n'
                b'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nxy')
        threading.Thread(target=b.sendall, args=(data,)).start()
        reader = wire.Reader(a)
        first, second = wire.read_response(reader), wire.read_response(reader)
        assert (first.status, first.body, first.interim) == (200, b'abcde', [100])
        assert (second.status, second.body, second.interim) == (404, b'xy', [])
