"""The mistakes that systems of this kind make, one rule and one test each.

RULES has every numbered rule, in words, with the tests that fail without it:
`file::test` of this folder, `file.c::function` of tests/unit, or `later: FEATURE` while
that feature does not exist. The first two tests keep the table honest. Rules
that no other file covers have their test below.
"""
import ast
import concurrent.futures
import json
import pathlib

import pytest

from lib import configs, wait
from lib.tables import LIMIT
from lib.watch import View, watch
from lib.worker import Worker, fresh

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

RULES = {
    1: ('terminal is terminal', 'turns::stop_is_terminal_and_a_late_verb_gets_the_stored_answer',
        'turns::two_verbs_at_once_end_the_turn_once',
        'chaos::whatever_happens_at_once_every_history_obeys_the_rules'),
    2: ('every transition has its event',
        'process::a_drain_cancels_what_does_not_end_and_tells_the_watchers',
        'pitfalls::every_transition_has_its_event'),
    3: ('liveness is never persisted',
        'crash::nothing_that_was_acknowledged_is_lost_when_it_is_killed'),
    4: ('busy and stopped have their own codes',
        'turns::a_second_input_while_one_runs_is_worker_busy',
        'input::input_to_a_stopped_worker_is_worker_stopped'),
    5: ('create leaves nothing or a worker',
        'workers::a_replayed_create_is_answered_before_any_other_check',
        'runtime_surface::a_create_of_another_shape_is_refused',
        'test_engine_workers.c::a_failed_create_leaves_nothing'),
    6: ('replay is checked before conflicts',
        'workers::a_replayed_create_is_answered_before_any_other_check',
        'idempotency::a_replay_is_answered_while_the_turn_runs_and_after_a_stop'),
    7: ('browsers send user input only', 'api_surface::a_person_cannot_speak_as_the_system'),
    8: ('acknowledge after the append', 'pitfalls::what_is_acknowledged_is_in_the_history',
        'power::what_was_acknowledged_survives_a_power_cut',
        'test_engine_input.c::an_ack_comes_after_the_append'),
    9: ('assistant text is never made up',
        'pitfalls::no_assistant_text_is_made_up_when_the_model_fails'),
    10: ('what enforces nothing is refused',
         'runtime_surface::what_cannot_be_enforced_is_refused_not_stored'),
    11: ('every operation has a terminal result', 'errors::an_answer_that_is_none_is_internal',
         'errors::a_code_is_reached_with_its_status_and_body'),
    12: ('one producer per visible item', 'pitfalls::an_accepted_item_is_seen_once'),
    13: ('resources outlive workers', 'tool_fs::files_outlive_the_worker_that_made_them'),
    14: ('a record is written in one piece',
         'fault::each_call_may_fail_and_nothing_acknowledged_is_lost',
         'damage::a_log_that_ends_in_its_last_records_costs_those_alone'),
    15: ('a bad record hurts its worker only',
         'damage::a_flipped_bit_hurts_one_worker_at_most'),
    16: ('memory changes after the write',
         'pitfalls::a_refused_input_leaves_nothing_visible',
         'test_engine_input.c::a_failed_input_changes_nothing',
         'test_engine_turn.c::each_append_of_a_turn_may_fail'),
    17: ('counters come from the journal', 'damage::an_older_index_is_not_believed',
         'damage::files_that_are_lost_foreign_or_of_another_kind'),
    18: ('an input costs an input',
         'store_rules::an_input_costs_the_same_behind_a_long_history_and_beside_many_workers',
         'long_history::a_long_history_costs_what_a_short_one_does'),
    19: ('configuration comes from the process',
         'store_rules::what_the_process_says_holds_for_workers_of_before'),
    20: ('one process per store', 'damage::two_hosts_do_not_share_a_store',
         'damage::two_runtimes_of_one_host_do_not_share_a_store'),
    21: ('everything that grows has a cap',
         'input::a_history_over_its_limit_refuses_input_but_can_be_read',
         'pitfalls::memory_stays_flat_over_many_turns',
         'lives::a_store_keeps_its_promises_over_many_lives'),
    22: ('paths stay in the log', 'canary::no_planted_word_is_in_any_answer_event_metric_or_log'),
    23: ('symlinks do not lead out of a root',
         'damage::a_root_that_is_a_link_or_a_file_is_refused',
         'damage::what_is_no_store_is_refused_and_named',
         'damage::files_that_are_lost_foreign_or_of_another_kind'),
    24: ('what was resolved is stored',
         'store_rules::a_worker_keeps_what_was_resolved_when_it_was_created',
         'runtime_surface::the_resolved_spec_holds_no_path_address_or_secret'),
    25: ('a noisy worker evicts nobody', 'pitfalls::a_noisy_worker_expires_nobodys_cursor'),
    26: ('no false expiry and no silent loss',
         'pitfalls::a_noisy_worker_expires_nobodys_cursor',
         'events::a_cursor_inside_a_message_that_has_finished_gets_it_whole'),
    27: ('a cursor knows epoch and worker', 'events::a_cursor_of_another_worker_is_refused',
         'events::a_cursor_from_before_a_restart_has_expired',
         'workers::a_deleted_id_may_be_used_again_and_is_another_worker'),
    28: ('a stale upstream cursor heals itself',
         'remote_faults::a_cursor_of_before_does_not_stop_who_watches',
         'remote_faults::another_runtime_at_the_same_address_is_noticed'),
    29: ('one upstream per worker', 'remote_faults::one_stream_of_the_remote_for_all_who_watch'),
    30: ('snapshot and subscription are one',
         'events::watchers_that_join_at_any_time_have_the_whole_text'),
    31: ('text is cut at characters', 'models::text_cut_inside_a_character_is_put_together',
         'pitfalls::every_delta_is_whole_characters'),
    32: ('the end of a turn clears its text',
         'turns::a_failed_model_ends_the_turn_as_failed_and_the_worker_lives'),
    33: ('each upstream failure has its code',
         'models::a_misbehaving_provider_ends_the_turn_with_the_right_type'),
    34: ('parse strictly', 'events::a_cursor_is_parsed_strictly',
         'runtime_surface::a_query_is_parsed_strictly'),
    35: ('a watcher never blocks its producer', 'events::a_reader_that_never_reads_delays_nobody'),
    36: ('the pair is the authority',
         'api_surface::the_same_worker_id_in_two_runtimes_is_two_workers',
         'api_surface::an_unknown_runtime_and_an_unknown_worker_are_different'),
    37: ('two runtimes under one id are refused',
         'host_ops::two_runtimes_under_one_id_are_refused'),
    38: ('a missing thing keeps its name',
         'errors::what_a_runtime_answers_keeps_its_code_on_both_surfaces',
         'remote_faults::a_page_of_404_is_no_worker_that_is_not_there'),
    39: ('foreign texts are not passed on',
         'models::a_misbehaving_provider_ends_the_turn_with_the_right_type',
         'canary_remote::a_remote_that_means_ill_puts_no_word_into_anything'),
    40: ('a base URL is checked to be a runtime',
         'remote_faults::what_is_no_answer_is_said_to_be_none',
         'remote_faults::only_the_expected_instance_is_used'),
    41: ('lists ask all at once',
         'host_ops::a_dead_runtime_starves_nobody_in_the_list_of_all_workers',
         'remote_faults::one_slow_remote_delays_only_itself'),
    42: ('nothing blocks a loop', 'host_ops::a_dead_runtime_delays_no_other'),
    43: ('capabilities follow the state', 'workers::capabilities_follow_the_state'),
    44: ('a refused operation is never 200', 'errors::a_code_is_reached_with_its_status_and_body'),
    45: ('compatibility is checked', 'federation::a_runtime_of_another_version_is_not_used'),
    46: ('lists are bounded', 'pitfalls::a_list_without_a_limit_is_bounded'),
    47: ('a fingerprint is injective', 'pitfalls::two_different_requests_never_look_alike'),
    48: ('what is validated is what is stored', 'pitfalls::white_space_around_an_id_is_refused'),
    49: ('positive grammars', 'workers::an_id_of_other_letters_is_invalid_identifier'),
    50: ('duplicates are refused', 'runtime_surface::what_is_no_json_is_refused',
         'host_ops::two_runtimes_under_one_id_are_refused'),
    51: ('a bundle is immutable', 'bundles::other_bytes_under_its_name_are_refused',
         'test_engine_bundles.c::names_and_bytes_are_checked'),
    52: ('no fallback for an unknown selector',
         'runtime_surface::what_cannot_be_enforced_is_refused_not_stored'),
    53: ('a secret prints as nothing', 'canary::the_search_would_find_them'),
    54: ('tokens are wanted and never shown',
         'auth::a_runtime_surface_without_a_token_refuses_to_start',
         'process::the_token_is_not_on_the_command_line_nor_in_the_log'),
    55: ('a failure can be diagnosed',
         'pitfalls::a_failure_stands_in_the_log_under_its_request_id'),
    56: ('what a client echoes is no authority',
         'tool_attack::an_approval_is_for_its_worker_its_call_and_its_surface',
         'test_engine_approvals.c::what_was_forbidden_meanwhile_does_not_run'),
    57: ('one build', 'process::a_stopped_and_restarted_host_serves_again'),
    58: ('acceptance starts the binary', 'process::without_a_config_the_default_serves'),
    59: ('a feature is registered in one place',
         'routes::every_operation_has_a_test',
         'errors::every_code_is_reached_or_listed_as_to_come'),
    60: ('a test has a home of its own', 'lib::a_child_sees_nothing_of_its_caller'),
    61: ('cancel cancels', 'test_engine_input.c::no_late_chunk_is_acted_on_after_a_cancel',
         'turns::after_a_cancel_nothing_of_the_turn_is_seen_any_more',
         'models::a_tool_that_is_asked_for_after_a_cancel_is_never_started'),
    62: ('every tool call has exactly one result',
         'turns::an_undeclared_tool_gets_an_error_result_and_the_model_goes_on',
         'models::half_a_call_never_becomes_one',
         'models::what_cannot_get_better_is_not_tried_again',
         'crash::nothing_that_was_acknowledged_is_lost_when_it_is_killed'),
    63: ('no event is lost on reconnect',
         'events::the_line_cut_at_every_seventh_byte_loses_nothing',
         'events::a_stream_cut_at_50_random_points_and_resumed_is_the_uncut_one'),
    64: ('approvals are durable', 'tools::what_waits_goes_on_waiting_in_the_next_process',
         'tools::who_watches_is_told_and_so_is_who_comes_later',
         'test_engine_approvals.c::an_approval_is_for_the_plugin_as_it_was'),
    65: ('ceilings hold at execution', 'test_tool.c::it_runs_where_all_allow_and_nowhere_else',
         'test_engine_bundles.c::its_rules_restrict'),
    66: ('a local port is no open door', 'auth::a_rebound_name_is_denied_before_routing',
         'auth::a_write_from_another_origin_is_denied',
         'auth::off_loopback_nothing_listens_without_authentication'),
    67: ('memory does not grow', 'pitfalls::memory_stays_flat_over_many_turns',
         'lives::a_store_keeps_its_promises_over_many_lives'),
    68: ('no tool runs twice',
         'tool_crash::a_tool_runs_at_most_once_wherever_the_host_dies',
         'tools::a_call_that_ran_when_the_process_died_is_uncertain_and_asked_for'),
    69: ('one writer per worker', 'turns::of_many_inputs_at_once_one_is_accepted'),
    70: ('a stalled provider is a typed end',
         'models::a_misbehaving_provider_ends_the_turn_with_the_right_type'),
    71: ('no orphan processes',
         'tool_attack::nothing_runs_on_after_the_host_was_killed',
         'tool_attack::nothing_of_a_command_stays_behind'),
    72: ('a turn has ceilings', 'turns::a_model_that_never_stops_asking_meets_the_step_limit',
         'test_engine_limits.c::tokens_are_limited', 'test_engine_limits.c::wall_time_is_limited',
         'policy::a_budget_of_tokens_is_kept_before_a_model_is_called'),
    73: ('fragments of tool calls are assembled',
         'models::tool_calls_are_assembled_whatever_their_fragments'),
    74: ('secrets are in no transcript and no log',
         'canary::no_planted_word_is_in_any_answer_event_metric_or_log'),
    75: ('nothing is stuck as running',
         'restart::a_turn_that_ran_is_interrupted_and_what_waited_begins',
         'crash::nothing_that_was_acknowledged_is_lost_when_it_is_killed'),
    76: ('429 is waited for', 'models::retry_after_is_the_least_that_is_waited',
         'models::exhausted_quota_is_not_tried_again'),
    77: ('tool output is capped',
         'tools::a_long_output_is_cut_for_the_model_and_kept_whole'),
    78: ('a key belongs to its owner', 'idempotency::a_key_belongs_to_its_principal'),
    79: ('streams pass proxies', 'events::a_stream_has_the_headers_that_proxies_and_browsers_need',
         'events::a_silent_stream_has_heartbeats_also_of_a_stopped_worker'),
    80: ('config applies at turn boundaries',
         'reload::a_running_turn_keeps_the_model_it_began_with',
         'reload::the_next_turn_has_the_new_model'),
}


def names_in(name):
    tree = ast.parse((HERE / f'test_{name}.py').read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def test_every_rule_is_in_the_table():
    assert list(RULES) == list(range(1, 81))


@pytest.mark.parametrize('number', RULES)
def test_a_rule_has_tests_that_exist(number):
    rule, *places = RULES[number]
    assert rule and places
    for place in places:
        if place.startswith('later: '):
            continue
        name, test = place.split('::')
        if name.endswith('.c'):
            text = (ROOT / 'tests/unit' / name).read_text()
            assert f'void {test}(' in text and f'({test}' in text, place
            continue
        assert 'test_' + test in names_in(name), place


# ---- rules with a test of their own -------------------------------------------

def test_every_transition_has_its_event(worker):
    """What get() shows can be derived from the events alone."""
    steps = [lambda: worker.say('one'), worker.cancel, lambda: worker.input('two'), worker.stop]
    for step in steps:
        step()
    wait.until(lambda: worker.get()['state'] == 'stopped', what='the stop')
    with worker.events(worker.born) as stream:
        kinds = [e.kind for e in stream.until('worker.stopped')]
    assert kinds.count('input.accepted') == kinds.count('turn.started') == \
        kinds.count('turn.ended') == 2
    assert worker.get()['cursor'], 'and the cursor of get is that of the last one'
    with worker.events(worker.born) as stream:
        assert stream.until('worker.stopped')[-1].id == worker.get()['cursor']


def test_what_is_acknowledged_is_in_the_history(v1):
    """Acceptance is the append: whoever has the ack finds the record at once."""
    for n in range(30):
        worker = Worker.create(v1)
        ack = worker.input(f'number {n}')
        (item, *_) = worker.transcript()['items']
        assert item['sequence'] == ack['sequence'] and item['turn_id'] == ack['turn_id']


def test_no_assistant_text_is_made_up_when_the_model_fails(new_host):
    host = new_host(configs.standard(model=configs.script({'fail': 'overloaded'})))
    worker = Worker.create(host.v1)
    assert worker.say('hello')['message'] is None
    assert [i['role'] for i in worker.transcript()['items']] == ['user']
    with worker.events(worker.born) as stream:
        assert 'message.completed' not in [e.kind for e in stream.until('turn.ended')]


def test_an_accepted_item_is_seen_once(worker):
    """By events, transcript and batch: one each, with one and the same sequence."""
    ack = worker.input('just once')
    with worker.events(worker.born) as stream:
        events = stream.until('turn.ended')
    (accepted,) = [e for e in events if 'just once' in e.text and e.kind == 'input.accepted']
    assert accepted.data['sequence'] == ack['sequence']
    items = [i for i in worker.transcript()['items'] if i['role'] == 'user']
    assert [i['sequence'] for i in items] == [ack['sequence']]
    ids = [e.id for e in events if e.id]
    assert len(ids) == len(set(ids))


def test_a_refused_input_leaves_nothing_visible(new_host):
    host = new_host(configs.standard(model=configs.stalls()))
    worker = Worker.create(host.v1)
    with worker.follow('go') as stream:
        stream.until('text.delta')  # and from here on the model says nothing
        before = worker.transcript(), worker.get()['cursor']
        host.v1.refused('POST', worker.path + '/input', 409, 'worker_busy', {'content': 'no'})
        assert (worker.transcript(), worker.get()['cursor']) == before
    worker.stop()


def test_a_noisy_worker_expires_nobodys_cursor(v1):
    quiet, noisy = Worker.create(v1), Worker.create(v1)
    quiet.say('once')
    cursor = quiet.born
    for n in range(40):
        noisy.say(f'noise {n} ' + 'x' * 2000)
    view = View()
    view.cursor = cursor
    watch(quiet, view, lambda v: 'turn.ended' in v.kinds)
    assert view.kinds == ['input.accepted', 'turn.started', 'message.completed', 'turn.ended']


@pytest.mark.parametrize('chunk', [0, 7, 4095])
def test_every_delta_is_whole_characters(new_host, chunk):
    text = 'a\u00e9\u6f22\U0001f600' * 3000
    host = new_host(configs.standard(model=configs.script(
        {'chunk': chunk}, {'say': text})))
    worker = Worker.create(host.v1)
    with worker.follow('go') as stream:
        deltas = [e.data['text'] for e in stream if e.kind == 'text.delta']
    assert ''.join(deltas) == text and '\ufffd' not in ''.join(deltas)
    assert max(len(d.encode()) for d in deltas) <= LIMIT['YOI_DELTA_BYTES_MAX']


def test_a_list_without_a_limit_is_bounded(new_host):
    host = new_host(configs.standard())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: Worker.create(host.v1, wid=f'w{n:03d}'), range(120)))
    page = host.v1.ok('GET', '/v1/workers')
    assert len(page['workers']) == LIMIT['YOI_LIST_LIMIT_DEFAULT'] and page['next'] == 'w099'
    row = host.api.ok('GET', '/api/workers')['runtimes'][0]
    assert len(row['workers']) <= LIMIT['YOI_LIST_LIMIT_MAX']


@pytest.mark.parametrize('one,two', [
    ({'display_name': 'ab'}, {'display_name': 'a', 'intent': {'kind': 'role', 'role': 'b'}}),
    ({'intent': {'kind': 'role', 'role': 'ab'}},
     {'intent': {'kind': 'role', 'role': 'a', 'purpose': 'b'}}),
    ({'intent': {'kind': 'task', 'objective': 'a', 'purpose': 'b'}},
     {'intent': {'kind': 'task', 'objective': 'ab'}}),
    ({'profile': {'kind': 'runtime_default'}},
     {'profile': {'kind': 'builtin', 'value': 'companion'}}),
    ({'intent': {'kind': 'assistant', 'purpose': 'a'}},
     {'intent': {'kind': 'assistant', 'purpose': 'b'}}),
    ({'intent': {'kind': 'task', 'objective': 'a'}},
     {'intent': {'kind': 'task', 'objective': 'b'}}),
    ({'intent': {'kind': 'role', 'role': 'a'}}, {'intent': {'kind': 'role', 'role': 'b'}}),
    ({'display_name': 'a '}, {'display_name': 'a'}), ({}, {'display_name': 'x'})])
def test_two_different_requests_never_look_alike(v1, one, two):
    wid = fresh('print')
    Worker.create(v1, wid=wid, **one)
    v1.refused('POST', '/v1/workers', 409, 'worker_conflict', {'worker_id': wid, **two})


@pytest.mark.parametrize('wid', ['a\n', '\na', ' a', 'a ', 'a\t', 'a\r\n', '\u00a0a'])
def test_white_space_around_an_id_is_refused(v1, wid):
    v1.refused('POST', '/v1/workers', 400, 'invalid_identifier', {'worker_id': wid})


def test_a_failure_stands_in_the_log_under_its_request_id(new_host):
    host = new_host(configs.standard(
        runtimes=[configs.embedded('main'), configs.faulty('f', config={'canary': '/srv/detail'})],
        log={'level': 'debug'}))
    rid = fresh('request')
    error = host.api.refused('GET', '/api/runtimes/f/workers/canary', 500, 'store_error',
                             headers={'X-Request-Id': rid})
    assert error['request_id'] == rid and 'store failed as asked' in error['message']
    assert '/srv/detail' not in json.dumps(error)
    wait.until(lambda: [line for line in host.log.splitlines()
                        if rid in line and '/srv/detail' in line],
               what='the private detail under the request id')


def resident(pid):
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(status.split('VmRSS:')[1].split()[0])


@pytest.mark.skipif(wait.SLOW > 1, reason='a sanitizer keeps what was freed')
@pytest.mark.parametrize('rounds', [
    pytest.param(300, id='short'), pytest.param(6000, id='long', marks=pytest.mark.soak)])
def test_memory_stays_flat_over_many_turns(new_host, rounds):
    """Workers that come, speak, are watched and go leave nothing behind."""
    host = new_host(configs.standard(runtimes=[configs.embedded('main')], loops=1))

    def round_(n):
        worker = Worker.create(host.v1, wid=f'r{n}')
        worker.say('x' * 1000)
        with worker.events(worker.born) as stream:
            stream.until('turn.ended')
        worker.stop()
        worker.delete()

    for n in range(100):
        round_(n)
    first = resident(host.pid)
    for n in range(rounds):
        round_(n)
    assert resident(host.pid) < first + 1500 + rounds // 10, 'KiB'
