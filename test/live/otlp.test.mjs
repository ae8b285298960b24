// A collector of traces, as others write them: the program's own export over loopback, what a node is told of the trace,
// and a collector that has no time, or never answers.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe, test } from 'node:test';
import { ask, fleet, gateway, until } from './lib.mjs';

// It answers as `answer` says; undefined: never. posts: what came.
async function collector(answer) {
    const posts = [];
    const server = http.createServer((request, response) => {
        let body = '';
        request.on('data', (part) => { body += part; }).on('end', () => {
            posts.push({ at: performance.now(), url: request.url, type: request.headers['content-type'], body: JSON.parse(body) });
            const said = answer(posts.length);
            if (said) response.writeHead(said.status, { 'Content-Type': 'application/json', ...said.headers }).end(said.body ?? '{}');
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
        posts, url: `http://127.0.0.1:${server.address().port}`,
        close() { server.closeAllConnections(); server.close(); },
    };
}

const spansOf = (post) => post.body.resourceSpans.flatMap((r) => r.scopeSpans.flatMap((s) => s.spans));
const attribute = (span, key) => {
    const value = span.attributes.find((a) => a.key === key)?.value;
    return value && Object.values(value)[0];
};
const chat = (url, headers = {}) => ask(`${url}/api/chat`, {
    headers, body: { model: 'llama3.2', messages: [{ role: 'user', content: 'Hello' }], options: { num_predict: 4, temperature: 1 } },
});
const traced = (url) => fleet(1, { models: ['llama3.2=16MiB'], slots: 4, 'load-rate': '4GiB/s', prefill: 0, decode: 400 },
    { flags: ['--observe-otlp', url] });

describe('traces for a collector', () => {
    test('a request, its attempt, and the ids that the client began with', async () => {
        const c = await collector(() => ({ status: 200 }));
        const f = await traced(c.url);
        try {
            const trace = '0af7651916cd43dd8448eb211c80319c', parent = 'b7ad6b7169203331', began = Date.now();
            assert.equal((await chat(f.url, { traceparent: `00-${trace}-${parent}-01` })).status, 200);
            const post = await until('a post', () => c.posts[0]);
            assert.equal(post.url, '/v1/traces');
            assert.equal(post.type, 'application/json');
            const resource = post.body.resourceSpans[0].resource;
            assert.equal(attribute(resource, 'service.name'), 'ollamamax');
            const [server, attempt, ...more] = spansOf(post);
            assert.equal(more.length, 0);
            assert.equal(server.traceId, trace);
            assert.equal(server.parentSpanId, parent);
            assert.equal(server.kind, 2);
            assert.equal(server.name, 'POST /api/chat');
            assert.equal(attribute(server, 'http.response.status_code'), '200');
            assert.equal(attribute(server, 'gen_ai.request.model'), 'llama3.2');
            assert.equal(attribute(server, 'gen_ai.usage.output_tokens'), '4');
            assert.equal(attribute(server, 'ollamamax.node'), 'n1');
            assert.equal(attempt.traceId, trace);
            assert.equal(attempt.parentSpanId, server.spanId);
            assert.match(attempt.spanId, /^[0-9a-f]{16}$/);
            assert.equal(attempt.kind, 3);
            assert.equal(attribute(attempt, 'server.address'), 'n1');
            const times = [server.startTimeUnixNano, attempt.startTimeUnixNano, attempt.endTimeUnixNano, server.endTimeUnixNano].map(BigInt);
            assert.ok(times[0] <= times[1] && times[1] < times[2] && times[2] <= times[3] + 1_000_000n, times.join(' '));
            assert.ok(Math.abs(Number(times[0] / 1_000_000n) - began) < 5_000, 'a moment of now');

            assert.equal((await chat(f.url, { traceparent: `00-${trace}-${parent}-00` })).status, 200);
            assert.equal((await chat(f.url)).status, 200);
            const second = await until('another post', () => c.posts[1]);
            assert.equal(spansOf(second).length, 2, 'the one that is not sampled is not told');
            assert.notEqual(spansOf(second)[0].traceId, trace);
            assert.equal(await f.gate.metric('ollamamax_otlp_spans_total', 'exported'), 4);
        } finally {
            await f.stop();
            c.close();
        }
    });

    test('a batch of more spans than one may have is told in several', async () => {
        const c = await collector(() => ({ status: 200 }));
        const f = await traced(c.url);
        try {
            const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
            await Promise.all(Array.from({ length: 1500 }, () => ask(`${f.url}/api/version`, { agent })));
            agent.destroy();
            await until('all spans', () => c.posts.reduce((n, post) => n + spansOf(post).length, 0) === 1500);
            assert.ok(c.posts.every((post) => spansOf(post).length <= 512));
            assert.equal(new Set(c.posts.flatMap(spansOf).map((s) => s.spanId)).size, 1500, 'each once');
        } finally {
            await f.stop();
            c.close();
        }
    });

    test('one that has no time is asked again when it says, one that refuses is not', async () => {
        const c = await collector((n) => (n === 1 ? { status: 503, headers: { 'Retry-After': '3' } } : n === 2 ? { status: 200 } : { status: 400 }));
        const f = await traced(c.url);
        try {
            assert.equal((await chat(f.url)).status, 200);
            await until('a second post', () => c.posts[1]);
            assert.ok(c.posts[1].at - c.posts[0].at >= 2_990, `after ${c.posts[1].at - c.posts[0].at} ms`);
            assert.deepEqual(c.posts[1].body, c.posts[0].body);
            assert.equal(await f.gate.metric('ollamamax_otlp_retries_total'), 1);
            assert.equal((await chat(f.url)).status, 200);
            await until('spans that were refused', async () => await f.gate.metric('ollamamax_otlp_spans_total', 'failed') === 2);
            assert.equal(c.posts.length, 3);
        } finally {
            await f.stop();
            c.close();
        }
    });

    test('one that never answers delays nobody, and what has no room is counted', async () => {
        const c = await collector(() => undefined);
        const f = await traced(c.url);
        try {
            const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
            const all = await Promise.all(Array.from({ length: 6000 }, () => ask(`${f.url}/api/version`, { agent })));
            agent.destroy();
            assert.ok(all.every((reply) => reply.status === 200));
            await until('drops', async () => await f.gate.metric('ollamamax_otlp_spans_total', 'dropped') === 6000 - 4096);
            assert.equal((await chat(f.url)).status, 200);
            assert.equal(await f.gate.metric('ollamamax_otlp_spans_total', 'exported'), 0);
        } finally {
            await f.stop(); // ends while the collector is silent
            c.close();
        }
    });

    test('an address that is none is said at once', async () => {
        await assert.rejects(gateway([], { flags: ['--observe-otlp', 'collector:4318'] }), /observe\.otlp|observe-otlp/);
    });
});
