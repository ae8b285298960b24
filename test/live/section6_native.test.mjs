// ollama-api.md section 6, items about Ollama's own routes: 1, 3-11, 19, 20, 28, 29.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { Wire, ask, fleet, gateway, go, ndjson, python, simnode } from './lib.mjs';

const said = Object.freeze({ model: 'llama3.2', messages: [{ role: 'user', content: 'hello' }], options: { num_predict: 6, temperature: 0 } });

test('6.1 HEAD / and GET /, as the Go client sends them (replayed): 200 and the exact body, though a node is down', async (t) => {
    const up = await simnode();
    const gate = await gateway([up, 'http://127.0.0.1:1'], { up: 1 });
    t.after(async () => { await gate.stop(); await up.stop(); });
    const wire = await Wire.open(gate.port);
    wire.request('HEAD /', go(gate.port, ['Accept: application/json', 'Content-Type: application/json']));
    const head = await wire.response({ toHead: true });
    assert.equal(head.status, 200);
    assert.equal(head.get('Content-Length'), '17');
    wire.request('GET /', go(gate.port, ['Accept-Encoding: gzip']));
    const whole = await wire.response();
    assert.deepEqual([whole.status, whole.get('Content-Type'), whole.text], [200, 'text/plain; charset=utf-8', 'Ollama is running']);
    wire.close();
});

describe('section 6, native', { concurrency: true }, () => {
    let f, url;
    const post = (path, body, more) => ask(url + path, { method: 'POST', body, ...more });

    before(async () => {
        const models = ['llama3.2=64MiB', 'nomic-embed-text=16MiB', 'hf.co/Bartowski/Phi-3-GGUF:Q4_K_M=16MiB', 'registry.local:5000/team/tiny=16MiB', 'Team/Own:8b=16MiB'];
        f = await fleet(3, { models, slots: 8, 'load-rate': '1GiB/s', prefill: 0, decode: 200 });
        url = f.url;
    });
    after(() => f?.stop());

    test('6.3 chat without stream streams NDJSON to curl (replayed); ollama-js sends stream:false and gets one object', async () => {
        const wire = await Wire.open(f.port);
        wire.request('POST /api/chat', [`Host: 127.0.0.1:${f.port}`, 'User-Agent: curl/7.88.1', 'Accept: */*', 'Content-Type: application/x-www-form-urlencoded'], said);
        const streamed = await wire.response();
        wire.close();
        assert.equal(streamed.get('Content-Type'), 'application/x-ndjson');
        assert.ok(ndjson(streamed.text).length > 6);
        const whole = await new Ollama({ host: url }).chat({ ...said }); // it writes into what it is given
        assert.equal(ndjson(streamed.text).map((r) => r.message.content).join(''), whole.message.content);
        const plain = await post('/api/chat', { ...said, stream: false });
        assert.equal(plain.type, 'application/json; charset=utf-8');
        assert.equal(plain.json.done, true);
    });

    test('6.4 each line is one JSON value; nothing for ollama-python (its requests replayed) to crash on', async () => {
        const wire = await Wire.open(f.port);
        wire.request('POST /api/chat', python(f.port), { ...said, tools: [], stream: true });
        const { text, status } = await wire.response();
        wire.close();
        assert.equal(status, 200);
        assert.ok(text.endsWith('\n'));
        for (const line of text.slice(0, -1).split('\n')) assert.equal(typeof JSON.parse(line).message.content, 'string'); // an empty line throws
    });

    test('6.5 records come one by one, as application/x-ndjson, never compressed', async () => {
        const wire = await Wire.open(f.port);
        wire.request('POST /api/generate', [...python(f.port)], { model: 'llama3.2', prompt: 'slowly', options: { num_predict: 100 } });
        const head = await wire.head();
        const first = await wire.chunk();
        assert.equal(await f.total('active') > 0, true, 'the node still generates when the first record is here');
        assert.equal(head.get('Content-Type'), 'application/x-ndjson');
        assert.equal(head.get('Content-Encoding'), '');
        assert.equal(JSON.parse(first.toString().split('\n')[0]).done, false);
        let chunks = 1;
        while (await wire.chunk()) chunks++;
        assert.ok(chunks > 50, `${chunks} chunks for 101 records`);
        wire.close();
    });

    test('6.6 exactly one final record, with reason, four durations in whole nanoseconds, two counts', async () => {
        for (const path of ['/api/chat', '/api/generate']) {
            const { records } = await post(path, { ...said, prompt: 'hello' });
            const last = records.at(-1);
            assert.deepEqual(records.map((r) => r.done), [...records.slice(1).map(() => false), true]);
            assert.equal(last.done_reason, 'length');
            assert.equal(last.eval_count, 6);
            assert.ok(last.prompt_eval_count > 0);
            for (const name of ['total_duration', 'load_duration', 'prompt_eval_duration', 'eval_duration'])
                assert.ok(last[name] === undefined || (Number.isInteger(last[name]) && last[name] > 0), `${name} is ${last[name]}`);
            assert.ok(last.total_duration >= last.eval_duration && last.eval_duration >= 5e6, 'six tokens at 200/s');
        }
    });

    test('6.7 the model is echoed as the client spells it, in every record, also after another node took over', async (t) => {
        const pair = await fleet(2, { models: ['llama3.2=1MiB'], prefill: 0, decode: 0 });
        t.after(() => pair.stop());
        const spelled = { ...said, model: 'library/LLaMA3.2:latest' };
        await pair.nodes[0].faults({ busy: true, count: 100 });
        const question = (i) => ({ ...spelled, messages: [{ role: 'user', content: `hello ${i}` }] }); // the same would be asked once
        const replies = await Promise.all(Array.from({ length: 6 }, (_, i) => ask(`${pair.url}/api/chat`, { body: question(i) })));
        assert.ok(replies.some((r) => Number(r.headers['x-ollamamax-attempts']) > 1), 'another node took over');
        for (const reply of replies) assert.deepEqual([...new Set(reply.records.map((r) => r.model))], ['library/LLaMA3.2:latest']);
        const v1 = await ask(`${pair.url}/v1/chat/completions`, { body: { ...spelled, stream: true } });
        assert.deepEqual([...new Set(v1.events.filter((e) => e.data.model).map((e) => e.data.model))], ['library/LLaMA3.2:latest']);
    });

    test('6.8 an unknown model: 404 and the exact text of each route; ollama-js and ollama-python (replayed) see the status', async () => {
        const expected = [
            ['POST', '/api/chat', { ...said, model: 'Nowhere' }, "model 'Nowhere' not found"],
            ['POST', '/api/generate', { model: 'Nowhere', prompt: 'x' }, "model 'Nowhere' not found"],
            ['POST', '/api/embed', { model: 'Nowhere', input: 'x' }, 'model "Nowhere" not found, try pulling it first'],
            ['POST', '/api/embeddings', { model: 'Nowhere', prompt: 'x' }, 'model "Nowhere" not found, try pulling it first'],
            ['POST', '/api/show', { model: 'nowhere' }, "model 'nowhere:latest' not found"],
            ['POST', '/api/copy', { source: 'Nowhere', destination: 'y' }, 'model "Nowhere" not found'],
            ['DELETE', '/api/delete', { model: 'Nowhere' }, "model 'Nowhere' not found"],
        ];
        for (const [method, path, body, error] of expected) {
            const reply = await post(path, body, { method });
            assert.deepEqual([path, reply.status, reply.json], [path, 404, { error }]);
        }
        await assert.rejects(new Ollama({ host: url }).embed({ model: 'Nowhere', input: 'x' }), { status_code: 404, message: 'model "Nowhere" not found, try pulling it first' });
        const wire = await Wire.open(f.port);
        wire.request('POST /api/chat', python(f.port), { model: 'Nowhere', messages: [], tools: [], stream: false });
        assert.equal((await wire.response()).status, 404);
        wire.close();
    });

    test('6.9 an empty model name: chat 400, generate 404, show 400', async () => {
        const seen = [];
        for (const path of ['/api/chat', '/api/generate', '/api/show']) {
            const reply = await post(path, { model: '' });
            assert.equal(typeof reply.json.error, 'string');
            seen.push(reply.status);
        }
        assert.deepEqual(seen, [400, 404, 400]);
    });

    test('6.10 empty bodies, cut JSON and wrong types: 400 in the shape of the dialect', async () => {
        for (const path of ['/api/chat', '/api/generate', '/api/embed', '/api/show', '/api/pull'])
            for (const body of ['', '{"model":"llama3.2",', '{"model":5}', '[]']) {
                const reply = await post(path, body);
                assert.deepEqual([path, body, reply.status, typeof reply.json.error], [path, body, 400, 'string']);
            }
        assert.equal((await post('/api/chat', '')).json.error, 'missing request body');
        for (const path of ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'])
            for (const body of ['', '{"model":', '{"model":5}']) {
                const reply = await post(path, body);
                assert.deepEqual([path, body, reply.status, reply.json.error.type], [path, body, 400, 'invalid_request_error']);
            }
        assert.equal((await post('/v1/chat/completions', '')).json.error.message, 'EOF');
        const messages = await post('/v1/messages', '{"model"');
        assert.deepEqual([messages.status, messages.json.type, messages.json.error.type], [400, 'error', 'invalid_request_error']);
    });

    test('6.11 no Content-Type, or that of a form, is accepted', async () => {
        const body = JSON.stringify({ ...said, stream: false });
        for (const headers of [{}, { 'Content-Type': 'application/x-www-form-urlencoded' }, { 'Content-Type': 'text/plain' }]) {
            const reply = await post('/api/chat', body, { headers });
            assert.equal(reply.status, 200, reply.text);
        }
    });

    test('6.19 keep_alive forms: numbers, durations, negatives, zero and null are good, a bare "300" is 400', async () => {
        for (const keep_alive of [300, '5m', -1, '-1m', '1h30m', 2.5, null, 0, '0']) {
            const reply = await post('/api/generate', { model: 'llama3.2', prompt: 'x', stream: false, options: { num_predict: 1 }, keep_alive });
            assert.equal(reply.status, 200, `${JSON.stringify(keep_alive)}: ${reply.text}`);
        }
        const bad = await post('/api/generate', { model: 'llama3.2', prompt: 'x', stream: false, keep_alive: '300' });
        assert.equal(bad.status, 400, bad.text);
        assert.equal(typeof bad.json.error, 'string');
    });

    test('6.20 every spelling of a name finds its model, and a bad name is 400', async () => {
        const spellings = [
            'llama3.2', 'LLAMA3.2', 'llama3.2:latest', 'llama3.2:LATEST', 'library/llama3.2', 'registry.ollama.ai/library/llama3.2:latest', ' llama3.2 ',
            'hf.co/bartowski/phi-3-gguf:q4_k_m', 'registry.local:5000/team/tiny', 'registry.local:5000/TEAM/tiny:latest', 'team/own:8B',
        ];
        for (const model of spellings) {
            const reply = await post('/api/generate', { model, prompt: 'x', stream: false, options: { num_predict: 1 } });
            assert.deepEqual([model, reply.status], [model, 200], reply.text);
            assert.equal(reply.json.model, model);
        }
        for (const model of ['a b', '-x', 'x:y:z/w', 'm@sha256:abc', 'a//b']) {
            const reply = await post('/api/generate', { model, prompt: 'x' });
            assert.deepEqual([model, reply.status, reply.json], [model, 400, { error: 'invalid model name' }]);
        }
    });

    test('6.28 the version is a version, the same at each request', async () => {
        const seen = new Set();
        for (let i = 0; i < 20; i++) seen.add((await ask(`${url}/api/version`)).json.version);
        assert.equal(seen.size, 1);
        assert.match([...seen][0], /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/);
    });

    test('6.29 embed: order and count kept, empty input, dimensions, length one; the old route is not normalised', async () => {
        const norm = (v) => Math.hypot(...v);
        const embed = async (body) => (await post('/api/embed', { model: 'nomic-embed-text', ...body })).json.embeddings;
        const three = await embed({ input: ['a', 'b', 'c'] });
        for (const [i, input] of ['a', 'b', 'c'].entries()) assert.deepEqual(await embed({ input }), [three[i]]);
        for (const input of ['', []]) assert.equal((await embed({ input })).length, 0, JSON.stringify(input));
        const short = await embed({ input: 'a', dimensions: 64 });
        assert.equal(short[0].length, 64);
        for (const v of [...three, ...short]) assert.ok(Math.abs(norm(v) - 1) < 1e-3, `length ${norm(v)}`);
        const old = (await post('/api/embeddings', { model: 'nomic-embed-text', prompt: 'a' })).json.embedding;
        assert.ok(Math.abs(norm(old) - 1) > 0.01, `length ${norm(old)}`);
        assert.deepEqual((await post('/api/embeddings', { model: 'nomic-embed-text', prompt: '' })).json, { embedding: [] });
    });
});
