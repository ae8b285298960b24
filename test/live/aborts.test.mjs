// Ten thousand requests of which every fourth is given up at a chance moment: while it is sent, waits, or streams. Nothing may stay
// behind: no lease, no exchange, and at exit no object of any pool (the program checks its pools itself when it ends). For valgrind:
// OLLAMAMAX_BIN may be a script that runs the program under it, and ABORTS a smaller number.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { ask, fleet, until } from './lib.mjs';

const REQUESTS = Number(process.env.ABORTS ?? 10_000);
const AT_ONCE = 64;

// xorshift32: the same run each time, as far as the machine allows.
let state = 0x9e3779b9;
function chance(n) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
}

// -> 'whole', 'given up'; anything else throws.
function once(url, agent, i) {
    const stream = i % 3 === 0;
    const gives_up = i % 4 === 0 ? chance(30) : -1;
    const body = JSON.stringify({ model: 'llama3.2', stream, messages: [{ role: 'user', content: `number ${i}` }], options: { num_predict: stream ? 12 : 2 } });
    return new Promise((resolve, reject) => {
        const request = http.request(`${url}/api/chat`, { method: 'POST', agent, headers: { 'Content-Length': Buffer.byteLength(body) } });
        const give_up = () => { request.destroy(); resolve('given up'); };
        if (gives_up >= 0) setTimeout(give_up, gives_up);
        request.on('error', (error) => (gives_up >= 0 ? resolve('given up') : reject(error)));
        request.on('response', (response) => {
            let text = '';
            response.on('data', (part) => { text += part; });
            response.on('error', () => {});
            response.on('end', () => {
                if (gives_up >= 0) return resolve('given up');
                const last = text.trimEnd().split('\n').at(-1);
                return response.statusCode === 200 && JSON.parse(last).done ? resolve('whole') : reject(new Error(`${response.statusCode} ${text}`));
            });
        });
        request.end(body);
    });
}

test(`${REQUESTS} requests with chance aborts leave nothing behind`, async () => {
    const f = await fleet(3, { models: ['llama3.2=1MiB'], slots: 64, prefill: 0, decode: 800 });
    const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const ends = { whole: 0, 'given up': 0 };
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (next < REQUESTS) ends[await once(f.url, agent, next++)]++;
    }));
    agent.destroy();
    assert.equal(ends.whole + ends['given up'], REQUESTS);
    assert.ok(ends.whole >= REQUESTS * 0.7, JSON.stringify(ends));
    await until('no lease is out', async () => (await f.gate.nodes()).every((node) => node.inflight === 0));
    await until('no node works any more', async () => (await f.total('active')) === 0);
    const pools = (await ask(`${f.url}/api/memory`)).json.pools;
    const exchanges = pools.find((pool) => pool.name === 'exchange');
    assert.ok(exchanges.live <= 1 + 3, `exchanges still live: ${exchanges.live}`); // this one, and at most a probe a node
    await f.stop();
});
