// ollama-api.md section 6, items about models and their files: 21-27.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { Wire, ask, fleet, gateway, go, goJson, until } from './lib.mjs';
import { scripted } from './scripted.mjs';

describe('section 6, models', { concurrency: true }, () => {
    let f, url;
    const post = (path, body, more) => ask(url + path, { method: 'POST', body, ...more });
    const names = async (base) => (await ask(`${base}/api/tags`)).json.models.map((m) => m.name);
    const everywhere = async (name) => (await Promise.all([url, ...f.nodes.map((n) => n.url)].map(names))).map((list) => list.includes(name));

    before(async () => {
        f = await fleet(3, { cold: true, models: ['llama3.2=64MiB', 'qwen3:4b=64MiB'], slots: 8, 'load-rate': '4GiB/s', prefill: 0, decode: 0 });
        url = f.url;
    });
    after(() => f?.stop());

    test('6.21 `name` for `model` (ollama-js), and both with one empty (Go client, replayed): show, pull, create, push, delete', async () => {
        const ollama = new Ollama({ host: url });
        assert.equal((await post('/api/show', { name: 'llama3.2' })).status, 200);
        assert.ok((await ollama.show({ model: 'llama3.2' })).details);
        const wire = await Wire.open(f.port);
        const send = async (line, body, accept) => {
            wire.request(line, goJson(f.port, accept), body);
            return wire.response();
        };
        const shown = await send('POST /api/show', { model: 'llama3.2', system: '', template: '', verbose: false, options: null, name: '' });
        assert.equal(shown.status, 200, shown.text);
        const pulled = await send('POST /api/pull', { model: '', insecure: false, username: '', password: '', name: 'named-pull' }, 'application/x-ndjson');
        assert.match(pulled.text, /"status":"success"}\n$/);
        const made = await send('POST /api/create', { model: 'named-made', name: '', from: 'llama3.2', stream: false }, 'application/x-ndjson');
        assert.deepEqual([made.status, JSON.parse(made.text).status], [200, 'success']);
        assert.equal((await post('/api/push', { name: 'named-made', stream: false })).json.status, 'success');
        for (const name of ['named-pull', 'named-made']) {
            const deleted = await send('DELETE /api/delete', { model: '', name });
            assert.deepEqual([deleted.status, deleted.text], [200, '']);
        }
        wire.close();
    });

    test('6.22 delete with a body, as the Go client sends it (replayed): 200 and nothing, then 404, gone from all nodes', async () => {
        await post('/api/copy', { source: 'llama3.2', destination: 'to-delete' });
        assert.deepEqual(await everywhere('to-delete:latest'), [true, true, true, true]);
        const wire = await Wire.open(f.port);
        wire.request('DELETE /api/delete', goJson(f.port), { model: 'to-delete', name: '' });
        const first = await wire.response();
        assert.deepEqual([first.status, first.text], [200, '']);
        assert.deepEqual(await everywhere('to-delete:latest'), [false, false, false, false]);
        wire.request('DELETE /api/delete', goJson(f.port), { model: 'to-delete', name: '' });
        const second = await wire.response();
        assert.deepEqual([second.status, JSON.parse(second.text)], [404, { error: "model 'to-delete' not found" }]);
        wire.close();
    });

    test('6.23 copy: 200 and nothing, and the new name works through any node at once', async () => {
        const copied = await post('/api/copy', { source: 'llama3.2', destination: 'a-copy' });
        assert.deepEqual([copied.status, copied.text], [200, '']);
        for (const node of ['n1', 'n2', 'n3']) {
            const reply = await post('/api/generate', { model: 'a-copy', prompt: 'x', stream: false, options: { num_predict: 1 } }, { headers: { 'X-OllamaMax-Node': node } });
            assert.deepEqual([reply.status, reply.headers['x-ollamamax-node']], [200, node], reply.text);
        }
        const without = await post('/api/copy', { source: 'llama3.2', destination: '' });
        assert.equal(without.status, 400, without.text);
    });

    test('6.24 pull: progress per digest never falls, the last record is success; an unknown model is told by the record, or by 500', async () => {
        const { records, status } = await post('/api/pull', { model: 'fresh:1b' });
        assert.equal(status, 200);
        assert.equal(records.at(-1).status, 'success');
        assert.equal(records.filter((r) => r.status === 'success').length, 1);
        const reached = new Map();
        for (const r of records.filter((r) => r.digest)) {
            assert.ok((r.completed ?? 0) >= (reached.get(r.digest) ?? 0), `${r.digest} fell to ${r.completed}`);
            assert.ok((r.completed ?? 0) <= r.total);
            reached.set(r.digest, r.completed ?? 0);
        }
        assert.ok(reached.size > 0, 'progress in bytes');
        assert.deepEqual(await everywhere('fresh:1b'), [true, true, true, true]);
        const unknown = await post('/api/pull', { model: 'nosuch-model' });
        assert.equal(unknown.status, 200);
        assert.match(unknown.records.at(-1).error, /file does not exist/);
        assert.ok(!unknown.records.some((r) => r.status === 'success'));
        const whole = await post('/api/pull', { model: 'nosuch-model', stream: false });
        assert.equal(whole.status, 500);
        assert.match(whole.json.error, /file does not exist/);
        assert.deepEqual((await post('/api/pull', { model: 'fresh:1b', stream: false })).json, { status: 'success' });
    });

    test('6.25 blobs, as the Go client (chunked, replayed) and ollama-python (replayed) send them: 404, 201, 200, create; one that exists is answered early', async () => {
        const file = randomBytes(3_000_000);
        const digest = `sha256:${createHash('sha256').update(file).digest('hex')}`;
        const head = async () => {
            const wire = await Wire.open(f.port);
            wire.request(`HEAD /api/blobs/${digest}`, go(f.port, ['Accept: application/json', 'Content-Type: application/json']));
            const { status } = await wire.response({ toHead: true });
            wire.close();
            return status;
        };
        assert.equal(await head(), 404);

        const wire = await Wire.open(f.port);
        wire.send([`POST /api/blobs/${digest} HTTP/1.1`, ...goJson(f.port), 'Transfer-Encoding: chunked', '', ''].join('\n'));
        for (let at = 0; at < file.length; at += 32_768) {
            const part = file.subarray(at, at + 32_768);
            wire.send(`${part.length.toString(16)}\n`, part).send('\n');
        }
        wire.send('0\n\n');
        assert.equal((await wire.response()).status, 201);
        wire.close();
        assert.equal(await head(), 200);

        const made = await post('/api/create', { model: 'from-file', files: { 'model.gguf': digest } });
        assert.equal(made.records.at(-1).status, 'success', made.text);
        const answer = await post('/api/generate', { model: 'from-file', prompt: 'x', stream: false, options: { num_predict: 1 } });
        assert.equal(answer.status, 200, answer.text);

        const again = await Wire.open(f.port); // ollama-python sends a file as a counted body; the answer must not wait for it
        again.send([`POST /api/blobs/${digest} HTTP/1.1`, `Host: 127.0.0.1:${f.port}`, 'Accept-Encoding: gzip, deflate', 'Connection: keep-alive', `Content-Length: ${file.length}`, '', ''].join('\n'), file.subarray(0, 1000));
        assert.equal((await again.response()).status, 200, 'before the body is there');
        again.send('', file.subarray(1000));
        await until('the upload is taken or the connection ended, without an error', () => again.socket.writableLength === 0 || again.over);
        assert.equal(again.error, undefined);
        again.close();

        const wrong = `sha256:${'0'.repeat(64)}`;
        assert.equal((await post(`/api/blobs/${wrong}`, file)).status, 400);
        assert.equal((await post('/api/blobs/sha256:xyz', 'x')).status, 400);
    });

    test('6.26 tags, ps and /v1/models: unions without duplicates, sorted, always arrays, and they agree', async (t) => {
        const empty = await scripted({}, { models: [] }), bare = await gateway([empty]);
        t.after(async () => { await bare.stop(); await empty.stop(); });
        assert.deepEqual((await ask(`${bare.url}/api/tags`)).json, { models: [] });
        assert.deepEqual((await ask(`${bare.url}/api/ps`)).json, { models: [] });
        assert.deepEqual((await ask(`${bare.url}/v1/models`)).json, { object: 'list', data: [] });
        const list = (await ask(`${url}/api/tags`)).json.models;
        assert.equal(new Set(list.map((m) => m.name)).size, list.length);
        assert.deepEqual(list.map((m) => m.name), list.map((m) => m.model));
        const times = list.map((m) => Date.parse(m.modified_at));
        assert.deepEqual(times, times.toSorted((a, b) => b - a));
        const steady = list.map((m) => m.name).filter((name) => ['llama3.2:latest', 'qwen3:4b'].includes(name));
        const ids = (await ask(`${url}/v1/models`)).json.data.map((m) => m.id);
        for (const name of steady) assert.ok(ids.includes(name));
        for (const model of ['llama3.2', 'qwen3:4b'])
            for (const node of ['n1', 'n2']) await post('/api/generate', { model, prompt: 'x', stream: false, options: { num_predict: 1 } }, { headers: { 'X-OllamaMax-Node': node } });
        const loaded = await until('both in ps', async () => {
            const { models } = (await ask(`${url}/api/ps`)).json;
            return ['llama3.2:latest', 'qwen3:4b'].every((name) => models.some((m) => m.name === name)) && models;
        });
        assert.equal(new Set(loaded.map((m) => m.name)).size, loaded.length);
        const expiries = loaded.map((m) => Date.parse(m.expires_at));
        assert.deepEqual(expiries, expiries.toSorted((a, b) => b - a));
    });

    test('6.27 show: model_info is an object, capabilities are there, the same whichever node answers; Copilot gets its basename', async () => {
        const seen = [];
        for (const node of ['n1', 'n2', 'n3']) seen.push((await post('/api/show', { model: 'llama3.2' }, { headers: { 'X-OllamaMax-Node': node } })).json);
        for (const shown of seen) {
            assert.equal(Object.getPrototypeOf(shown.model_info), Object.prototype);
            assert.ok(shown.capabilities.includes('completion'));
            delete shown.modified_at; // when that node was started
        }
        assert.deepEqual(seen[1], seen[0]);
        assert.deepEqual(seen[2], seen[0]);
        const copilot = await post('/api/show', { model: 'Llama3.2' }, { headers: { 'User-Agent': 'GitHubCopilotChat/0.30.0' } });
        assert.equal(copilot.json.model_info['general.basename'], 'Llama3.2');
        assert.notEqual(seen[0].model_info['general.basename'], 'Llama3.2');
    });
});
