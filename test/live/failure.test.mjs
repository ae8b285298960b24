// What goes wrong in the world, done to the shipped program: nodes that are killed or hang up, clients that misbehave,
// descriptors that run out. In each case: clear errors to whom it concerns, everybody else unharmed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Wire, ask, fleet, gateway, ndjson, pause, simnode, sse, until } from './lib.mjs';
import { scripted, sseHead } from './scripted.mjs';

const chat = { model: 'llama3.2', messages: [{ role: 'user', content: 'x' }] };
const short = (more) => ({ ...chat, options: { num_predict: 2 }, stream: false, ...more });

test('kill -9 of one of three nodes under 500 requests/s: nothing fails that had not received a byte; streams that had end in an error record', async (t) => {
    const f = await fleet(3, { models: ['llama3.2=1MiB'], slots: 64, prefill: 0, decode: 100 });
    t.after(async () => {
        await f.gate.stop();
        await Promise.all([f.nodes[0].stop(), f.nodes[1].stop()]);
    });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2_000 });
    t.after(() => agent.destroy());
    const send = (i) => ask(`${f.url}/api/chat`, { agent, body: { ...chat, stream: i % 2 === 0, options: { num_predict: 10 } } });
    await Promise.all(Array.from({ length: 30 }, (_, i) => send(i))); // loaded everywhere

    const total = 2_000, began = performance.now();
    const replies = [];
    let killed = false;
    while (replies.length < total) {
        const due = Math.min(total, Math.ceil((performance.now() - began) / 2));
        while (replies.length < due) replies.push(send(replies.length).catch((error) => error));
        if (!killed && replies.length >= 800) {
            killed = true;
            f.nodes[2].kill('SIGKILL');
        }
        await pause(2);
    }
    const rate = total / ((performance.now() - began) / 1000);
    const seen = { whole: 0, cut: 0 };
    for (const [i, reply] of (await Promise.all(replies)).entries()) {
        assert.ok(!(reply instanceof Error), `request ${i}: ${reply}`);
        assert.equal(reply.status, 200, `request ${i}: ${reply.text}`);
        const records = i % 2 === 0 ? ndjson(reply.text) : [reply.json];
        if (records.at(-1).done === true) {
            seen.whole++;
            continue;
        }
        assert.ok(i % 2 === 0 && records.length > 1 && records[0].message, `request ${i} had not received a byte: ${reply.text}`);
        assert.match(records.at(-1).error, /broke off|went down/);
        seen.cut++;
    }
    t.diagnostic(`${rate.toFixed(0)} requests/s, ${seen.whole} whole, ${seen.cut} ended in an error record`);
    assert.ok(rate > 400, `the load was only ${rate.toFixed(0)} requests/s`);
    assert.ok(seen.cut > 0, 'streams were running on the node that died');
    assert.ok(seen.cut < 60, `${seen.cut} streams were on one node`);
    await until('the dead node is known to be down', async () => (await f.gate.node('n3')).state === 'down');
    await until('nothing in flight', async () => (await f.gate.nodes()).every((n) => n.inflight === 0));
});

test('all nodes down: 503 that names each node and its last error; the first to come back serves', async (t) => {
    const f = await fleet(2, { models: ['llama3.2=1MiB'], prefill: 0, decode: 0 });
    t.after(() => f.stop());
    for (const node of f.nodes) await node.faults({ die: 1_500 });
    await until('both down', async () => (await f.gate.nodes()).every((n) => n.state === 'down'));
    const reply = await ask(`${f.url}/api/chat`, { body: short() });
    assert.equal(reply.status, 503);
    assert.match(reply.json.error, /n1 is down.*n2 is down/);
    assert.match(reply.json.error, /refused/);
    assert.ok(Number(reply.headers['retry-after']) > 0);
    assert.equal((await ask(`${f.url}/readyz`)).status, 503);
    assert.equal((await ask(`${f.url}/livez`)).status, 200);
    assert.equal((await ask(`${f.url}/api/tags`)).json.models.length, 1, 'what is down for a moment has not lost its models');
    await until('an answer again', async () => (await ask(`${f.url}/api/chat`, { body: short() })).status === 200);
});

test('llama-server\'s habit of closing after each stream, though it announces keep-alive, costs no request', async (t) => {
    let served = 0, connections = 0;
    const models = { object: 'list', data: [{ id: 'llama3.2', object: 'model', created: 1, owned_by: 'llamacpp' }] };
    const say = (response, value) => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(value));
    const node = await scripted({
        'GET /': (request, response) => response.writeHead(404, { 'Content-Type': 'application/json' }).end('{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}'),
        'GET /api/version': (request, response) => response.writeHead(404).end(),
        'GET /api/tags': (request, response) => response.writeHead(404).end(),
        'GET /api/ps': (request, response) => response.writeHead(404).end(),
        'GET /health': (request, response) => say(response, { status: 'ok' }),
        'GET /props': (request, response) => say(response.setHeader('Server', 'llama.cpp'), { total_slots: 64, default_generation_settings: { n_ctx: 4096 } }),
        'GET /v1/models': (request, response) => say(response.setHeader('Server', 'llama.cpp'), models),
        'POST /v1/chat/completions': (request, response, body) => {
            const asked = JSON.parse(body), base = { id: 'chatcmpl-1', created: 1, model: 'llama3.2' };
            if (!request.socket.counted) connections++;
            request.socket.counted = true;
            served++;
            response.setHeader('Keep-Alive', 'timeout=5, max=100');
            const content = asked.messages.at(-1).content;
            if (!asked.stream) return say(response, { ...base, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] });
            sseHead(response);
            const event = (delta, finish_reason = null) => response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
            event({ role: 'assistant', content });
            event({}, 'stop');
            response.write('data: [DONE]\n\n');
            response.end();
            const { socket } = request;
            response.on('finish', () => (served % 3 ? socket.end() : setImmediate(() => socket.destroy())));
        },
    });
    const gate = await gateway([node]);
    t.after(async () => { await gate.stop(); await node.stop(); });
    await until('it is known as llama.cpp', async () => (await gate.node('n1')).kind === 'llamacpp');
    const send = async (i) => {
        const content = `number ${i}`, stream = i % 4 !== 0;
        const reply = await ask(`${gate.url}/v1/chat/completions`, { body: { ...chat, stream, messages: [{ role: 'user', content }] } });
        assert.equal(reply.status, 200, reply.text);
        if (!stream) return assert.equal(reply.json.choices[0].message.content, content);
        const events = sse(reply.text);
        assert.equal(events.at(-1).data, '[DONE]');
        assert.equal(events[0].data.choices[0].delta.content, content);
    };
    for (let i = 0; i < 200; i++) await send(i);
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 20 }, (_, k) => send(k)));
    assert.equal(served, 400, 'each request was answered once');
    assert.ok(connections > 100, `${connections} connections: it did close`);
});

describe('clients that misbehave', () => {
    let f;
    const serves = async () => {
        const reply = await ask(`${f.url}/api/chat`, { body: short() });
        assert.equal(reply.status, 200, reply.text);
    };
    before(async () => { f = await fleet(2, { models: ['llama3.2=1MiB'], slots: 8, prefill: 0, decode: 0 }); });
    after(() => f?.stop());

    test('header lines: 60 KiB are taken, more than 64 KiB are 431 with a sentence, and the connection ends', async () => {
        const wire = await Wire.open(f.port);
        const large = await wire.request('GET /api/version', ['Host: x', `X-Large: ${'a'.repeat(60 << 10)}`]).response();
        assert.equal(large.status, 200);
        const more = await wire.request('GET /api/version', ['Host: x', `X-Large: ${'a'.repeat(66 << 10)}`]).response();
        assert.equal(more.status, 431);
        assert.match(JSON.parse(more.text).error, /limits\.headers/);
        await wire.ended();
        const endless = await Wire.open(f.port);
        endless.send('GET / HTTP/1.1\n');
        let lines = 0;
        while (!endless.over && lines < 100_000) {
            endless.send(`X-${lines++}: ${'b'.repeat(1000)}\n`);
            if (lines % 50 === 0) await pause(1);
        }
        assert.equal((await endless.head()).status, 431);
        await serves();
    });

    test('what is not HTTP is 400 with a sentence, and no node hears of it', async () => {
        const heard = await f.total('works');
        for (const bytes of ['GET\n\n', 'POST /api/chat HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6\n\n', 'POST /api/chat HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nContent-Length: 4\n\n0\n\n',
            'GET / HTTP/1.1\nHost : x\n\n', 'GET / HTTP/1.1\nHost: a\nHost: b\n\n', '\x16\x03\x01\x02\x00\x01\x00\x01\n\n', 'POST /api/chat HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\nxyz\n']) {
            const wire = await Wire.open(f.port);
            const reply = await wire.send(bytes).response();
            assert.deepEqual([bytes, reply.status], [bytes, 400]);
            assert.equal(typeof JSON.parse(reply.text).error, 'string');
            await wire.ended();
            wire.close();
        }
        assert.equal(await f.total('works'), heard);
        await serves();
    });

    test('a body cut in the middle, by an end or a reset, counted or chunked: forgotten at once, no node asked', async () => {
        const heard = await f.total('works'), held = f.gate.descriptors();
        for (const framing of ['Content-Length: 1000000', 'Transfer-Encoding: chunked'])
            for (const leave of ['end', 'resetAndDestroy']) {
                const body = framing.startsWith('T') ? '4000\r\n{"model":"llama3.2"' : '{"model":"llama3.2"';
                const wires = await Promise.all(Array.from({ length: 50 }, () => Wire.open(f.port)));
                for (const wire of wires) wire.send(`POST /api/chat HTTP/1.1\nHost: x\n${framing}\n\n`, body);
                await serves();
                for (const wire of wires) wire.socket[leave]();
                await until(`descriptors are given back after ${framing}, ${leave}`, () => f.gate.descriptors() <= held + 8);
                for (const wire of wires) wire.close();
            }
        assert.equal(await f.total('works'), heard + 4);
    });

    test('9,000 idle connections: others are served, little memory is held, all are given back', async (t) => {
        const most = Number(execFileSync('bash', ['-c', 'ulimit -Hn']).toString().replace('unlimited', '1e9'));
        if (most < 9_500) return t.skip(`not run: this needs 9,500 descriptors, the hard limit is ${most}`);
        const held = f.gate.descriptors(), rss = f.gate.rss(), wires = [];
        for (let i = 0; i < 90; i++) wires.push(...await Promise.all(Array.from({ length: 100 }, () => Wire.open(f.port))));
        await until('all are accepted', () => f.gate.descriptors() >= held + 9_000);
        const each = (f.gate.rss() - rss) / 9_000;
        t.diagnostic(`${each.toFixed(0)} bytes resident for an idle connection`);
        if (!/asan|tsan/.test(process.env.OLLAMAMAX_BIN ?? '')) assert.ok(each < 4_096, `${each} bytes each`);
        for (let i = 0; i < 20; i++) await serves();
        const some = await Promise.all(wires.filter((_, i) => i % 100 === 0).map((wire) => wire.request('GET /livez', ['Host: x']).response()));
        assert.ok(some.every((reply) => reply.status === 200), 'the idle ones can still ask');
        for (const wire of wires) wire.close();
        await until('they are given back', () => f.gate.descriptors() <= held + 8);
        await serves();
    });

    test('a client that does not read its stream holds up nobody else', async () => {
        const lazy = await Wire.open(f.port);
        lazy.socket.pause();
        lazy.request('POST /api/chat', ['Host: x'], { ...chat, options: { num_predict: 200_000 } });
        await f.busy();
        for (let i = 0; i < 50; i++) await serves();
        lazy.close();
        await until('its slot is free', async () => (await f.total('active')) === 0);
    });
});

test('descriptors exhausted: new clients get 503 and Retry-After, those who are in go on, nothing spins, and it passes', async (t) => {
    const node = await simnode({ models: ['llama3.2=1MiB'], slots: 8, prefill: 0, decode: 20 });
    const gate = await gateway([node], { limits: ['--nofile=256:256'] });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const wires = [];
    t.after(async () => {
        agent.destroy();
        for (const wire of wires) wire.close();
        await gate.stop();
        await node.stop();
    });
    const stream = await Wire.open(gate.port); // 6 s of stream: it runs while descriptors are out
    stream.request('POST /api/chat', ['Host: x'], { ...chat, options: { num_predict: 120 } });
    await stream.head();
    const kept = await Wire.open(gate.port);
    assert.equal((await kept.request('GET /livez', ['Host: x']).response()).status, 200);

    while (gate.descriptors() < 240) wires.push(await Wire.open(gate.port)); // one in 32 is spared for nodes
    for (let i = 0; i < 300; i++) wires.push(await Wire.open(gate.port));
    const refused = await Promise.all(wires.slice(-50).map((wire) => wire.response()));
    assert.deepEqual([...new Set(refused.map((r) => r.status))], [503]);
    assert.ok(refused.every((r) => Number(r.get('Retry-After')) > 0));
    assert.equal((await kept.request('GET /livez', ['Host: x']).response()).status, 200, 'who is in is served');

    const ticks = () => fs.readFileSync(`/proc/${gate.pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).reduce((a, b) => a + Number(b), 0);
    const from = ticks(), at = performance.now();
    await stream.chunk();
    await pause(1_000);
    const share = (ticks() - from) / 100 / ((performance.now() - at) / 1000);
    assert.ok(share < 0.3, `${(share * 100).toFixed(0)} % of a core with nothing to do`);

    for (const wire of wires.splice(0)) wire.close();
    await until('descriptors are back', () => gate.descriptors() < 60);
    assert.equal((await ask(`${gate.url}/api/chat`, { body: short() })).status, 200);
    let last;
    for (let chunk; (chunk = await stream.chunk());) last = chunk;
    assert.equal(ndjson(last.toString()).at(-1).done, true, 'the stream went on to its end');
});
