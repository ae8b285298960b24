// What the page says, without a browser: the verdict, why a node was chosen, numbers.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { SERIES } from '../src/feed.ts';
import * as format from '../src/format.ts';
import { verdict } from '../src/verdict.ts';
import { why, whyBriefly } from '../src/why.ts';

const node = (id, state = 'up', models = ['llama3']) => ({ id, state, models: models.map((name) => ({ name, loaded: true })) });
const series = (more = {}) => ({ ...Object.fromEntries(SERIES.map((name) => [name, Array(300).fill(null)])), ...more });
const state = (more = {}) => ({
  nodes: [node('gpu1'), node('gpu2')], alerts: [], live: { t: [], series: series(more.series) },
  metrics: { now: { inflight: 1 }, queue: { waiting: 0, oldest_ms: 0, models: [] }, memory: { pressure: 'none' }, ...more.metrics },
  ...more.state,
});

test('a fleet that is well is said to be well, with figures', () => {
  const v = verdict(state({ series: { ttft_p95_ms: Array(300).fill(420) } }));
  assert.equal(v.level, 'well');
  assert.equal(v.sentence, 'All is well.');
  assert.deepEqual(v.facts, ['2 of 2 nodes up', 'nothing waits', 'first token in 420\u00a0ms']);
  assert.equal(verdict(state({ metrics: { now: { inflight: 0 } } })).sentence, 'All is well, and quiet.');
});

test('what is wrong is named, worst first', () => {
  const down = { nodes: [node('gpu1'), node('gpu2', 'down'), node('gpu3')] };
  assert.deepEqual([verdict(state({ state: down })).level, verdict(state({ state: down })).sentence], ['watch', 'gpu2 is down; 2 nodes carry the work.']);
  const lost = { nodes: [node('gpu1'), node('gpu2', 'down', ['qwen3'])] };
  assert.deepEqual([verdict(state({ state: lost })).level, verdict(state({ state: lost })).sentence], ['bad', 'qwen3 has no node left. gpu2 is down; one node carries the work.']);
  assert.equal(verdict(state({ state: { nodes: [node('a', 'down'), node('b', 'down')] } })).sentence, 'No node is up: every request is refused.');
  assert.match(verdict(state({ state: { nodes: [] } })).sentence, /^There are no nodes/);
  assert.equal(verdict({}).level, 'unknown');
});

test('waiting, slowness and errors count against the usual, not against a constant', () => {
  const queue = { waiting: 14, oldest_ms: 5000, models: [{ model: 'llama3', waiting: 14 }] };
  assert.equal(verdict(state({ metrics: { queue } })).sentence, '14 requests wait for llama3, the oldest 5\u00a0s.');
  assert.equal(verdict(state({ metrics: { queue: { ...queue, oldest_ms: 900 } } })).level, 'well');
  const slow = [...Array(280).fill(500), ...Array(20).fill(2500)];
  assert.equal(verdict(state({ series: { ttft_p95_ms: slow } })).sentence, 'First tokens take 2.5\u00a0s, usually 500\u00a0ms.');
  assert.equal(verdict(state({ series: { ttft_p95_ms: Array(300).fill(2500) } })).level, 'well');
  const errors = { requests_per_s: Array(300).fill(2), errors_per_s: Array(300).fill(0.2) };
  assert.equal(verdict(state({ series: errors })).sentence, "10 % of the last minute's requests failed.");
});

test('an alert is worth a look even if nothing else is, unless it is silenced', () => {
  const alert = { state: 'firing', silenced_until: null };
  assert.equal(verdict(state({ state: { alerts: [alert] } })).sentence, '1 alert fires.');
  assert.equal(verdict(state({ state: { alerts: [{ ...alert, silenced_until: '2026-01-01T00:00:00Z' }] } })).level, 'well');
});

const record = (more) => ({ id: 'r', node: 'gpu1', status: 200, tries: 1, cache: 'bypass', ...more });
const eta = (candidates) => ({ policy: 'eta', candidates });

test('why a node was chosen', () => {
  const better = eta([{ node: 'gpu1', eta_s: 0.4, terms: { prefill: 0.4 } }, { node: 'gpu2', eta_s: 3.1, terms: { prefill: 0.4, load: 2.7 } }]);
  assert.deepEqual(why(record({ decision: better })), ['gpu1 was expected to be the soonest: 400\u00a0ms when all reasons are weighed.', 'Next was gpu2 with 3.1\u00a0s: it would have had to load the model first.']);
  const only = eta([{ node: 'gpu1', eta_s: 0.4 }, { node: 'gpu2', eta_s: null, excluded: 'is draining' }]);
  assert.equal(why(record({ decision: only }))[1], 'No other node could take it: gpu2 is draining.');
  assert.match(why(record({ decision: eta([{ node: 'gpu1', eta_s: 0.4 }, { node: 'gpu2', eta_s: 0.5 }]) }))[1], /^gpu2 was as good/);
  const kept = (next) => why(record({ decision: { policy: 'eta', total_s: 0.4, terms: { prefill: 0.4 }, n: 2, next } }))[1];
  assert.equal(kept({ node: 'gpu2', eta_s: 3.1, terms: { slot: 2.7, prefill: 0.4 } }), 'Next was gpu2 with 3.1\u00a0s: it had no free slot.');
  assert.equal(kept({ node: 'gpu2', eta_s: 0.3, terms: { slot: 0.2, prefill: 0.1 } }), 'gpu2 had no free slot: 200\u00a0ms to wait, which was not worth it.');
  assert.equal(kept(null), 'No other node that could take it had the model loaded.');
  assert.equal(kept(undefined), undefined);
  assert.equal(why(record({ decision: { policy: 'round_robin' } }))[0], 'It was its turn (round_robin).');
  assert.equal(why(record({ node: '', cache: 'hit' }))[0], 'Answered from the cache: no node was asked.');
  assert.equal(why(record({ node: '', status: 503 }))[0], 'It never reached a node.');
  const retried = record({ tries: 2, attempts: [{ node: 'gpu3', outcome: 'connect_refused', detail: 'the node refused the connection' }, { node: 'gpu1', outcome: 'ok' }] });
  assert.match(why(retried)[0], /^gpu3 was tried first: the node refused the connection\./);
  assert.equal(whyBriefly(record({ decision: { policy: 'eta', n: 3, terms: { slot: 0, prefill: 0.62, decode: 0.09 } } })), 'of 3: read the prompt 620\u00a0ms and write 90\u00a0ms');
});

test('numbers as people read them; a missing one is a dash', () => {
  assert.deepEqual([null, 0, 7.25, 9999, 12345, 480123, 2.5e6].map(format.count), ['–', '0', '7.3', '9,999', '12.3k', '480k', '2.5M']);
  assert.deepEqual([null, 0, 0.05, 4.26, 870, 1430, 65e3, 6e6, 9e7].map((n) => format.duration(n)), ['–', '0\u00a0ms', '50\u00a0µs', '4.3\u00a0ms', '870\u00a0ms', '1.43\u00a0s', '65\u00a0s', '100\u00a0min', '25\u00a0h']);
  assert.deepEqual([0, 1023, 1536, 5 * 2 ** 30].map(format.bytes), ['0\u00a0B', '1,023\u00a0B', '1.5\u00a0KiB', '5\u00a0GiB']);
  assert.equal(format.names(['a', 'b', 'c', 'd']), 'a, b and 2 more');
});

test('the series that the page asks for are those that the gateway keeps', async () => {
  const table = await readFile(new URL('../../src/observe/series.def', import.meta.url), 'utf8');
  const kept = [...table.matchAll(/^SERIES_\w+\((\w+),/gm)].map((m) => m[1]);
  assert.deepEqual(SERIES.filter((name) => !kept.includes(name)), []);
});
