// Memory: given back after a peak, flat under mixed load, and steps taken in order while it is short, without losing
// what was accepted. Figures of resident memory mean nothing in sanitizer builds, which keep what was freed: there these
// tests are not run. OLLAMAMAX_SOAK=30m: how long the soak is (tools/test soak: 3m; without it: not run).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ask, fleet, pause, until } from './lib.mjs';

const MiB = 1 << 20;
const sanitized = /asan|tsan|valgrind/.test(process.env.OLLAMAMAX_BIN ?? '');
const skip = sanitized && 'a sanitizer build: freed memory stays resident';
const model = { models: ['llama3.2=64MiB', 'nomic-embed-text=16MiB'], 'load-rate': '4GiB/s', prefill: 0 };

async function memory(front) {
    const reply = await ask(`${front.url}/api/memory`);
    assert.equal(reply.status, 200, reply.text);
    return reply.json;
}

// A request on a connection of its own, whose answer nobody waits for yet.
function open(port, body, { sent = body.length } = {}) {
    const socket = net.connect(port, '127.0.0.1');
    const stream = { socket, head: '', got: 0 };
    stream.began = new Promise((resolve, reject) => {
        socket.on('data', (bytes) => {
            if (!stream.got) resolve(stream);
            stream.got += bytes.length;
            if (stream.head.length < 4096) stream.head += bytes.toString('latin1');
        });
        socket.on('error', reject);
        socket.on('close', () => reject(new Error(`closed: ${stream.head.slice(0, 200)}`)));
    });
    stream.began.catch(() => {});
    stream.connected = new Promise((resolve) => { socket.on('connect', resolve); });
    socket.write(`POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body.slice(0, sent));
    stream.status = () => Number(/^HTTP\/1.1 (\d+)/.exec(stream.head)?.[1]);
    return stream;
}

const chat = (more = {}) => ({ model: 'llama3.2', messages: [{ role: 'user', content: 'hi' }], ...more });

describe('memory', { skip }, () => {
    test('after a peak of 9,000 streams it goes back to within 10 MB of idle in 60 s', async (t) => {
        const f = await fleet(1, { ...model, slots: 9500, decode: 0.1 }); // a token each ten seconds
        try {
            // Idle is a gateway at rest that has served: what it keeps of its last 10,000 requests is 6 MB, made once.
            const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
            const serve = async () => { for (let i = 0; i < 700; i++) await ask(`${f.url}/api/show`, { body: { model: 'llama3.2' }, agent }); };
            const fresh = f.gate.rss();
            await Promise.all(Array.from({ length: 16 }, serve));
            agent.destroy();
            const idle = f.gate.rss();
            const limit = Number(/open files\s+\d+\s+(\d+)/.exec(fs.readFileSync(`/proc/${f.gate.pid}/limits`, 'utf8'))[1]);
            const count = Math.min(9000, Math.floor((limit - 700) / 2));
            const body = JSON.stringify(chat({ options: { num_predict: 100000 } }));
            const streams = [];
            while (streams.length < count) {
                const some = Array.from({ length: Math.min(250, count - streams.length) }, () => open(f.port, body));
                streams.push(...some);
                await Promise.all(some.map((s) => s.connected));
            }
            await Promise.all(streams.map((s) => s.began));
            assert.equal(streams.filter((s) => s.status() !== 200).length, 0);
            const peak = f.gate.rss();
            for (const s of streams) s.socket.destroy();
            const began = performance.now();
            await until(`RSS within 10 MB of ${(idle / 1e6).toFixed(1)} MB`, () => f.gate.rss() <= idle + 10e6, 60_000);
            t.diagnostic(`${count} streams: fresh ${(fresh / 1e6).toFixed(1)} MB, idle ${(idle / 1e6).toFixed(1)} MB, peak ${(peak / 1e6).toFixed(1)} MB, back to `
                + `${(f.gate.rss() / 1e6).toFixed(1)} MB after ${((performance.now() - began) / 1000).toFixed(1)} s`);
        } finally {
            await f.stop();
        }
    });

    // Bodies that have not all come yet fill the memory; small requests go on meanwhile.
    async function squeeze(t, f) {
        const seen = [];
        const bodies = [];
        const body = JSON.stringify(chat({ stream: false, options: { num_predict: 1 }, padding: 'x'.repeat(1_000_000) }));
        let running = true;
        const statuses = {};
        const load = Array.from({ length: 4 }, async () => {
            while (running) {
                const reply = await ask(`${f.url}/api/chat`, { body: chat({ options: { num_predict: 2 } }) });
                statuses[reply.status] = (statuses[reply.status] ?? 0) + 1;
                await pause(5);
            }
        });
        const note = async () => {
            const { pressure } = await memory(f.gate);
            if (seen.at(-1) !== pressure) seen.push(pressure);
            return pressure;
        };
        const large = () => ask(`${f.url}/api/chat`, { body: chat({ stream: false, padding: 'x'.repeat(2 * MiB) }) });
        try {
            await note();
            for (let i = 0; i < 400 && await note() !== '92'; i++) {
                bodies.push(open(f.port, body, { sent: body.length - 1 }));
                await pause(60);
            }
            assert.deepEqual(seen, ['none', '75', '85', '92'], `${bodies.length} bodies, ${f.gate.rss()} bytes`);
            const refused = await large();
            assert.equal(refused.status, 503, refused.text);
            assert.match(refused.json.error, /short of memory/);
            assert.ok(Number(refused.headers['retry-after']) >= 1);
            assert.equal(await f.gate.metric('ollamamax_memory_pressure'), 92);
            const { measures } = await memory(f.gate);
            assert.ok(measures.length >= 5 && measures.every((m) => m.on));
            for (const b of bodies) b.socket.write(body.slice(-1));
            await Promise.all(bodies.map((b) => b.began));
            assert.equal(bodies.filter((b) => b.status() !== 200).length, 0, 'every body that was let in is answered');
            for (const b of bodies) b.socket.destroy();
            await until('no pressure', async () => await note() === 'none', 30_000);
            const undone = seen.slice(4);
            assert.deepEqual(undone, ['85', '75', 'none'].filter((step) => undone.includes(step)), 'undone in reverse order');
            const steps = f.gate.said.split('\n').filter((line) => line.includes('of memory.limit'));
            assert.deepEqual(steps.map((line) => /(?:above|step of) (\d+)/.exec(line)[1]), ['75', '85', '92', '92', '85', '75']);
            assert.equal((await large()).status, 200);
        } finally {
            running = false;
            await Promise.all(load);
        }
        t.diagnostic(`${bodies.length} bodies of 1 MB; small requests meanwhile: ${JSON.stringify(statuses)}`);
        assert.deepEqual(Object.keys(statuses), ['200'], 'a slot was free all the time, so nobody had to be refused');
    }

    test('memory.limit: the steps come in order, are undone in reverse, and lose nothing', async (t) => {
        const f = await fleet(1, { ...model, slots: 400, decode: 1000 }, { flags: ['--memory-limit', '100MiB'] });
        try {
            assert.equal((await memory(f.gate)).limit, 100 * MiB);
            await squeeze(t, f);
        } finally {
            await f.stop();
        }
    });

    test('the same in a memory cgroup of version 1, and nobody is killed', async (t) => {
        const root = '/sys/fs/cgroup/memory';
        const group = path.join(root, `ollamamax-live-${process.pid}`);
        try {
            fs.mkdirSync(group);
            fs.writeFileSync(path.join(group, 'memory.limit_in_bytes'), String(100 * MiB));
        } catch (error) {
            t.skip(`no memory cgroup of version 1 to be had: ${error.message}`);
            return;
        }
        const killed = () => Number(/oom_kill (\d+)/.exec(fs.readFileSync(path.join(group, 'memory.oom_control'), 'utf8'))?.[1] ?? 0);
        const enter = (where) => fs.writeFileSync(path.join(where, 'cgroup.procs'), String(process.pid));
        let f;
        try {
            f = await fleet(1, { ...model, slots: 400, decode: 1000 }, { within: { enter: () => enter(group), leave: () => enter(root) } });
            assert.match(fs.readFileSync(`/proc/${f.gate.pid}/cgroup`, 'utf8'), /memory:\/ollamamax-live-/);
            assert.equal((await memory(f.gate)).limit, 100 * MiB);
            await squeeze(t, f);
            assert.equal(killed(), 0);
        } finally {
            await f?.stop();
            await until('an empty group', () => fs.readFileSync(path.join(group, 'cgroup.procs'), 'utf8') === '');
            fs.rmdirSync(group);
        }
    });

    const soak = /^(\d+)m$/.exec(process.env.OLLAMAMAX_SOAK ?? '');
    test('a soak of mixed load shows no growth', { skip: !soak && 'OLLAMAMAX_SOAK=3m is not set', timeout: 3_600_000 }, async (t) => {
        const f = await fleet(2, { ...model, slots: 8, decode: 2000 }, { flags: ['--cache-size', '4MiB', '--cache-ttl', '5s'] });
        const end = performance.now() + Number(soak[1]) * 60_000;
        const samples = [];
        let asked = 0;
        const kinds = [
            () => ask(`${f.url}/api/chat`, { body: chat({ options: { num_predict: 20 } }) }),
            () => ask(`${f.url}/v1/chat/completions`, { body: chat({ stream: true, max_tokens: 10 }) }),
            () => ask(`${f.url}/api/embed`, { body: { model: 'nomic-embed-text', input: `text ${asked % 5000}` } }),
            () => ask(`${f.url}/api/chat`, { body: chat({ stream: false, options: { temperature: 0, num_predict: 5, seed: asked % 3000 } }) }),
            () => ask(`${f.url}/api/chat`, { body: chat({ stream: false, padding: 'y'.repeat(asked % 300_000), options: { num_predict: 2 } }) }),
            () => ask(`${f.url}/api/chat`, { body: '{"model": ' }),
            () => ask(`${f.url}/api/nodes/detailed`),
            async () => { // leaves in the middle
                const s = open(f.port, JSON.stringify(chat({ options: { num_predict: 500 } })));
                await s.began;
                s.socket.destroy();
            },
        ];
        const work = Array.from({ length: 8 }, async () => {
            while (performance.now() < end) await kinds[asked++ % kinds.length]();
        });
        while (performance.now() < end) {
            await pause(1000);
            samples.push(f.gate.rss());
        }
        await Promise.all(work);
        const third = Math.floor(samples.length / 3);
        const middle = (all) => [...all].sort((a, b) => a - b)[all.length >> 1];
        const second = middle(samples.slice(third, 2 * third)), last = middle(samples.slice(2 * third));
        t.diagnostic(`${asked} requests; RSS, medians of the second and the last third: ${(second / 1e6).toFixed(2)}, ${(last / 1e6).toFixed(2)} MB`);
        await f.stop();
        assert.ok(last <= second + 1.5e6, `grows from ${second} to ${last}`);
    });
});
