// Things that take long, side by side: 6.37 of ollama-api.md, and clients slower than any patience (30 s for a head, 60 s
// between two pieces of a body).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import { Wire, ask, fleet, gateway, simnode, until } from './lib.mjs';

// Sockets of this port on the gateway's side of a connection from `peer`: is a keep-alive timer running?
function keptAlive(port, peer) {
    const hex = (n) => n.toString(16).toUpperCase().padStart(4, '0');
    const rows = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/));
    const row = rows.find((r) => r[1]?.endsWith(`:${hex(port)}`) && r[2]?.endsWith(`:${hex(peer)}`));
    return row?.[5].startsWith('02:');
}

describe('patience', { concurrency: true }, () => {
    test('6.37 a load of 65 s with the usual settings: not a byte, no 504, streamed or not; TCP keep-alive is on', async (t) => {
        const f = await fleet(1, { cold: true, models: ['llama3.2=650MiB'], 'load-rate': '10MiB/s', slots: 4, prefill: 0, decode: 0 });
        t.after(() => f.stop());
        const began = performance.now();
        const wire = await Wire.open(f.port);
        wire.request('POST /api/generate', ['Host: x'], { model: 'llama3.2', prompt: 'x', options: { num_predict: 3 } });
        const whole = ask(`${f.url}/v1/chat/completions`, { body: { model: 'llama3.2', messages: [{ role: 'user', content: 'x' }], max_tokens: 3 } });
        await f.nodes[0].stats();
        await until('keep-alive on the client\'s connection', () => keptAlive(f.port, wire.socket.localPort));
        const head = await wire.head();
        const seconds = (performance.now() - began) / 1000;
        assert.ok(seconds > 60, `the first byte came after ${seconds.toFixed(1)} s`);
        assert.equal(head.status, 200);
        const last = JSON.parse((await wire.body(head)).toString().trim().split('\n').at(-1));
        assert.equal(last.done, true);
        wire.close();
        assert.equal((await whole).status, 200);
        assert.equal((await f.nodes[0].stats()).loads, 1, 'one load for both');
    });

    test('6.37 no timeout fires below the settings, and the one that is set does: a load may take timeouts.load + 20 s/GiB', async (t) => {
        const node = await simnode({ models: ['patient=30MiB', 'hopeless=200MiB'], 'load-rate': '10MiB/s', slots: 4, prefill: 0, decode: 0 });
        const gate = await gateway([node], { flags: ['--timeouts-first-byte', '2s', '--timeouts-load', '4s', '--retry-max', '0'] });
        t.after(async () => { await gate.stop(); await node.stop(); });
        const generate = (model) => ask(`${gate.url}/api/generate`, { body: { model, prompt: 'x', options: { num_predict: 1 } } });
        assert.equal((await generate('patient')).status, 200, '3 s is longer than first_byte, and allowed for a load');
        const began = performance.now();
        const late = await generate('hopeless');
        const seconds = (performance.now() - began) / 1000;
        assert.equal(late.status, 504);
        assert.match(late.json.error, /did not load the model in time/);
        assert.ok(seconds > 7.8 && seconds < 10, `${seconds.toFixed(2)} s: 4 s, and 3.9 s for its 200 MiB`);
    });

    test('6.37 the silence of a long prompt, and between two records, is no reason to give up before the settings say so', async (t) => {
        const node = await simnode({ models: ['llama3.2=1MiB'], slots: 4, prefill: 100, decode: 0.5 });
        const gate = await gateway([node], { flags: ['--timeouts-first-byte', '6s', '--timeouts-load', '1s', '--timeouts-inter-chunk', '4s', '--retry-max', '0'] });
        t.after(async () => { await gate.stop(); await node.stop(); });
        const openai = new OpenAI({ baseURL: `${gate.url}/v1`, apiKey: 'x', maxRetries: 0 });
        const answer = await openai.chat.completions.create({ model: 'llama3.2', max_tokens: 2, messages: [{ role: 'user', content: 'word '.repeat(50) }] });
        assert.equal(answer.choices[0].finish_reason, 'length');
        const reply = await ask(`${gate.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'x', options: { num_predict: 4 } } });
        assert.equal(reply.records.at(-1).done, true, 'records 2 s apart');
        await node.faults({ stall_ms: 30_000, count: 1 });
        const silent = await ask(`${gate.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'x' } });
        assert.equal(silent.status, 504);
        assert.match(silent.json.error, /sent no answer in time/);
    });

    test('slow-loris: a head that drips is 408 after 30 s, a body that stops is 408 after 60 s, and others are unharmed', async (t) => {
        const f = await fleet(2, { models: ['llama3.2=1MiB'], slots: 4, prefill: 0, decode: 0 });
        t.after(() => f.stop());
        const drips = await Promise.all(Array.from({ length: 200 }, () => Wire.open(f.port)));
        const began = performance.now();
        for (const wire of drips) wire.send('POST /api/chat HTTP/1.1\nHost: x\n');
        const drip = setInterval(() => { for (const wire of drips) if (!wire.over && wire.socket.writable) wire.send('X-Drip: 1\n'); }, 2_000);
        t.after(() => { clearInterval(drip); for (const wire of drips) wire.close(); });
        const stuck = await Wire.open(f.port);
        stuck.send('POST /api/chat HTTP/1.1\nHost: x\nContent-Length: 100000\n\n{"model":');
        let served = 0;
        const others = (async () => {
            while (performance.now() - began < 20_000) {
                const reply = await ask(`${f.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'x', stream: false, options: { num_predict: 1 } } });
                assert.equal(reply.status, 200);
                served++;
            }
        })();
        const replies = await Promise.all(drips.map((wire) => wire.response()));
        const seconds = (performance.now() - began) / 1000;
        assert.deepEqual([...new Set(replies.map((r) => r.status))], [408]);
        assert.match(JSON.parse(replies[0].text).error, /did not arrive completely in time/);
        assert.ok(seconds > 29 && seconds < 40, `${seconds.toFixed(1)} s`);
        await others;
        assert.ok(served > 200, `${served} requests of others were served meanwhile`);
        const late = await stuck.response();
        assert.equal(late.status, 408);
        assert.ok((performance.now() - began) / 1000 > 59);
        await stuck.ended();
    });
});
