// The response cache, with the client libraries: what repeats is answered without a node and reads the same, what chance
// has a part in is not.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { ask, fleet, gateway, ndjson, pause, until } from './lib.mjs';

const options = { temperature: 0, num_predict: 8 };

// All that a repeated answer must have in common with the first.
const timeless = (value) => JSON.parse(JSON.stringify(value), (key, v) => (['created_at', 'created', 'id'].includes(key) ? undefined : v));

async function all(stream) {
    const parts = [];
    for await (const part of stream) parts.push(part);
    return parts;
}

describe('cache', () => {
    let f, ollama, openai;
    const post = (path, body, headers = {}) => ask(f.url + path, { method: 'POST', body, headers });
    const requests = async () => {
        const stats = await Promise.all(f.nodes.map((n) => n.stats()));
        return stats.flatMap((s) => Object.values(s.models)).reduce((sum, model) => sum + model.requests, 0);
    };
    const status = (answer) => answer.headers['cache-status'];
    const chat = (content, more = {}) => ({ model: 'llama3.2', messages: [{ role: 'user', content }], options, ...more });

    // Runs it and says how many requests the nodes had for it.
    async function asked(run) {
        const before = await requests();
        const value = await run();
        return [await requests() - before, value];
    }

    before(async () => {
        f = await fleet(2, { models: ['llama3.2=64MiB', 'nomic-embed-text=16MiB'], slots: 4, 'load-rate': '4GiB/s', prefill: 0, decode: 200 },
            { flags: ['--cache-ttl', '2s', '--cache-stale', '2s'] });
        ollama = new Ollama({ host: f.url });
        openai = new OpenAI({ baseURL: `${f.url}/v1`, apiKey: 'any', maxRetries: 0 });
    });
    after(() => f?.stop());

    for (const stream of [true, false])
        test(`the second ${stream ? 'stream' : 'answer in one piece'} is the first, but for the time`, async () => {
            const body = chat(`twice ${stream}`, { stream });
            const [once, first] = await asked(() => post('/api/chat', body));
            const [never, second] = await asked(() => post('/api/chat', body));
            assert.deepEqual([once, never], [1, 0]);
            assert.equal(status(first), 'OllamaMax; fwd=miss');
            assert.match(status(second), /^OllamaMax; hit; ttl=[01]$/);
            assert.equal(second.headers.age, '0');
            const records = (answer) => (stream ? ndjson(answer.text) : [answer.json]);
            assert.deepEqual(timeless(records(second)), timeless(records(first)));
            assert.ok(records(second)[0].created_at > records(first)[0].created_at);
            assert.equal(second.headers['x-ollamamax-attempts'], undefined);
            assert.equal((stream ? ndjson(second.text).at(-1) : second.json).done, true);
        });

    test('other spellings of the same are the same', async () => {
        await post('/api/chat', chat('spelling', { stream: false }));
        const text = '{"options":{"num_predict":8,"temperature":0.0}, "keep_alive":"5m",\n"Model":"LLAMA3.2:latest","stream":false,'
            + '"messages":[{"content":"spell\\u0069ng","role":"user"}]}';
        const [never, answer] = await asked(() => post('/api/chat', text, { 'Content-Type': 'application/json' }));
        assert.equal(never, 0);
        assert.match(status(answer), /hit/);
        assert.equal(answer.json.model, 'LLAMA3.2:latest');
    });

    test('ollama-js: chat, generate, embed', async () => {
        const runs = [
            () => ollama.chat(chat('js')),
            async () => all(await ollama.chat(chat('js stream', { stream: true }))),
            () => ollama.generate({ model: 'llama3.2', prompt: 'js', options }),
            async () => all(await ollama.generate({ model: 'llama3.2', prompt: 'js stream', options, stream: true })),
            () => ollama.embed({ model: 'nomic-embed-text', input: ['one', 'two'] }),
        ];
        for (const run of runs) {
            const [once, first] = await asked(run);
            const [never, second] = await asked(run);
            assert.deepEqual([once, never], [1, 0]);
            assert.deepEqual(timeless(second), timeless(first));
        }
    });

    test('openai: chat and embeddings', async () => {
        const body = { model: 'llama3.2', messages: [{ role: 'user', content: 'oa' }], temperature: 0, max_tokens: 8 };
        const other = (content) => ({ ...body, messages: [{ role: 'user', content }], stream: true });
        const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');
        const runs = [
            async () => (await openai.chat.completions.create(body)).choices[0].message.content,
            async () => text(await all(await openai.chat.completions.create(other('a stream')))),
            async () => (await all(await openai.chat.completions.create({ ...other('with usage'), stream_options: { include_usage: true } }))).at(-1).usage.completion_tokens,
            async () => (await openai.embeddings.create({ model: 'nomic-embed-text', input: 'oa' })).data[0].embedding,
        ];
        for (const run of runs) {
            const [once, first] = await asked(run);
            const [never, second] = await asked(run);
            assert.deepEqual([once, never], [1, 0]);
            assert.deepEqual(second, first);
        }
    });

    test('one answer serves streams, whole answers and both dialects', async () => {
        const asks = (content) => {
            const native = { model: 'llama3.2', messages: [{ role: 'user', content }], options: { ...options, top_p: 1 } };
            const v1 = { model: 'llama3.2', messages: native.messages, temperature: 0, top_p: 1, max_tokens: 8 };
            const said = async (stream) => (await all(stream)).map((part) => part.message?.content ?? part.choices[0]?.delta?.content ?? '').join('');
            return [
                async () => said(await ollama.chat({ ...native, stream: true })),
                async () => (await ollama.chat(native)).message.content,
                async () => said(await openai.chat.completions.create({ ...v1, stream: true })),
                async () => (await openai.chat.completions.create(v1)).choices[0].message.content,
            ];
        };
        for (let led = 0; led < 4; led++) {
            const runs = asks(`led by ${led}`);
            const [once, words] = await asked(runs[led]);
            assert.equal(once, 1);
            const [never, others] = await asked(() => Promise.all(runs.map((run) => run())));
            assert.equal(never, 0);
            assert.deepEqual(others, [words, words, words, words]);
        }
        const embed = (await ollama.embed({ model: 'nomic-embed-text', input: 'shared' })).embeddings[0];
        const [never, found] = await asked(() => openai.embeddings.create({ model: 'nomic-embed-text', input: 'shared', encoding_format: 'float' }));
        assert.equal(never, 0);
        assert.deepEqual(found.data[0].embedding, embed);
    });

    test('counts are there for who asks for them, whoever asked first', async () => {
        const body = { model: 'llama3.2', messages: [{ role: 'user', content: 'counts' }], temperature: 0, max_tokens: 8, stream: true };
        const without = await all(await openai.chat.completions.create(body));
        assert.ok(without.every((chunk) => !chunk.usage));
        const [never, counted] = await asked(async () => all(await openai.chat.completions.create({ ...body, stream_options: { include_usage: true } })));
        assert.equal(never, 0);
        assert.equal(counted.at(-1).usage.completion_tokens, 8);
        assert.equal(counted.length, without.length + 1);
    });

    test('many at once are one request, whether their client stays or not', async () => {
        const leaver = new AbortController();
        const question = chat('crowd', { options: { temperature: 0, num_predict: 300 } });
        const { joined } = (await ask(`${f.url}/api/cache`)).json;
        const [once, answers] = await asked(async () => {
            const first = fetch(`${f.url}/api/chat`, { method: 'POST', body: JSON.stringify(question), signal: leaver.signal }).then((r) => r.text());
            await until('the node works', async () => (await f.total('active')) > 0);
            const rest = Promise.all(Array.from({ length: 40 }, () => post('/api/chat', question)));
            await until('somebody follows', async () => (await ask(`${f.url}/api/cache`)).json.joined > joined);
            leaver.abort();
            await assert.rejects(first);
            return rest;
        });
        assert.equal(once, 1);
        for (const answer of answers) {
            assert.deepEqual(timeless(ndjson(answer.text)), timeless(ndjson(answers[0].text)));
            assert.equal(ndjson(answer.text).at(-1).done, true);
        }
    });

    test('chance is never kept, and said to be why', async () => {
        const cases = [
            ['/api/chat', { ...chat('chance'), options: {} }, 'temperature'],
            ['/v1/chat/completions', { model: 'llama3.2', messages: [{ role: 'user', content: 'x' }], max_tokens: 4 }, 'temperature'],
            ['/api/chat', chat('chance', { options: { num_predict: 4, seed: -1 } }), 'no-seed'],
        ];
        for (const [path, body, why] of cases) {
            const [twice] = await asked(async () => {
                for (let i = 0; i < 2; i++)
                    assert.equal(status(await post(path, body)), `OllamaMax; fwd=bypass; detail=${why}`);
            });
            assert.equal(twice, 2);
        }
    });

    test('Cache-Control of the request', async () => {
        const body = chat('control', { stream: false });
        assert.equal((await post('/api/chat', body, { 'Cache-Control': 'only-if-cached' })).status, 504);
        assert.equal(status(await post('/api/chat', body, { 'Cache-Control': 'no-store' })), 'OllamaMax; fwd=bypass; detail=no-store');
        assert.equal(status(await post('/api/chat', body)), 'OllamaMax; fwd=miss');
        assert.match(status(await post('/api/chat', body, { 'Cache-Control': 'only-if-cached' })), /hit/);
        assert.equal(status(await post('/api/chat', body, { 'Cache-Control': 'no-cache' })), 'OllamaMax; fwd=request');
    });

    test('an old answer is given once more while a new one is fetched', async () => {
        const body = chat('old', { stream: false });
        const first = await post('/api/chat', body);
        await pause(2100);
        const [, old] = await asked(() => post('/api/chat', body));
        assert.match(status(old), /^OllamaMax; hit; ttl=-1$/);
        assert.deepEqual(timeless(old.json), timeless(first.json));
        await until('it was fetched anew', async () => /ttl=[01]$/.test(status(await post('/api/chat', body))));
    });

    test('tenants do not share, and DELETE forgets', async () => {
        const body = chat('tenants', { stream: false });
        const as = (tenant) => post('/api/chat', body, tenant ? { 'X-OllamaMax-Tenant': tenant } : {});
        assert.equal(status(await as('a')), 'OllamaMax; fwd=miss');
        assert.equal(status(await as('b')), 'OllamaMax; fwd=miss');
        assert.equal(status(await as()), 'OllamaMax; fwd=miss');
        assert.match(status(await as('a')), /hit/);
        const shown = (await ask(`${f.url}/api/cache`)).json;
        assert.ok(shown.entries >= 3 && shown.hits > 0 && shown.bytes < shown.size);
        assert.equal((await ask(`${f.url}/api/cache?tag=model:nobody`, { method: 'DELETE' })).json.forgotten, 0);
        assert.equal((await ask(`${f.url}/api/cache?tag=x`, { method: 'DELETE' })).status, 400);
        assert.equal((await ask(`${f.url}/api/cache?tags=model:llama3.2`, { method: 'DELETE' })).status, 400);
        assert.ok((await ask(`${f.url}/api/cache?tag=model:llama3.2`, { method: 'DELETE' })).json.forgotten >= 3);
        assert.equal(status(await as('a')), 'OllamaMax; fwd=miss');
    });

    test('a route that was opted in keeps what chance has a part in, and turns with tools, for its own time', async () => {
        const gate = await gateway(f.nodes, { flags: ['--cache-route', '/api/chat,keep=all,tools=on,ttl=1h', '--cache-route', '/api/generate,keep=none'] });
        const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
        const twice = async (path, body) => {
            await ask(gate.url + path, { body });
            return status(await ask(gate.url + path, { body }));
        };
        const ttl = (said) => Number(/^OllamaMax; hit; ttl=(\d+)$/.exec(said)?.[1]);
        assert.ok(ttl(await twice('/api/chat', chat('chance', { options: { num_predict: 4 }, stream: false }))) > 3000);
        assert.ok(ttl(await twice('/api/chat', chat('tools', { tools, stream: false }))) > 3000);
        assert.match(await twice('/api/generate', { model: 'llama3.2', prompt: 'never', options, stream: false }), /fwd=bypass; detail=route/);
        assert.match(await twice('/v1/chat/completions', { model: 'llama3.2', messages: [{ role: 'user', content: 'chance' }] }), /detail=temperature/);
        await gate.stop();
    });

    test('metrics tell hits from misses', async () => {
        const count = (result) => f.gate.metric('ollamamax_cache_requests_total', `result="${result}"`);
        for (const result of ['hit', 'joined', 'miss', 'bypass', 'stale']) assert.ok(await count(result) > 0, result);
    });
});

// A thousand ask the same of two workers, a quarter of them in one piece.
describe('a crowd', () => {
    const CROWD = 1000;
    let f;
    const stream = (content, n = 40) => ({ model: 'llama3.2', messages: [{ role: 'user', content }], options: { temperature: 0, num_predict: n } });
    const post = (body, signal) => fetch(`${f.url}/api/chat`, { method: 'POST', body: JSON.stringify(body), signal });
    const asked = async (node) => Object.values((await node.stats()).models).reduce((sum, model) => sum + model.requests, 0);
    const requests = async () => (await Promise.all(f.nodes.map(asked))).reduce((sum, n) => sum + n, 0);
    const words = (text) => ndjson(text).map((record) => record.message?.content ?? '').join('');

    beforeEach(async () => {
        f = await fleet(2, { slots: 4, 'load-rate': '8GiB/s', prefill: 0, decode: 30 }, { flags: ['--workers', '2', '--retry-max', '2'] });
    });
    afterEach(() => f?.stop());

    // The first asks for a stream and leads; the rest come while it runs. -> [{status, text, piece}]
    async function crowd(content, n, { first, whole = (i) => i % 4 === 3 } = {}) {
        const answers = [first ?? post(stream(content, n)).then(async (r) => ({ status: r.status, text: await r.text() }))];
        answers.node = await f.busy();
        for (let i = 1; i < CROWD; i++)
            answers.push(post({ ...stream(content, n), stream: !whole(i) })
                .then(async (r) => ({ status: r.status, text: await r.text(), piece: whole(i), age: r.headers.get('age') })));
        return answers;
    }

    async function followed() {
        await until('all of them follow', async () => (await ask(`${f.url}/api/cache`)).json.joined >= CROWD - 1, 60_000);
    }

    function assertWhole(answers) {
        const all = words(answers.find((answer) => !answer.piece && answer.status === 200).text);
        assert.equal(all.startsWith('[simulated]'), true);
        for (const { status, text, piece } of answers) {
            assert.equal(status, 200);
            assert.equal(piece ? JSON.parse(text).message.content : words(text), all);
            assert.equal(piece ? JSON.parse(text).done : ndjson(text).at(-1).done, true);
        }
    }

    test('one request to a node, every client whole', async () => {
        const before = await requests();
        assertWhole(await Promise.all(await crowd('crowd')));
        assert.equal(await requests() - before, 1);
    });

    test('the leader leaves at half: nobody notices', async () => {
        const before = await requests();
        const leaver = new AbortController();
        const leader = post(stream('leaver', 300), leaver.signal).then(async (r) => {
            for await (const part of r.body) assert.ok(part.length);
        });
        leader.catch(() => {});
        const answers = await crowd('leaver', 300, { first: leader });
        await until('half of them follow', async () => (await ask(`${f.url}/api/cache`)).json.joined >= CROWD / 2, 60_000);
        leaver.abort();
        await assert.rejects(leader);
        assertWhole(await Promise.all(answers.slice(1)));
        assert.equal(await requests() - before, 1);
    });

    test('the node dies at half: who has a byte is told the truth, nothing is kept', async () => {
        const answers = await crowd('death', 600);
        await followed();
        await answers.node.kill();
        for (const { status, text, piece } of await Promise.all(answers)) {
            if (piece) {
                assert.equal(status, 502);
                assert.match(JSON.parse(text).error, /broke off/);
            } else {
                assert.equal(status, 200);
                assert.match(ndjson(text).at(-1).error, /broke off/);
            }
        }
        assert.equal((await ask(`${f.url}/api/cache`)).json.entries, 0);
    });

    test('the node dies before anybody has a byte: started over once, for all', async () => {
        const before = await requests();
        const first = post({ ...stream('again', 200), stream: false }).then(async (r) => ({ status: r.status, text: await r.text(), piece: true }));
        const answers = await crowd('again', 200, { first, whole: () => true });
        const dying = answers.node;
        await followed();
        const first_time = await asked(dying);
        await dying.kill();
        const all = await Promise.all(answers);
        for (const { status, text } of all) {
            assert.equal(status, 200);
            assert.equal(JSON.parse(text).message.content, JSON.parse(all[0].text).message.content);
        }
        const left = f.nodes.find((node) => node !== dying);
        assert.equal(await asked(left) + first_time - before, 2);
    });
});
