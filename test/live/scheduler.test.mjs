// The scheduler, live: loads are single-flight and nobody's to abort, waits are fair and refusals true; items 2, 17, 18 and
// 38 of ollama-api.md section 6.
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { Wire, ask, fleet, go, goJson, ndjson, pause, simnode, until } from './lib.mjs';

const quick = { slots: 1, prefill: 0, decode: 0 };
const generate = (f, body, more) => ask(`${f.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'x', stream: false, options: { num_predict: 1 }, ...body }, ...more });
const loadedOn = async (f) => (await Promise.all(f.nodes.map(async (n) => (await ask(`${n.url}/api/ps`)).json.models.map((m) => m.name))));

describe('scheduler', { concurrency: true }, () => {
    test('a cold model asked for by 50 at once: one load, nobody fails, and one who leaves aborts nothing for the others', async (t) => {
        const f = await fleet(6, { ...quick, cold: true, models: ['llama3.2=500MiB'], 'load-rate': '100MiB/s', latency: '20ms' });
        t.after(() => f.stop());
        const leavers = await Promise.all(Array.from({ length: 3 }, () => Wire.open(f.port)));
        leavers[0].request('POST /api/generate', go(f.port), { model: 'llama3.2', prompt: 'first of all', stream: false });
        await until('it waits', async () => (await ask(`${f.url}/api/queue`)).json.models.length > 0);
        const asked = Array.from({ length: 50 }, (_, i) => generate(f, { prompt: `question ${i}` }));
        for (const wire of leavers.slice(1)) wire.request('POST /api/generate', go(f.port), { model: 'llama3.2', prompt: 'leaves too', stream: false });
        const queue = await until('50 in the queue', async () => {
            const { models } = (await ask(`${f.url}/api/queue`)).json;
            return models[0]?.waiting.length >= 52 && models[0];
        });
        assert.equal(queue.model, 'llama3.2');
        assert.deepEqual(queue.waiting.map((w) => w.position), queue.waiting.map((_, i) => i + 1));
        for (const wire of leavers) wire.close(); // the first of them is whose request began the load
        const answers = await Promise.all(asked);
        assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
        assert.equal(await f.total('loads'), 1, 'exactly one load');
        assert.deepEqual((await ask(`${f.url}/api/queue`)).json, { models: [] });
    });

    test('6.2 ollama run on a cold fleet, as the Go client asks: show, an empty generate, chat; the chat lands where it was loaded', async (t) => {
        const f = await fleet(3, { ...quick, cold: true, models: ['llama3.2=64MiB'], 'load-rate': '1GiB/s' });
        t.after(() => f.stop());
        const wire = await Wire.open(f.port);
        const send = async (path, body) => {
            wire.request(`POST ${path}`, goJson(f.port, 'application/x-ndjson'), body);
            return wire.response();
        };
        assert.equal((await send('/api/show', { model: 'llama3.2' })).status, 200);
        assert.equal((await send('/api/generate', { model: 'llama3.2', prompt: '', options: {} })).status, 200);
        const [at] = (await loadedOn(f)).map((names, i) => [names.length, `n${i + 1}`]).filter(([n]) => n).map(([, name]) => name);
        const chat = await send('/api/chat', { model: 'llama3.2', messages: [{ role: 'user', content: 'hi' }], options: {} });
        assert.equal(chat.status, 200);
        assert.equal(chat.get('X-OllamaMax-Node'), at);
        assert.equal(await f.total('loads'), 1);
        wire.close();
    });

    test('6.17 keep_alive 0 with an empty prompt unloads everywhere, says so, and loads nothing', async (t) => {
        const f = await fleet(3, { ...quick, models: ['llama3.2=64MiB', 'qwen3:4b=64MiB'], 'load-rate': 0 });
        t.after(() => f.stop());
        const ollama = new Ollama({ host: f.url });
        const before = await f.total('loads');
        const answer = await ollama.generate({ model: 'llama3.2', prompt: '', keep_alive: 0, stream: false });
        assert.deepEqual([answer.done, answer.done_reason, answer.response], [true, 'unload', '']);
        for (const names of await loadedOn(f)) assert.deepEqual(names, ['qwen3:4b'], 'that one, and no other');
        assert.ok(!(await ask(`${f.url}/api/ps`)).json.models.some((m) => m.name === 'llama3.2:latest'));
        const chat = await ask(`${f.url}/api/chat`, { body: { model: 'qwen3:4b', messages: [], keep_alive: '0s', stream: false } });
        assert.deepEqual([chat.status, chat.json.done_reason, chat.json.message.content], [200, 'unload', '']);
        assert.deepEqual(await loadedOn(f), [[], [], []]);
        const again = await ask(`${f.url}/api/generate`, { body: { model: 'llama3.2', keep_alive: 0 } });
        assert.equal(again.status, 200, 'what is nowhere loaded is unloaded already');
        assert.equal(await f.total('loads'), before, 'nothing was loaded for it');
        assert.equal((await ask(`${f.url}/api/generate`, { body: { model: 'nope', keep_alive: 0 } })).status, 404);
    });

    test('6.18 an empty prompt loads, once, and answers done_reason load with nothing in it', async (t) => {
        const f = await fleet(3, { ...quick, cold: true, models: ['llama3.2=64MiB'], 'load-rate': '1GiB/s' });
        t.after(() => f.stop());
        const ollama = new Ollama({ host: f.url });
        const answer = await ollama.generate({ model: 'llama3.2', prompt: '', stream: false });
        assert.deepEqual([answer.done, answer.done_reason, answer.response], [true, 'load', '']);
        const chat = await ask(`${f.url}/api/chat`, { body: { model: 'llama3.2', messages: [], stream: false } });
        assert.deepEqual([chat.status, chat.json.done_reason, chat.json.message.content], [200, 'load', '']);
        assert.equal(await f.total('loads'), 1);
    });

    test('6.38 a full queue: 503 in each dialect, Ollama\'s own words, Retry-After', async (t) => {
        const f = await fleet(1, { slots: 1, prefill: 0, decode: 2 }, { flags: ['--queue-max', '1'] });
        t.after(() => f.stop());
        const slow = () => ask(`${f.url}/api/generate`, { body: { model: 'llama3.2', prompt: String(Math.random()), options: { num_predict: 60 } } }).catch(() => {});
        const served = [slow()];
        await until('it is served', async () => (await f.nodes[0].stats()).active > 0);
        served.push(slow());
        await until('one waits', async () => (await ask(`${f.url}/api/queue`)).json.models[0]?.waiting.length === 1);
        const messages = [{ role: 'user', content: 'x' }];
        const native = await ask(`${f.url}/api/chat`, { body: { model: 'llama3.2', messages } });
        assert.equal(native.status, 503);
        assert.match(native.json.error, /server busy, please try again\.  maximum pending requests exceeded/);
        assert.ok(Number(native.headers['retry-after']) >= 1);
        const openai = new OpenAI({ baseURL: `${f.url}/v1`, apiKey: 'x', maxRetries: 0 });
        await assert.rejects(openai.chat.completions.create({ model: 'llama3.2', messages }), (error) => {
            assert.equal(error.status, 503);
            assert.match(error.message, /busy/);
            assert.ok(Number(error.headers.get('retry-after')) >= 1);
            return true;
        });
        const anthropic = new Anthropic({ baseURL: f.url, apiKey: 'x', maxRetries: 0 });
        await assert.rejects(anthropic.messages.create({ model: 'llama3.2', max_tokens: 5, messages }), (error) => {
            assert.equal(error.status, 503);
            assert.equal(error.error.error.type, 'overloaded_error');
            return true;
        });
        assert.equal((await ask(`${f.url}/api/queue`)).json.models[0].waiting.length, 1, 'who waited still waits');
    });

    test('8 nodes at 80 %: one killed, one stopped, one that answers 500, each back before the next: whoever had no byte is served, and no stream ends falsely', async (t) => {
        const kind = { slots: 4, prefill: 0, decode: 100, 'load-rate': 0 };
        const f = await fleet(8, kind);
        const nodes = [...f.nodes];
        t.after(async () => {
            await f.gate.stop();
            await Promise.all(nodes.map((n) => n.stop()));
        });
        const agent = new http.Agent({ keepAlive: true, maxSockets: 2_000 });
        t.after(() => agent.destroy());
        const send = (i) => ask(`${f.url}/api/chat`, { agent, body: { model: 'llama3.2', messages: [{ role: 'user', content: `question ${i}` }], stream: i % 2 === 0, options: { num_predict: 40 } } });
        const replies = [], perSecond = 0.8 * 8 * 4 * 100 / 40, began = performance.now();
        const timer = setInterval(() => {
            for (const due = perSecond * (performance.now() - began) / 1000; replies.length < due;) replies.push(send(replies.length).catch((error) => error));
        }, 5);
        t.after(() => clearInterval(timer));
        let open = 0;
        const failures = [(n) => n.child.kill('SIGKILL'), (n) => n.child.kill('SIGSTOP'), (n) => n.faults({ status: 500, count: 1_000_000 })];
        for (const [i, fails] of failures.entries()) {
            await pause(1_000);
            await fails(nodes[i]);
            for (let k = 0; k < 20; k++) {
                await pause(100);
                open = Math.max(open, await f.gate.metric('ollamamax_breaker_state'));
            }
            await nodes[i].kill('SIGKILL');
            nodes[i] = await simnode({ ...kind, listen: new URL(nodes[i].url).host });
            await nodes[i].warm();
            await until('it is up again', async () => (await f.gate.node(`n${i + 1}`)).state === 'up');
        }
        clearInterval(timer);
        const seen = { whole: 0, cut: 0 };
        for (const [i, reply] of (await Promise.all(replies)).entries()) {
            assert.ok(!(reply instanceof Error), `request ${i}: ${reply}`);
            assert.equal(reply.status, 200, `request ${i}: ${reply.text}`);
            const records = i % 2 === 0 ? ndjson(reply.text) : [reply.json];
            const whole = records.at(-1).done === true;
            if (!whole) {
                assert.ok(i % 2 === 0 && records.length > 1 && records[0].message, `request ${i} had not received a byte: ${reply.text}`);
                assert.match(records.at(-1).error, /broke off|went down/);
            } else {
                assert.equal(records.at(-1).eval_count, 40, 'an end that is true');
            }
            seen[whole ? 'whole' : 'cut']++;
        }
        const attempts = 1 + (await f.gate.metric('ollamamax_retries_total')) / replies.length;
        t.diagnostic(`${seen.whole} whole, ${seen.cut} ended in an error record, ${attempts.toFixed(3)} attempts each, breakers at most ${open}`);
        assert.ok(attempts <= 1.2, `${attempts} attempts per request`);
        assert.ok(seen.cut <= 12, `${seen.cut} streams were on nodes that died`);
    });

    test('explain names the node that the request then gets, each time', async (t) => {
        const f = await fleet(4, { ...quick, slots: 2, 'load-rate': 0 });
        t.after(() => f.stop());
        for (let i = 0; i < 20; i++) {
            const body = { model: 'llama3.2', prompt: `question ${i} `.repeat(i * 20), stream: false, options: { num_predict: 2 } };
            const said = (await ask(`${f.url}/api/explain`, { body: { path: '/api/generate', ...body } })).json;
            assert.equal(said.policy, 'eta');
            assert.equal(said.candidates.length, 4);
            const answer = await ask(`${f.url}/api/generate`, { body });
            assert.equal(answer.headers['x-ollamamax-node'], said.node, JSON.stringify(said));
        }
    });
});
