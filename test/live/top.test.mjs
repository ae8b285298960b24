// What `top --once`, the routes the dashboard reads, and /metrics say of a run: the same, to the last request.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ask, bin, fleet, until } from './lib.mjs';

const run = promisify(execFile);
const env = { PATH: process.env.PATH, HOME: '/nonexistent' };
const command = async (...words) => run(bin, words, { env, maxBuffer: 1 << 24 });
const generate = (f, body) => ask(`${f.url}/api/generate`, { body: { model: 'llama3.2', prompt: 'x', stream: false, options: { num_predict: 5 }, ...body } });

// "name   value" lines up to the first blank one.
function figuresOf(text) {
    const head = text.slice(0, text.indexOf('\n\n'));
    return Object.fromEntries(head.split('\n').map((line) => line.split(/\s+/)));
}

// The tables below: each a list of rows by their titles.
function tablesOf(text) {
    return text.trimEnd().split('\n\n').slice(1).map((block) => {
        const [head, ...rows] = block.split('\n').map((line) => line.split(/\s{2,}/).map((cell) => cell.trim()));
        return rows.map((row) => Object.fromEntries(head.map((title, i) => [title, row[i]])));
    });
}

describe('top', () => {
    test('top --once, the dashboard\'s routes and /metrics agree to the last request', async (t) => {
        const f = await fleet(3, { slots: 4, prefill: 0, decode: 0, models: ['llama3.2=64MiB', 'qwen3:4b=64MiB'], 'load-rate': 0 });
        t.after(() => f.stop());
        const asked = [];
        for (let i = 0; i < 60; i++) asked.push(generate(f, { prompt: `number ${i}`, stream: i % 3 === 0, model: i % 2 ? 'llama3.2' : 'qwen3:4b' }));
        for (let i = 0; i < 7; i++) asked.push(generate(f, { model: 'nobody-has-this' }));
        const statuses = (await Promise.all(asked)).map((answer) => answer.status);
        assert.equal(statuses.filter((s) => s === 200).length, 60);
        assert.equal(statuses.filter((s) => s === 404).length, 7);

        // A request counts when its last byte is handed over, which a client may see a moment before.
        const seen = await until('67 requests counted', async () => {
            const { totals } = (await ask(`${f.url}/api/health`)).json;
            return totals.requests >= 67 && totals;
        });
        assert.equal(seen.requests, 67);
        const ofModels = 'route="generate"';
        assert.equal(await f.gate.metric('ollamamax_requests_total', ofModels), 67);
        assert.equal(await f.gate.metric('ollamamax_tokens_total', 'type="output"'), seen.tokens_out);
        assert.equal(await f.gate.metric('ollamamax_tokens_total', 'type="input"'), seen.tokens_in);

        const { stdout } = await command('top', '--once', '--url', f.url);
        const figures = figuresOf(stdout);
        assert.equal(Number(figures.requests), 67);
        assert.equal(Number(figures.errors), 0);
        assert.equal(Number(figures.tokens_out), seen.tokens_out);
        assert.equal(Number(figures.tokens_in), seen.tokens_in);
        assert.equal(Number(figures.inflight), 0);

        const [nodes, models, requests] = tablesOf(stdout);
        const detailed = await f.gate.nodes();
        assert.deepEqual(nodes.map((n) => [n.NODE, n.STATE, Number(n.REQS)]), detailed.map((n) => [n.id, 'up', n.requests]));
        assert.equal(nodes.reduce((sum, n) => sum + Number(n.REQS), 0), 60, 'each was answered by one node');
        assert.equal(models.length, 2);
        const listed = (await ask(`${f.url}/api/requests?limit=100`)).json.requests;
        assert.equal(listed.length, 67);
        assert.deepEqual(requests.map((r) => [r.REQUEST, Number(r.STATUS)]), listed.map((r) => [r.id, r.status]));

        const all = JSON.parse((await command('top', '--json', '--url', f.url)).stdout);
        assert.deepEqual(all.health.totals, seen);
        assert.equal(all.requests.requests.length, 67);

        // The dashboard's one stream, where the gateway has it.
        const events = await ask(`${f.url}/api/events?topics=metrics`, { headers: { Accept: 'application/json' } });
        if (events.status === 200) {
            const frame = await until('a frame of the run', async () => {
                const { frames } = (await ask(`${f.url}/api/events?topics=metrics`, { headers: { Accept: 'application/json' } })).json;
                return frames.find((one) => one.type === 'metrics' && one.totals.requests >= 67);
            });
            for (const name of ['requests', 'errors', 'tokens_in', 'tokens_out']) assert.equal(frame.totals[name], seen[name], name);
        }
    });

    test('status says by its exit code how the fleet is', async (t) => {
        const f = await fleet(2, { slots: 1 });
        t.after(() => f.stop());
        const { stdout } = await command('status', '--url', f.url);
        assert.match(stdout, /n1 +up/);
        await f.nodes[1].kill();
        await until('it is seen', async () => (await f.gate.node('n2')).state === 'down', 20_000);
        const failed = await command('status', '--url', f.url).catch((error) => error);
        assert.equal(failed.code, 1);
        assert.match(failed.stdout, /n2 +down/);
        await command('status', '--ready', '--url', f.url); // one of them is enough
        assert.match(failed.stdout, /warnings:\n +node n2 is down/);
    });

    test('a gateway with a key is asked with --key', async (t) => {
        const f = await fleet(1, { slots: 1 }, { flags: ['--admin-key', 'secret'], up: 0 });
        t.after(() => f.stop());
        const without = await command('top', '--once', '--url', f.url).catch((error) => error);
        assert.equal(without.code, 1);
        assert.match(without.stderr, /it wants its admin key: --key/);
        assert.match((await command('top', '--once', '--url', f.url, '--key', 'secret')).stdout, /^n1 /m);
    });
});
