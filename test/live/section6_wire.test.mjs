// ollama-api.md section 6, items about HTTP itself: 36 (large things), 39 (CORS and Host), 40 (plain texts, paths, pipelines).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Wire, ask, fleet, gateway, go, ndjson, until } from './lib.mjs';
import { done, ndjsonHead, scripted, stamp } from './scripted.mjs';

// Highest resident size of the gateway while `job` runs, in bytes.
async function peak(gate, job) {
    let highest = 0;
    const timer = setInterval(() => { highest = Math.max(highest, gate.rss()); }, 20);
    try {
        await job();
    } finally {
        clearInterval(timer);
    }
    return Math.max(highest, gate.rss());
}

// Sanitizers keep freed memory back; what they add is not the gateway's appetite.
const sanitized = /asan|tsan|valgrind/.test(process.env.OLLAMAMAX_BIN ?? '');

describe('6.36 large things', () => {
    const big = 'x'.repeat(8_000_000);
    const context = Array.from({ length: 100_000 }, (_, i) => i % 32_000);
    let node, gate, seen;

    const hashed = Object.assign((request, response) => {
        const hash = createHash('sha256');
        let bytes = 0;
        request.on('data', (part) => { hash.update(part); bytes += part.length; });
        request.on('end', () => {
            seen = { bytes, digest: hash.digest('hex') };
            response.writeHead(201).end();
        });
        request.on('error', () => {});
    }, { stream: true });

    before(async () => {
        node = await scripted({
            'POST /api/chat': (request, response, body) => {
                seen = { bytes: body.length, digest: createHash('sha256').update(body).digest('hex') };
                ndjsonHead(response);
                response.end(`${JSON.stringify(done('llama3.2', { message: { role: 'assistant', content: 'seen' } }))}\n`);
            },
            'POST /api/generate': (request, response, body) => {
                const { prompt, stream } = JSON.parse(body);
                const last = done('llama3.2', { response: '', context });
                if (stream === false) return response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ ...last, response: big }));
                ndjsonHead(response);
                response.write(`${JSON.stringify({ model: 'llama3.2', created_at: stamp, response: prompt === 'big' ? big : 'a', done: false })}\n`);
                response.end(`${JSON.stringify(last)}\n`);
            },
            [`HEAD /api/blobs/sha256:${'1'.repeat(64)}`]: (request, response) => response.writeHead(404).end(),
            [`POST /api/blobs/sha256:${'1'.repeat(64)}`]: hashed,
        });
        gate = await gateway([node]);
    });
    after(async () => { await gate?.stop(); await node?.stop(); });

    test('6.36 an image of 50 MB arrives at the node as it was sent', async () => {
        const body = JSON.stringify({ model: 'llama3.2', messages: [{ role: 'user', content: 'look', images: ['A'.repeat(50_000_000)] }] });
        const reply = await ask(`${gate.url}/api/chat`, { body });
        assert.equal(reply.records.at(-1).message.content, 'seen');
        assert.deepEqual(seen, { bytes: body.length, digest: createHash('sha256').update(body).digest('hex') });
    });

    test('6.36 a body over limits.body is 413 and a sentence that names the setting', async () => {
        const wire = await Wire.open(gate.port);
        wire.send(`POST /api/chat HTTP/1.1\nHost: x\nContent-Length: ${70 << 20}\n\n`, Buffer.alloc(1000));
        const reply = await wire.response();
        assert.equal(reply.status, 413);
        assert.match(JSON.parse(reply.text).error, /limits\.body/);
        wire.close();
    });

    test('6.36 a line of 8 MB comes through, streamed and not, and the records after it', async () => {
        const streamed = (await ask(`${gate.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'big' } })).records;
        assert.deepEqual([streamed.length, streamed[0].response === big, streamed[1].done], [2, true, true]);
        const whole = await ask(`${gate.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'big', stream: false } });
        assert.ok(whole.json.response === big);
    });

    test('6.36 a context of 100,000 numbers comes through, and can be sent back', async () => {
        const { records } = await ask(`${gate.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'a', context } });
        assert.deepEqual(records.at(-1).context, context);
    });

    for (const chunked of [false, true])
        test(`6.36 a blob of 1 GiB, ${chunked ? 'chunked' : 'counted'}, streams through: same bytes at the node, less than 100 MB in the gateway`, async () => {
            const total = 1 << 30, piece = Buffer.alloc(1 << 20), hash = createHash('sha256');
            const headers = chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': total };
            const highest = await peak(gate, async () => {
                const request = http.request(`${gate.url}/api/blobs/sha256:${'1'.repeat(64)}`, { method: 'POST', headers });
                const answered = once(request, 'response');
                for (let sent = 0; sent < total; sent += piece.length) {
                    hash.update(piece);
                    if (!request.write(piece)) await once(request, 'drain');
                }
                request.end();
                const [response] = await answered;
                response.resume();
                assert.equal(response.statusCode, 201);
            });
            assert.deepEqual(seen, { bytes: total, digest: hash.digest('hex') });
            if (!sanitized) assert.ok(highest < 100e6, `${(highest / 1e6).toFixed(0)} MB resident`);
        });
});

describe('6.39 CORS and Host', () => {
    let node, gate;
    const get = (headers, more) => ask(`${gate.url}/api/tags`, { headers, ...more });

    before(async () => {
        node = await scripted({
            'POST /api/chat': (request, response) => {
                ndjsonHead(response);
                response.end(`${JSON.stringify(done('llama3.2', { message: { role: 'assistant', content: '' } }))}\n`);
            },
        });
        gate = await gateway([node], { env: { OLLAMA_ORIGINS: 'https://listed.example' } });
    });
    after(async () => { await gate?.stop(); await node?.stop(); });

    test('6.39 a listed origin, and Ollama\'s own list, get one Access-Control-Allow-Origin', async () => {
        for (const origin of ['https://listed.example', 'http://localhost:5173', 'https://127.0.0.1', 'app://obsidian.md', 'vscode-webview://abc']) {
            const reply = await get({ Origin: origin });
            assert.equal(reply.status, 200, origin);
            const lines = reply.raw.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'access-control-allow-origin');
            assert.equal(lines.length, 1);
            assert.ok([origin, '*'].includes(reply.headers['access-control-allow-origin']));
        }
    });

    test('6.39 an unlisted origin is 403 with an empty body, for any method; without Origin there are no CORS headers', async () => {
        for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
            const reply = await get({ Origin: 'https://evil.example' }, { method, body: method === 'POST' ? '{}' : undefined });
            assert.deepEqual([method, reply.status, reply.text], [method, 403, '']);
        }
        const plain = await get({});
        assert.equal(plain.status, 200);
        assert.ok(!Object.keys(plain.headers).some((name) => name.startsWith('access-control-')));
    });

    test('6.39 a preflight is 204 with methods and headers, those of the SDKs among them', async () => {
        const reply = await ask(`${gate.url}/v1/chat/completions`, {
            method: 'OPTIONS', headers: { Origin: 'https://listed.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization,content-type,x-stainless-os' },
        });
        assert.deepEqual([reply.status, reply.text], [204, '']);
        for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']) assert.match(reply.headers['access-control-allow-methods'], new RegExp(`\\b${method}\\b`));
        for (const name of ['authorization', 'content-type', 'x-stainless-os', 'x-stainless-retry-count', 'x-api-key', 'anthropic-version'])
            assert.ok(reply.headers['access-control-allow-headers'].toLowerCase().split(/, */).includes(name), name);
        assert.equal(reply.headers['access-control-max-age'], '43200');
    });

    test('6.39 any Host is accepted and not leaked to nodes, nor Origin, Referer, credentials or Accept-Encoding', async () => {
        const headers = { Host: 'ollama.my-company.example', Origin: 'https://listed.example', Referer: 'https://listed.example/x', Authorization: 'Bearer secret', 'x-api-key': 'secret', 'Accept-Encoding': 'gzip', 'User-Agent': 'me/1' };
        const reply = await ask(`${gate.url}/api/chat`, { headers, body: { model: 'llama3.2', messages: [{ role: 'user', content: 'x' }] } });
        assert.equal(reply.status, 200, reply.text);
        const [came] = node.of('POST /api/chat');
        assert.equal(came.headers.host, new URL(node.url).host);
        for (const name of ['origin', 'referer', 'authorization', 'x-api-key', 'accept-encoding']) assert.equal(came.headers[name], undefined, name);
        assert.equal(came.headers['user-agent'], 'me/1');
        assert.ok(!JSON.stringify(node.seen.map((r) => r.raw)).includes('my-company'));
    });
});

describe('6.40 plain texts, paths, pipelines', () => {
    let f;
    before(async () => { f = await fleet(2, { models: ['llama3.2=1MiB'], slots: 4, prefill: 0, decode: 0 }); });
    after(() => f?.stop());

    test('6.40 unknown path and wrong method: Ollama\'s plain texts, and Allow', async () => {
        const unknown = await ask(`${f.url}/api/nothing`);
        assert.deepEqual([unknown.status, unknown.text.split('\n')[0]], [404, '404 page not found']);
        assert.match(unknown.type, /^text\/plain/);
        const wrong = await ask(`${f.url}/api/chat`);
        assert.deepEqual([wrong.status, wrong.text.split('\n')[0], wrong.headers.allow], [405, '405 method not allowed', 'POST']);
        assert.match(wrong.type, /^text\/plain/);
        const lacking = await ask(`${f.url}/chat/completions`, { body: {} });
        assert.match(lacking.text, /^404 page not found\n.*\/v1/);
    });

    test('6.40 //api/tags and a trailing slash mean the path; HEAD on tags and version has no body', async () => {
        const plain = (await ask(`${f.url}/api/tags`)).json.models.map((m) => m.name);
        for (const path of ['//api/tags', '/api/tags/', '/api//tags']) {
            const wire = await Wire.open(f.port);
            const reply = await wire.request(`GET ${path}`, ['Host: x']).response();
            assert.deepEqual([path, reply.status, JSON.parse(reply.text).models.map((m) => m.name)], [path, 200, plain]);
            wire.close();
        }
        const wire = await Wire.open(f.port);
        for (const path of ['/api/tags', '/api/version', '/v1/models']) {
            const head = await wire.request(`HEAD ${path}`, ['Host: x']).response({ toHead: true });
            assert.equal(head.status, 200);
            assert.ok(Number(head.get('Content-Length')) > 10, path);
        }
        const whole = await wire.request('GET /api/version', ['Host: x']).response();
        assert.ok(JSON.parse(whole.text).version, 'the connection is in step after three HEADs');
        wire.close();
    });

    test('6.40 pipelined requests are answered in order, also after an empty 200 and a stream', async () => {
        const host = `Host: 127.0.0.1:${f.port}`;
        const chat = { model: 'llama3.2', messages: [{ role: 'user', content: 'x' }], options: { num_predict: 3 } };
        const wire = await Wire.open(f.port);
        wire.request('POST /api/copy', [host], { source: 'llama3.2', destination: 'piped' });
        wire.request('GET /api/version', [host]);
        wire.request('POST /api/chat', [host], chat);
        wire.request('DELETE /api/delete', [host], { model: 'piped' });
        wire.request('HEAD /api/tags', [host]);
        wire.request('POST /api/chat', [host], { ...chat, stream: false });
        const [copied, version, streamed, deleted, head, whole] = [
            await wire.response(), await wire.response(), await wire.response(), await wire.response(), await wire.response({ toHead: true }), await wire.response(),
        ];
        assert.deepEqual([copied.status, copied.text], [200, '']);
        assert.ok(JSON.parse(version.text).version);
        assert.equal(ndjson(streamed.text).at(-1).done, true);
        assert.deepEqual([deleted.status, deleted.text], [200, '']);
        assert.equal(head.status, 200);
        assert.equal(JSON.parse(whole.text).done, true);
        wire.close();
    });

    test('6.40 a Go client\'s kept connection (replayed) serves a hundred requests without losing step', async () => {
        const wire = await Wire.open(f.port);
        for (let i = 0; i < 100; i++) {
            wire.request('POST /api/generate', go(f.port, ['Accept: application/x-ndjson', 'Content-Type: application/json']), { model: 'llama3.2', prompt: `number ${i}`, options: { num_predict: 2 } });
            assert.equal(ndjson((await wire.response()).text).at(-1).done, true);
        }
        await until('nothing in flight', async () => (await f.gate.nodes()).every((n) => n.inflight === 0));
        wire.close();
    });
});
