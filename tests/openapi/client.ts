/* client.ts BASE TOKEN - a client that knows yoi by docs/openapi.yaml alone.
 *
 * Its types are made from the document, so what does not compile here would
 * not compile at a user's. It walks one worker from its creation to its end on
 * the runtime surface, and prints what it saw as one line of JSON. */
import createClient from 'openapi-fetch';
import type {components, paths} from './yoi.js';

declare const process: {argv: string[]; exitCode: number};

type ErrorCode = components['schemas']['ErrorCode'];
type Event = components['schemas']['Event'];

const [base, token] = process.argv.slice(2) as [string, string];
const yoi = createClient<paths>({baseUrl: base, headers: {Authorization: `Bearer ${token}`}});

function must<T>(data: T | undefined, what: string): T {
  if (data === undefined) throw new Error(`${what} did not work`);
  return data;
}

function json<T>(data: T): Exclude<T, string> {
  if (typeof data === 'string') throw new Error('a stream');
  return data as Exclude<T, string>;
}

/* The kind of an event tells the type of its data. */
function said(events: Event[]): string {
  let text = '';
  for (const e of events)
    if (e.event === 'message.completed' && e.data.item.role === 'assistant')
      for (const part of e.data.item.content) text += part.text;
  return text;
}

async function main(): Promise<void> {
  const created = await yoi.POST('/v1/workers', {
    body: {worker_id: 'typed', intent: {kind: 'task', objective: 'be typed'}},
    params: {header: {'Idempotency-Key': 'typed-1'}},
  });
  const worker = must(created.data, 'create').worker;
  const path = {id: worker.worker_id};
  const born = worker.cursor ?? undefined;

  const input = await yoi.POST('/v1/workers/{id}/input', {
    params: {path, query: {wait: 30}},
    body: {content: [{type: 'text', text: 'hello'}]},
  });
  /* Whoever asks for JSON gets no stream; the types know both. */
  const answer = json(must(input.data, 'input'));
  const turn = 'turn' in answer ? answer.turn : undefined;
  const message = 'message' in answer ? answer.message : undefined;

  const list = await yoi.GET('/v1/workers', {params: {query: {limit: 10, state: 'idle'}}});
  const one = await yoi.GET('/v1/workers/{id}', {params: {path}});
  const batch = await yoi.GET('/v1/workers/{id}/events', {
    params: {path, query: {cursor: born, wait: 5, limit: 256}},
    headers: {Accept: 'application/json'}, /* a batch, not a stream */
  });
  const events = json(must(batch.data, 'events')).events;

  const early = await yoi.DELETE('/v1/workers/{id}', {params: {path}});
  const refused: ErrorCode | undefined = early.error?.error.code;
  const stopped = await yoi.POST('/v1/workers/{id}/stop', {params: {path}, body: {reason: 'done'}});
  const deleted = await yoi.DELETE('/v1/workers/{id}', {params: {path}});
  const gone = await yoi.GET('/v1/workers/{id}', {params: {path}});
  const missing: ErrorCode | undefined = gone.error?.error.code;

  console.log(JSON.stringify({
    created: created.response.status,
    state: turn?.state,
    message: message?.content.map((p) => p.text).join(''),
    tokens: turn?.usage?.output_tokens,
    listed: must(list.data, 'list').workers.map((w) => w.worker_id),
    model: must(one.data, 'get').worker.spec?.model,
    kinds: events.map((e) => e.event),
    said: said(events),
    refused,
    stopped: must(stopped.data, 'stop').ack.state,
    deleted: deleted.response.status,
    missing,
  }));
}

main().catch((e: unknown) => {
  console.error(e);
  process.exitCode = 1;
});
