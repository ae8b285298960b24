// The `ollama` package as its users call it, against three simulated nodes behind one gateway.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { ask, fleet, until } from './lib.mjs';

describe('ollama', { concurrency: true }, () => {
    let f, ollama;
    const hello = [{ role: 'user', content: 'Say hello to the fleet.' }];
    const short = { options: { num_predict: 12, temperature: 0 } };

    before(async () => {
        f = await fleet(3, { models: ['llama3.2=64MiB', 'qwen3:4b=64MiB', 'nomic-embed-text=16MiB'], slots: 8, 'load-rate': '1GiB/s', prefill: 0, decode: 400 });
        ollama = new Ollama({ host: f.url });
    });
    after(() => f?.stop());

    test('list: each model once, though three nodes have it', async () => {
        const { models } = await ollama.list();
        const names = models.map((m) => m.name).filter((name) => !name.startsWith('mine-'));
        assert.deepEqual(names.sort(), ['llama3.2:latest', 'nomic-embed-text:latest', 'qwen3:4b']);
        assert.equal(models.find((m) => m.name === 'llama3.2:latest').size, 64 << 20);
    });

    test('show: details and capabilities', async () => {
        const shown = await ollama.show({ model: 'qwen3:4b' });
        assert.equal(shown.details.family, 'simulated');
        assert.ok(shown.capabilities.includes('completion') && shown.capabilities.includes('thinking'));
        assert.equal(typeof shown.model_info, 'object');
    });

    test('version', async () => {
        assert.match((await ollama.version()).version, /^\d+\.\d+\.\d+/);
    });

    test('chat, not streamed: one whole answer with its counts', async () => {
        const answer = await ollama.chat({ model: 'llama3.2', messages: hello, ...short });
        assert.match(answer.message.content, /^\[simulated\]/);
        assert.equal(answer.message.role, 'assistant');
        assert.equal(answer.model, 'llama3.2');
        assert.deepEqual([answer.done, answer.done_reason, answer.eval_count], [true, 'length', 12]);
    });

    test('chat, streamed: the pieces make the same text as the whole', async () => {
        const pieces = [{ role: 'user', content: 'In pieces, please' }]; // a stream of what memory has whole would be one piece
        const parts = [];
        for await (const part of await ollama.chat({ model: 'llama3.2', messages: pieces, stream: true, ...short })) parts.push(part);
        const whole = await ollama.chat({ model: 'llama3.2', messages: pieces, ...short });
        assert.ok(parts.length >= 12, `${parts.length} parts`);
        assert.equal(parts.map((p) => p.message.content).join(''), whole.message.content);
        assert.deepEqual(parts.map((p) => p.done), [...parts.slice(1).map(() => false), true]);
    });

    test('chat with think: thoughts apart from the answer', async () => {
        const answer = await ollama.chat({ model: 'qwen3:4b', messages: hello, think: true });
        assert.ok(answer.message.thinking.length > 0);
        assert.match(answer.message.content, /^\[simulated\]/);
    });

    test('generate, not streamed and streamed', async () => {
        const whole = await ollama.generate({ model: 'llama3.2', prompt: 'Why is the sky blue?', ...short });
        assert.match(whole.response, /^\[simulated\]/);
        assert.equal(whole.eval_count, 12);
        let text = '', last;
        for await (const part of await ollama.generate({ model: 'llama3.2', prompt: 'Why is the sky blue?', stream: true, ...short })) {
            text += part.response;
            last = part;
        }
        assert.equal(text, whole.response);
        assert.equal(last.done, true);
        assert.ok(Array.isArray(last.context));
    });

    test('embed: a vector for each input, in order', async () => {
        const both = await ollama.embed({ model: 'nomic-embed-text', input: ['one', 'two'] });
        const one = await ollama.embed({ model: 'nomic-embed-text', input: 'one' });
        assert.equal(both.embeddings.length, 2);
        assert.deepEqual(both.embeddings[0], one.embeddings[0]);
        assert.notDeepEqual(both.embeddings[1], one.embeddings[0]);
    });

    test('pull: progress that ends in success, and the model is there at once', async () => {
        const seen = [];
        for await (const part of await ollama.pull({ model: 'mine-pulled:0.1b', stream: true })) seen.push(part);
        assert.equal(seen.at(-1).status, 'success');
        assert.ok(seen.some((part) => part.total > 0 && part.completed > 0), 'some progress in bytes');
        assert.ok((await ollama.list()).models.some((m) => m.name === 'mine-pulled:0.1b'));
    });

    test('copy and delete, on all nodes', async () => {
        await ollama.copy({ source: 'llama3.2', destination: 'mine-copied' });
        const answer = await ollama.chat({ model: 'mine-copied', messages: hello, ...short });
        assert.match(answer.message.content, /^\[simulated\]/);
        await ollama.delete({ model: 'mine-copied' });
        for (const node of f.nodes) {
            const { models } = (await ask(`${node.url}/api/tags`)).json;
            assert.ok(!models.some((m) => m.name === 'mine-copied:latest'), `gone from ${node.url}`);
        }
        await assert.rejects(ollama.show({ model: 'mine-copied' }), { status_code: 404 });
    });

    test('create from another model', async () => {
        const made = await ollama.create({ model: 'mine-made', from: 'llama3.2', system: 'You are brief.' });
        assert.equal(made.status, 'success');
        assert.ok((await ollama.list()).models.some((m) => m.name === 'mine-made:latest'));
    });

    test('ps: what is loaded anywhere, once', async () => {
        await ollama.generate({ model: 'llama3.2', prompt: 'hi', ...short });
        const found = await until('llama3.2 in ps', async () => (await ollama.ps()).models.filter((m) => m.name === 'llama3.2:latest'));
        await until('it is listed once', async () => (await ollama.ps()).models.filter((m) => m.name === 'llama3.2:latest').length === 1);
        for (const m of found) assert.ok(m.size_vram > 0 && Date.parse(m.expires_at) > Date.now());
    });

    test('errors: an unknown model is a ResponseError with its status and text', async () => {
        await assert.rejects(ollama.chat({ model: 'nowhere', messages: hello }), { name: 'ResponseError', status_code: 404, message: "model 'nowhere' not found" });
        await assert.rejects(ollama.chat({ model: 'nowhere', messages: hello, stream: true }), { name: 'ResponseError', status_code: 404 });
    });
});

describe('ollama: leaving', () => {
    let f;
    before(async () => { f = await fleet(3, { models: ['llama3.2=1MiB'], prefill: 0, decode: 50 }); });
    after(() => f?.stop());

    test('abort: the stream throws, the others go on, and the node is free within a second', async () => {
        const leaver = new Ollama({ host: f.url }), stayer = new Ollama({ host: f.url });
        const ask50 = (client) => client.generate({ model: 'llama3.2', prompt: 'a long story', stream: true, options: { num_predict: 50 } });
        const left = await leaver.generate({ model: 'llama3.2', prompt: 'a longer story', stream: true, options: { num_predict: 5000 } });
        const kept = await ask50(stayer);
        await assert.rejects(async () => {
            for await (const part of left) if (part.response) leaver.abort();
        }, { name: 'AbortError' });
        const aborted = performance.now();
        await until('one generation aborted at its node', async () => (await f.total('aborted')) === 1, 1_000);
        assert.ok(performance.now() - aborted < 1_000);
        let last;
        for await (const part of kept) last = part;
        assert.equal(last.eval_count, 50);
    });
});
