// A stream whose node is killed in the middle goes on elsewhere, for those who ask for it; and what the scheduler did
// meanwhile can be run again.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ask, bin, fleet, ndjson, streamed } from './lib.mjs';

const question = { model: 'llama3.2', messages: [{ role: 'user', content: 'Tell me of the "river"\nand é' }] };

const textOf = (records) => records.map((r) => r.message?.content ?? r.response).join('');

for (const [name, route, body] of [
    ['chat', '/api/chat', question],
    ['a raw prompt', '/api/generate', { model: 'llama3.2', prompt: 'Once "upon"\n', raw: true }],
])
    test(`${name}: kill -9 in the middle, and the client has what an unbroken answer has, token by token`, async (t) => {
        const f = await fleet(2, { models: ['llama3.2=1MiB'], decode: 60 });
        t.after(async () => {
            await f.gate.stop();
            await Promise.all(f.nodes.map((node) => node.stop().catch(() => {})));
        });
        const whole = ndjson((await ask(`${f.url}${route}`, { body })).text);
        let killed;
        const broken = await streamed(`${f.url}${route}`, { 'X-OllamaMax-Continue': '1' }, body, (n, reply) => {
            if (n === 5) f.nodes[(killed = Number(reply.headers['x-ollamamax-node'].slice(1)) - 1)].kill('SIGKILL');
        });
        const records = ndjson(broken.text);
        assert.notEqual(killed, undefined);
        assert.equal(textOf(records), textOf(whole));
        assert.equal(records.length, whole.length);
        assert.equal(records.at(-1).done, true);
        assert.equal(records.at(-1).eval_count, whole.at(-1).eval_count);
        assert.equal(broken.trailers['x-ollamamax-continued'], '1');
        const { requests } = (await ask(`${f.url}/api/requests`)).json;
        assert.equal(requests.filter((r) => r.continued).length, 1);
        assert.equal(requests.find((r) => r.continued).tokens_out, whole.at(-1).eval_count);

        const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'ollamamax-decisions-')), 'decisions');
        t.after(() => fs.rmSync(path.dirname(file), { recursive: true }));
        fs.writeFileSync(file, Buffer.from(await (await fetch(`${f.url}/api/decisions`)).arrayBuffer()));
        const again = JSON.parse(execFileSync(bin, ['simulate', '--replay', file, '--json'], { encoding: 'utf8' }));
        assert.equal(again.identical, true);
        assert.ok(again.grants >= 3);
    });
