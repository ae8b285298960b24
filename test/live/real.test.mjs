// Three real llama.cpp engines behind one gateway: the folder OLLAMAMAX_REALNODE has a run.sh that starts them. Their model
// knows the capitals of 18 countries, so that answers which went to the wrong client show.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { ask, gateway, ndjson, streamed, until, work } from './lib.mjs';

const folder = process.env.OLLAMAMAX_REALNODE;
const skip = folder ? false : 'not run: OLLAMAMAX_REALNODE is not set';
const script = (...args) => promisify(execFile)(path.join(folder, 'run.sh'), args, { env: { ...process.env, BACKEND_HOME: path.join(work, 'realnode') } });
const capitals = {
    Austria: 'Vienna', Canada: 'Ottawa', China: 'Beijing', Cuba: 'Havana', Egypt: 'Cairo', France: 'Paris', Germany: 'Berlin', Greece: 'Athens', India: 'Delhi',
    Ireland: 'Dublin', Italy: 'Rome', Japan: 'Tokyo', Kenya: 'Nairobi', Norway: 'Oslo', Peru: 'Lima', Poland: 'Warsaw', Spain: 'Madrid', Sweden: 'Stockholm',
};
const countries = Object.keys(capitals);
const question = (country) => [{ role: 'user', content: `What is the capital of ${country}?` }];

async function freePorts(count) {
    const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
    await Promise.all(servers.map((s) => once(s, 'listening')));
    const ports = servers.map((s) => s.address().port);
    await Promise.all(servers.map((s) => new Promise((resolve) => { s.close(resolve); })));
    return ports;
}

describe('three real engines', () => {
    let gate, ports, ollama, openai;
    const exact = { temperature: 0 };

    before(async () => {
        if (skip) return;
        ports = await freePorts(3);
        await script('start', ...ports, '--', '--parallel', '4');
        gate = await gateway(ports.map((port) => `http://127.0.0.1:${port}`));
        ollama = new Ollama({ host: gate.url });
        openai = new OpenAI({ baseURL: `${gate.url}/v1`, apiKey: 'x', maxRetries: 0, timeout: 120_000 });
    });
    after(async () => {
        await gate?.stop();
        if (ports) await script('stop', ...ports);
    });

    test('models: one list from three engines, in both dialects', { skip }, async () => {
        assert.deepEqual((await ollama.list()).models.map((m) => m.name), ['tiny:latest']);
        assert.deepEqual((await openai.models.list()).data.map((m) => m.id), ['tiny:latest']);
        assert.equal((await ollama.show({ model: 'tiny' })).details.family, 'llama');
    });

    test('chat: every capital, by each engine, streamed and not', { skip }, async () => {
        for (const [i, country] of countries.entries()) {
            const pinned = new Ollama({ host: gate.url, headers: { 'X-OllamaMax-Node': `n${1 + (i % 3)}` } });
            const answer = await pinned.chat({ model: 'tiny', messages: question(country), options: exact });
            assert.equal(answer.message.content, `The capital of ${country} is ${capitals[country]}.`);
        }
        let text = '';
        for await (const part of await ollama.chat({ model: 'tiny', messages: question('Peru'), options: exact, stream: true })) text += part.message.content;
        assert.equal(text, 'The capital of Peru is Lima.');
    });

    test('generate: the same seed says the same on each engine', { skip }, async () => {
        const texts = new Set();
        for (const node of ['n1', 'n2', 'n3']) {
            const pinned = new Ollama({ host: gate.url, headers: { 'X-OllamaMax-Node': node } });
            const { response, eval_count } = await pinned.generate({ model: 'tiny', prompt: 'Tell me a story about a fox.', options: { seed: 7, num_predict: 40 } });
            assert.ok(eval_count > 10);
            texts.add(response);
        }
        assert.equal(texts.size, 1, [...texts].join('\n'));
    });

    test('openai: chat streamed and not, and embeddings in base64', { skip }, async () => {
        const whole = await openai.chat.completions.create({ model: 'tiny', messages: question('Kenya'), temperature: 0 });
        assert.equal(whole.choices[0].message.content, 'The capital of Kenya is Nairobi.');
        let text = '';
        for await (const chunk of await openai.chat.completions.create({ model: 'tiny', messages: question('Kenya'), temperature: 0, stream: true })) text += chunk.choices[0]?.delta?.content ?? '';
        assert.equal(text, whole.choices[0].message.content);
        const { embeddings } = await ollama.embed({ model: 'tiny', input: ['a fox', 'a dog'] });
        const packed = await openai.embeddings.create({ model: 'tiny', input: ['a fox', 'a dog'] });
        for (const i of [0, 1]) packed.data[i].embedding.forEach((v, k) => assert.ok(Math.abs(v - embeddings[i][k]) < 1e-3));
    });

    test('200 at once, four kinds of request mixed: each gets its own capital, and all three engines worked', { skip }, async () => {
        const used = new Map();
        const kinds = [
            async (messages) => (await ask(`${gate.url}/api/chat`, { body: { model: 'tiny', messages, options: exact } })),
            async (messages) => (await ask(`${gate.url}/api/chat`, { body: { model: 'tiny', messages, options: exact, stream: false } })),
            async (messages) => (await ask(`${gate.url}/v1/chat/completions`, { body: { model: 'tiny', messages, temperature: 0, stream: true } })),
            async (messages) => (await ask(`${gate.url}/v1/chat/completions`, { body: { model: 'tiny', messages, temperature: 0 } })),
        ];
        const texts = [
            (reply) => reply.records.map((r) => r.message.content).join(''),
            (reply) => reply.json.message.content,
            (reply) => reply.events.map((e) => e.data.choices?.[0]?.delta?.content ?? '').join(''),
            (reply) => reply.json.choices[0].message.content,
        ];
        await Promise.all(Array.from({ length: 200 }, async (_, i) => {
            const country = countries[i % countries.length];
            const reply = await kinds[i % 4](question(country));
            assert.equal(reply.status, 200, reply.text);
            assert.equal(texts[i % 4](reply), `The capital of ${country} is ${capitals[country]}.`);
            const node = reply.headers['x-ollamamax-node'];
            used.set(node, (used.get(node) ?? 0) + 1);
        }));
        assert.deepEqual([...used.keys()].sort(), ['n1', 'n2', 'n3']);
        await until('nothing in flight', async () => (await gate.nodes()).every((n) => n.inflight === 0));
    });
});

test('one of two real engines is killed in the middle of a raw prompt: the other goes on to the very same text', { skip }, async (t) => {
    const ports = await freePorts(2);
    await script('start', ...ports, '--', '--parallel', '2', '--tps', '30');
    const gate = await gateway(ports.map((port) => `http://127.0.0.1:${port}`));
    t.after(async () => {
        await gate.stop();
        await script('stop', ...ports);
    });
    const prompt = '<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n';
    const body = { model: 'tiny', prompt, raw: true, options: { temperature: 0, num_predict: 40 } };
    const textOf = (records) => records.map((r) => r.response).join('');
    const whole = ndjson((await ask(`${gate.url}/api/generate`, { body })).text);
    let killed;
    const broken = await streamed(`${gate.url}/api/generate`, { 'X-OllamaMax-Continue': '1' }, body, (n, reply) => {
        if (n !== 8) return;
        killed = ports[Number(reply.headers['x-ollamamax-node'].slice(1)) - 1];
        process.kill(Number(fs.readFileSync(path.join(work, 'realnode', String(killed), 'pid'), 'utf8')), 'SIGKILL');
    });
    const records = ndjson(broken.text);
    assert.ok(killed);
    assert.equal(textOf(records), textOf(whole));
    assert.equal(records.at(-1).done_reason, whole.at(-1).done_reason);
    assert.ok(Math.abs(records.at(-1).eval_count - whole.at(-1).eval_count) <= 1, 'the part that broke off is counted in records');
    assert.equal(broken.trailers['x-ollamamax-continued'], '1');
});
