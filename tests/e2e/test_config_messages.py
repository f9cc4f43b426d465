"""What a wrong config is answered with: what, where, and what would be right.

Each case is a file as somebody writes it who is new to this, and the whole
line that `check` says. The order of the line is file:line:column: message.
"""
import json
import os
import subprocess

import pytest
from lib import wait
from lib.host import BINARY, environment

INGRESS = '"plugin":"dev.yoi.ingress-http"'


def listen(address):
    return '{"ingress":[{%s,"surface":"browser","listen":"%s"}]}' % (INGRESS, address)


def model(config):
    return '{"models":[{"name":"m","plugin":"dev.yoi.model-openai","config":%s}]}' % config


def check(path, folder, env=None, command='check', cwd=None):
    done = subprocess.run([str(BINARY), command, str(path)], cwd=cwd or folder, check=False,
                          env=environment(folder, env), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=wait.patience(30))
    return done.returncode, done.stdout.decode()


# The text, and what is said about it behind "FILE:".
CASES = {
    'another case': ('{"Runtimes":[]}', "1:2: unknown key 'Runtimes'; the nearest known one is "
                                        "'runtimes'"),
    'one for many': ('{"runtimes":{"id":"a"}}', '1:13: expected an array, found an object'),
    'a fraction': ('{"drain_ms":1.5}', '1:13: expected an integer'),
    'a comma at the end': ('{"loops":1,}', '1:12: expected a key, since a comma stands before'),
    'no comma': ('{"plugin_path":["a" "b"]}', "1:21: expected ',' or ']'"),
    'single quotes': ("{'loops':1}", '1:2: expected a key in double quotes'),
    'a bare word': ('{"log":{"level":debug}}', '1:17: expected a value; text stands in double '
                                               'quotes'),
    'True': ('{"step":True}', '1:9: expected a value; true, false and null are lower case'),
    'a tab in text': ('{"runtimes":[{"id":"a\tb"}]}', r'1:22: a tab in a string is written \t'),
    'text over lines': ('{"plugin_path":["a\n"]}', '1:19: a string ends on its line; a line feed '
                                                   r'in it is written \n'),
    'a byte order mark': (b'\xef\xbb\xbf{"loops":1}', '1:1: a byte order mark; save the file as '
                                                      'UTF-8 without one'),
    'UTF-16': ('{"loops":1}'.encode('utf-16'), '1:1: this is not UTF-8; save the file as UTF-8'),
    'UTF-16 without a mark': ('{"loops":1}'.encode('utf-16-le'), '1:2: this is not UTF-8; save '
                                                                 'the file as UTF-8'),
    'Latin-1': (b'{"drop_in":["\xe9"]}', '1:14: invalid UTF-8'),
    'blanks': (' \n', "2:1: expected '{': a config is one JSON object"),
    'a comment': ('// later\n', "2:1: expected '{': a config is one JSON object"),
    'YAML': ('loops: 1\n', "1:1: expected '{': a config is one JSON object"),
    'an array': ('[]', '1:1: expected an object, found an array'),
    'two objects': ('{}{}', '1:3: something stands behind the value'),
    'cut off': ('{"loops":1', "1:11: unexpected end of the text, '}' is missing"),
    'a comment cut off': ('{"loops":1/*', "1:11: a comment without an end, or a stray '/'"),
    'nested too deeply': ('{"a":' * 70 + '1' + '}' * 70, '1:321: nested more than 64 deep'),
    'a key twice': ('{"loops":1,\n"loops":2}', '2:1: this key is there twice'),
    'no address': (listen('38800'), '1:75: expected ADDRESS:PORT, for example 127.0.0.1:38800, '
                                           'unix:PATH or socket:NAME'),
    'no port': (listen('[::1]'), '1:75: expected a port behind the brackets, [ADDRESS]:PORT'),
    'a URL': (listen('http://127.0.0.1:38800'), '1:75: expected ADDRESS:PORT and no more'),
    'a name': (listen('example.org:80'), "1:75: expected a numeric address or 'localhost' before "
                                         'the port'),
    'all addresses': (listen('0.0.0.0:80'), "1:75: a browser surface off loopback needs 'tokens' "
                                            "in its 'config' to log in with"),
    'the secret itself': ('{"local":{"secrets":{"k":"s3cr3t"}}}',
                          '1:26: expected {"file": PATH} or {"env": VARIABLE}; the value itself '
                          'never stands here'),
    'a secret from nowhere': ('{"local":{"secrets":{"k":{}}}}', "1:26: expected exactly one of "
                                                                "'file' and 'env'"),
    'a secret that is not declared': (model('{"base_url":"http://h/v1","api_key":"secret:llm"}'),
                                      "1:101: secret 'llm' is not declared in local.secrets"),
    'a key as it is': (model('{"base_url":"http://h/v1","api_key":"sk-123456789"}'),
                       "1:101: expected 'secret:NAME', the name of a secret and never its value"),
    'no scheme': (model('{"base_url":"localhost:11434/v1"}'),
                  '1:77: expected an address that begins with http:// or https://'),
    'no host': (model('{"base_url":"https:///v1"}'),
                '1:77: expected an address that begins with http:// or https://'),
    'what an entry lacks': ('{"models":[{"name":"m","plugin":"dev.yoi.model-openai"}]}',
                            "1:12: 'config': key 'base_url' is missing"),
    'another kind': ('{"models":[{"name":"m","plugin":"dev.yoi.embedded"}]}',
                     "1:33: plugin 'dev.yoi.embedded': expected kind 'model', found 'runtime'"),
    'an id twice': ('{"runtimes":[{"id":"a","plugin":"dev.yoi.embedded"},'
                    '{"id":"a","plugin":"dev.yoi.embedded"}]}',
                    "1:59: runtime id 'a' is taken by /runtimes/0"),
}


@pytest.mark.parametrize('name', CASES)
def test_a_message_says_what_where_and_what_would_be_right(tmp_path, name):
    text, said = CASES[name]
    path = tmp_path / 'c.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out = check(path, tmp_path)
    assert (code, out) == (1, f'{path}:{said}\n')


@pytest.mark.parametrize('short,whole', [('embedded', 'dev.yoi.embedded'),
                                         ('dev.yoi.embeded', 'dev.yoi.embedded'),
                                         ('model-openai', 'dev.yoi.model-openai'),
                                         ('openai', None), ('yoi', None)])
def test_the_last_part_of_a_plugins_id_is_enough_to_be_understood(tmp_path, short, whole):
    path = tmp_path / 'c.json'
    path.write_text('{"runtimes":[{"id":"a","plugin":"%s"}]}' % short)
    code, out = check(path, tmp_path)
    assert code == 1 and f"1:33: no plugin has the id '{short}'" in out
    assert f"did you mean '{whole}'" in out if whole else 'did you mean' not in out
    assert 'searched' in out


def test_a_dollar_says_how_to_use_the_environment(tmp_path):
    path = tmp_path / 'c.json'
    path.write_text('{"log":{"level":"${LEVEL}"}}')
    assert "a value from it is a secret with 'env', used as 'secret:NAME'" in \
        check(path, tmp_path)[1]


@pytest.mark.parametrize('comments', ['{/*a*/"loops"/*b*/:/*c*/1/*d*/}//e', '//a\n{}',
                                      '/**/{/**/}/**/', '{}//', '{"loops":1//,"step":9\n}',
                                      '\t{\t"loops":\t1}\r\n'])
def test_comments_and_tabs_may_stand_wherever_a_blank_may(tmp_path, comments):
    path = tmp_path / 'c.json'
    path.write_text(comments)
    assert check(path, tmp_path) == (0, f'{path}: ok\n')


@pytest.mark.parametrize('path,why', [('/dev/null', 'it is empty'),
                                      ('.', 'it is a folder, not a file'),
                                      ('/dev/zero', 'it is larger than 1048576 bytes')])
def test_a_file_that_is_none_is_called_what_it_is(tmp_path, path, why):
    assert check(path, tmp_path) == (1, f"yoi-host: cannot read config '{path}': {why}\n")


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads everything')
def test_a_file_without_permission_is_called_that(tmp_path):
    path = tmp_path / 'c.json'
    path.write_text('{}')
    path.chmod(0)
    assert check(path, tmp_path)[1].endswith(': Permission denied\n')


def test_the_largest_config_is_read_and_one_byte_more_is_not(tmp_path):
    path = tmp_path / 'c.json'
    path.write_text('{}' + ' ' * ((1 << 20) - 2))
    assert check(path, tmp_path)[0] == 0
    path.write_text('{}' + ' ' * ((1 << 20) - 1))
    code, out = check(path, tmp_path)
    assert code == 1 and 'larger than 1048576 bytes' in out


def test_a_path_in_a_message_is_one_that_can_be_copied(tmp_path):
    (tmp_path / 'c.json').write_text('{"plugin_path":["gone"]}')
    code, out = check('c.json', tmp_path)
    assert code == 1 and f"'{tmp_path}/gone': No such file" in out


def test_a_token_without_a_value_names_its_variable(tmp_path):
    path = tmp_path / 'c.json'
    path.write_text(json.dumps({
        'runtimes': [{'id': 'a', 'plugin': 'dev.yoi.embedded'}],
        'ingress': [{'plugin': 'dev.yoi.ingress-http', 'surface': 'runtime', 'runtime': 'a',
                     'listen': '127.0.0.1:0', 'token': 'secret:door'}],
        'local': {'secrets': {'door': {'env': 'YOI_TEST_DOOR'}}}}))
    code, out = check(path, tmp_path, command='serve')
    assert code == 3
    assert "environment variable 'YOI_TEST_DOOR' is unset or empty" in out
