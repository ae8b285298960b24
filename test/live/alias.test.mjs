// Aliases, patterns and fallbacks, with the client libraries: every record of every dialect says the name that was asked
// for (ollama-api.md section 6, item 7), and nodes are asked for the model behind it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { ask, fleet, gateway, ndjson, simnode } from './lib.mjs';
import { ndjsonHead, scripted } from './scripted.mjs';

const messages = [{ role: 'user', content: 'Say hello to the fleet.' }];

async function all(stream) {
    const parts = [];
    for await (const part of stream) parts.push(part);
    return parts;
}

function allSay(name, parts, model = (part) => part.model) {
    assert.ok(parts.length > 1, `${parts.length} parts`);
    for (const part of parts) assert.equal(model(part), name);
}

describe('aliases', { concurrency: true }, () => {
    let f, ollama, openai, anthropic;
    const post = (path, body) => ask(f.url + path, { method: 'POST', body });

    before(async () => {
        const flags = ['--alias', 'gpt-4o=qwen3:4b,text-embedding-3-small=nomic-embed-text', '--alias', 'claude-*=claude-small',
            '--alias', 'claude-*-opus=qwen3:4b', '--alias', 'claude-small=llama3.2', '--alias', 'ghost=nobody-has-it'];
        f = await fleet(2, { models: ['llama3.2=64MiB', 'qwen3:4b=64MiB', 'nomic-embed-text=64MiB'], slots: 8, 'load-rate': '4GiB/s', prefill: 0, decode: 0 }, { flags });
        ollama = new Ollama({ host: f.url });
        openai = new OpenAI({ baseURL: `${f.url}/v1`, apiKey: 'any', maxRetries: 0 });
        anthropic = new Anthropic({ baseURL: f.url, apiKey: 'any', maxRetries: 0 });
    });
    after(() => f?.stop());

    const works = async (model) => {
        const stats = await Promise.all(f.nodes.map((n) => n.stats()));
        return stats.reduce((sum, s) => sum + s.models[model].requests, 0);
    };

    test('ollama-js: chat and generate, whole and streamed, in the spelling that was used', async () => {
        const before = await works('qwen3:4b');
        for (const model of ['gpt-4o', 'GPT-4o:latest']) {
            assert.equal((await ollama.chat({ model, messages })).model, model);
            allSay(model, await all(await ollama.chat({ model, messages, stream: true })));
            assert.equal((await ollama.generate({ model, prompt: 'x' })).model, model);
            allSay(model, await all(await ollama.generate({ model, prompt: 'x', stream: true })));
        }
        assert.ok(await works('qwen3:4b') >= before + 8);
    });

    test('an alias and its model give the same answer', async () => {
        const options = { temperature: 0 };
        const [one, other] = await Promise.all(['gpt-4o', 'qwen3:4b'].map((model) => ollama.chat({ model, messages, options })));
        assert.equal(one.message.content, other.message.content);
    });

    test('an empty prompt loads, and keep_alive 0 unloads, the model behind the alias', async () => {
        const loaded = await post('/api/generate', { model: 'gpt-4o' });
        assert.deepEqual([loaded.json.model, loaded.json.done_reason], ['gpt-4o', 'load']);
        const unloaded = await post('/api/generate', { model: 'ghost', keep_alive: 0 });
        assert.equal(unloaded.status, 404, unloaded.text);
    });

    test('ollama-js: embed, and show', async () => {
        const answer = await ollama.embed({ model: 'text-embedding-3-small', input: ['a', 'b'] });
        assert.deepEqual([answer.model, answer.embeddings.length], ['text-embedding-3-small', 2]);
        assert.ok((await ollama.show({ model: 'claude-3' })).model_info);
    });

    test('openai: chat, completions, embeddings and responses, whole and streamed', async () => {
        const model = 'gpt-4o';
        assert.equal((await openai.chat.completions.create({ model, messages })).model, model);
        const chat = await openai.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
        allSay(model, await all(chat));
        assert.equal((await openai.completions.create({ model, prompt: 'x' })).model, model);
        allSay(model, await all(await openai.completions.create({ model, prompt: 'x', stream: true })));
        const vectors = await openai.embeddings.create({ model: 'text-embedding-3-small', input: 'x' });
        assert.equal(vectors.model, 'text-embedding-3-small');
        assert.equal((await openai.responses.create({ model, input: 'x' })).model, model);
        const events = await all(await openai.responses.create({ model, input: 'x', stream: true }));
        allSay(model, events.filter((e) => e.response), (e) => e.response.model);
        assert.equal((await openai.models.retrieve(model)).id, model);
    });

    test('anthropic: patterns, a chain, and the longer beginning; whole and streamed', async () => {
        const small = await works('llama3.2:latest'), large = await works('qwen3:4b');
        const request = { model: 'claude-sonnet-4-5', max_tokens: 20, messages };
        assert.equal((await anthropic.messages.create(request)).model, 'claude-sonnet-4-5');
        const events = await all(await anthropic.messages.create({ ...request, stream: true }));
        assert.equal(events[0].message.model, 'claude-sonnet-4-5');
        assert.equal(events.at(-1).type, 'message_stop');
        assert.ok(await works('llama3.2:latest') >= small + 2);
        assert.equal((await anthropic.messages.create({ ...request, model: 'claude-3-opus' })).model, 'claude-3-opus');
        assert.ok(await works('qwen3:4b') > large);
    });

    test('errors speak of the name that was asked for', async () => {
        const chat = await post('/api/chat', { model: 'ghost', messages });
        assert.deepEqual([chat.status, chat.json.error], [404, "model 'ghost' not found"]);
        const shown = await post('/api/show', { model: 'ghost' });
        assert.deepEqual([shown.status, shown.json.error], [404, "model 'ghost:latest' not found"]);
        await assert.rejects(openai.chat.completions.create({ model: 'ghost', messages }), { status: 404, message: /model 'ghost' not found/ });
    });

    test('files are of the name that is said: no alias is deleted or copied through', async () => {
        const deleted = await ask(`${f.url}/api/delete`, { method: 'DELETE', body: { model: 'gpt-4o' } });
        assert.deepEqual([deleted.status, deleted.json.error], [404, "model 'gpt-4o' not found"]);
        assert.equal((await post('/api/copy', { source: 'gpt-4o', destination: 'x' })).status, 404);
        assert.equal((await post('/api/show', { model: 'qwen3:4b' })).status, 200);
    });

    test('what is no alias is untouched', async () => {
        const reply = await post('/api/generate', { model: 'LLAMA3.2', prompt: 'x', stream: false });
        assert.equal(reply.json.model, 'LLAMA3.2');
    });
});

describe('answers of any size and cut', { concurrency: true }, () => {
    let node, front;
    const seen = [];
    const context = Array.from({ length: 60_000 }, (unused, i) => 100_000 + i);

    before(async () => {
        const routes = {
            'POST /api/generate': (request, response, body) => {
                const asked = JSON.parse(body);
                if (!asked.prompt) { // the fleet loads the model, because of the context
                    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ model: asked.model, response: '', done: true, done_reason: 'load' }));
                    return;
                }
                seen.push(asked);
                const records = [{ model: 'llama3.2', response: '"model":"llama3.2"', done: false }, { context, model: 'llama3.2', done: true, done_reason: 'stop' }];
                ndjsonHead(response).end(records.map((r) => `${JSON.stringify(r)}\n`).join(''));
            },
            'POST /v1/embeddings': (request, response) => { // the name stands behind half a megabyte, as Ollama writes it
                response.setHeader('Content-Type', 'application/json');
                const data = Array.from({ length: 10 }, (unused, index) => ({ object: 'embedding', embedding: context.slice(0, 8000), index }));
                response.end(JSON.stringify({ object: 'list', data, model: 'llama3.2', usage: { prompt_tokens: 1, total_tokens: 1 } }));
            },
            'POST /api/chat': (request, response, body) => {
                seen.push(JSON.parse(body));
                response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ model: 'llama3.2', message: {}, done: true }));
            },
        };
        node = await scripted(routes, { models: ['llama3.2', 'other'] });
        front = await gateway([node], { flags: ['--alias', 'a"b\u00e9=llama3.2', '--alias', 'long-name-of-a-model=llama3.2', '--alias', 'another=other', '--model', 'other,num_ctx=12345',
            '--model', 'ghost,num_ctx=7777', '--fallback', 'ghost=phantom,other', '--model', 'void,num_ctx=7777', '--fallback', 'void=llama3.2'] });
    });
    after(async () => {
        await front?.stop();
        await node?.stop();
    });

    test('a final record of hundreds of kilobytes, and text that looks like a name', async () => {
        const reply = await ask(`${front.url}/api/generate`, { body: { model: 'long-name-of-a-model', prompt: 'x' } });
        const [first, last] = ndjson(reply.text);
        assert.deepEqual(first, { model: 'long-name-of-a-model', response: '"model":"llama3.2"', done: false });
        assert.deepEqual([last.model, last.context], ['long-name-of-a-model', context]);
        assert.deepEqual(seen.filter((body) => body.prompt).map((body) => body.model), ['llama3.2']);
    });

    test('an unstreamed answer that is let through before its end, with the name behind it all', async () => {
        const reply = await ask(`${front.url}/v1/embeddings`, { body: { model: 'long-name-of-a-model', input: 'x' } });
        assert.ok(reply.buffer.length > 500_000);
        assert.deepEqual([reply.json.model, reply.json.data.length], ['long-name-of-a-model', 10]);
    });

    test('names are quoted as JSON wants it', async () => {
        const reply = await ask(`${front.url}/api/chat`, { body: { model: 'a"b\u00e9', messages, stream: false } });
        assert.equal(reply.status, 200, reply.text);
        assert.equal(reply.json.model, 'a"b\u00e9');
        assert.equal(Number(reply.headers['content-length']), reply.buffer.length);
    });

    test('models.NAME.num_ctx is for native requests that name none', async () => {
        let mark = 0;
        const context = async (body) => {
            mark++;
            await ask(`${front.url}/api/chat`, { body: { model: 'other', messages, stream: false, mark, ...body } });
            return seen.findLast((asked) => asked.mark === mark).options;
        };
        assert.deepEqual(await context({}), { num_ctx: 12345 });
        assert.deepEqual(await context({ options: {} }), { num_ctx: 12345 });
        assert.deepEqual(await context({ options: { seed: 1 } }), { seed: 1, num_ctx: 12345 });
        assert.deepEqual(await context({ options: { num_ctx: 512 } }), { num_ctx: 512 });
        assert.deepEqual(await context({ model: 'another', options: null }), { num_ctx: 12345 });
        assert.deepEqual(await context({ model: 'ghost' }), { num_ctx: 12345 }, 'its own, after a fallback');
        assert.deepEqual(await context({ model: 'void' }), { num_ctx: null }, 'none of its own');
    });
});

describe('fallbacks', { concurrency: true }, () => {
    test('a model that nobody has is answered by the next that somebody has', async (t) => {
        const f = await fleet(1, { models: ['small=64MiB'], 'load-rate': '4GiB/s', prefill: 0, decode: 0 }, { flags: ['--fallback', 'large=medium,small'] });
        t.after(() => f.stop());
        const ollama = new Ollama({ host: f.url });
        allSay('large', await all(await ollama.chat({ model: 'large', messages, stream: true })));
        assert.equal((await ollama.chat({ model: 'Large', messages })).model, 'Large');
        assert.equal((await ask(`${f.url}/api/chat`, { body: { model: 'medium', messages } })).status, 404);
        const stopped = await ask(`${f.url}/api/generate`, { body: { model: 'large', keep_alive: 0 } });
        assert.equal(stopped.status, 404, 'no other model is unloaded in its place');
        assert.equal((await f.nodes[0].stats()).unloads, 0);
    });

    test('a model whose node is down, and one whose node fails', async (t) => {
        const one = await simnode({ models: ['large=64MiB'], prefill: 0, decode: 0 });
        const other = await simnode({ models: ['small=64MiB'], prefill: 0, decode: 0 });
        const front = await gateway([one, other], { flags: ['--fallback', 'large=small', '--alias', 'gpt-4o=large', '--retry-max', '0'] });
        t.after(async () => { await front.stop(); await one.stop(); await other.stop(); });
        const from = async (model) => {
            const reply = await ask(`${front.url}/api/generate`, { body: { model, prompt: 'x', stream: false } });
            return [reply.status, reply.json.model, reply.headers['x-ollamamax-node']];
        };
        assert.deepEqual(await from('large'), [200, 'large', 'n1']);
        await one.faults({ status: 500, count: 1 });
        assert.deepEqual(await from('gpt-4o'), [200, 'gpt-4o', 'n2']);
        await one.kill();
        assert.deepEqual(await from('large'), [200, 'large', 'n2']);
    });

    test('when no fallback can serve either, the answer is about the model that was asked for', async (t) => {
        const node = await simnode({ models: ['other=64MiB'] });
        const front = await gateway([node], { flags: ['--fallback', 'large=small,tiny'] });
        t.after(async () => { await front.stop(); await node.stop(); });
        const reply = await ask(`${front.url}/api/chat`, { body: { model: 'large', messages } });
        assert.deepEqual([reply.status, reply.json.error], [404, "model 'large' not found"]);
    });
});
