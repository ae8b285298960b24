// ollama-api.md section 6, items about nodes that die and clients that leave: 12-16.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { Wire, ask, fleet, ndjson, python, sse, until } from './lib.mjs';

const messages = [{ role: 'user', content: 'hello' }];
const first = { 'X-OllamaMax-Node': 'n1' };

describe('section 6, nodes that die', () => {
    let f, url;
    // The next answer of n1 breaks after so many bytes. Two good ones before it keep its breaker closed.
    const cut = async (bytes) => {
        for (let i = 0; i < 2; i++) assert.equal((await ask(`${url}/api/chat`, { body: { model: 'llama3.2', messages }, headers: first })).status, 200);
        await f.nodes[0].faults({ reset_after_bytes: bytes, count: 1 });
    };

    // The node that would get the next request.
    const chosen = async () => {
        const name = (await ask(`${url}/api/chat`, { body: { model: 'llama3.2', messages } })).headers['x-ollamamax-node'];
        return f.nodes[Number(name.slice(1)) - 1];
    };

    before(async () => {
        f = await fleet(3, { models: ['llama3.2=1MiB', 'nomic-embed-text=1MiB'], slots: 8, prefill: 0, decode: 0 });
        url = f.url;
    });
    after(() => f?.stop());

    for (const bytes of [700, 701, 702, 750, 800, 900])
        test(`6.12 node dies mid-stream, after ${bytes} bytes: native stream ends with an error record on a clean line`, async () => {
            await cut(bytes);
            const reply = await ask(`${url}/api/chat`, { body: { model: 'llama3.2', messages }, headers: first });
            assert.equal(reply.status, 200);
            const { records } = reply; // throws unless each line is whole
            assert.ok(records.length > 1);
            assert.match(records.at(-1).error, /broke off/);
            assert.ok(records.slice(0, -1).every((r) => r.done === false));
        });

    test('6.12 node dies mid-stream: ollama-js raises; ollama-python (replayed) finds `error` in the last line', async () => {
        await cut(900);
        const ollama = new Ollama({ host: url, headers: first });
        let text = '';
        await assert.rejects(async () => {
            for await (const part of await ollama.chat({ model: 'llama3.2', messages, stream: true })) text += part.message.content;
        }, /broke off/);
        assert.match(text, /^\[simulated\]/);
        await cut(900);
        const wire = await Wire.open(f.port);
        wire.request('POST /api/generate', [...python(f.port), 'X-OllamaMax-Node: n1'], { model: 'llama3.2', prompt: 'x', stream: true });
        assert.match(ndjson((await wire.response()).text).at(-1).error, /broke off/);
        wire.close();
    });

    test('6.13 node dies mid-stream on /v1/chat/completions: openai raises APIError, and no [DONE] follows', async () => {
        await cut(1500);
        const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0, defaultHeaders: first });
        let text = '';
        await assert.rejects(async () => {
            for await (const chunk of await openai.chat.completions.create({ model: 'llama3.2', messages, stream: true })) text += chunk.choices[0]?.delta?.content ?? '';
        }, (error) => error instanceof OpenAI.APIError && /broke off/.test(error.message));
        assert.match(text, /^\[simulated\]/);
        for (const path of ['/v1/chat/completions', '/v1/completions']) {
            await cut(1500);
            const { text: raw } = await ask(url + path, { body: { model: 'llama3.2', messages, prompt: 'x', stream: true }, headers: first });
            const events = sse(raw);
            assert.ok(!raw.includes('[DONE]'), path);
            assert.match(events.at(-1).data.error.message, /broke off/, path);
            assert.equal(events.at(-1).data.error.type, 'api_error');
        }
    });

    test('6.14 node dies mid-stream on /v1/messages: the SDK raises from event: error; on /v1/responses openai raises too', async () => {
        await cut(1500);
        const anthropic = new Anthropic({ baseURL: url, apiKey: 'x', maxRetries: 0, defaultHeaders: first });
        await assert.rejects(anthropic.messages.stream({ model: 'llama3.2', max_tokens: 100, messages }).finalMessage(),
            (error) => error instanceof Anthropic.APIError && /broke off/.test(error.message));
        await cut(1500);
        const raw = await ask(`${url}/v1/messages`, { body: { model: 'llama3.2', max_tokens: 100, messages, stream: true }, headers: first });
        assert.deepEqual([raw.events.at(-1).event, raw.events.at(-1).data.type, raw.events.at(-1).data.error.type], ['error', 'error', 'api_error']);
        assert.ok(!raw.events.some((e) => e.event === 'message_stop'));
        await cut(3500);
        const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0, defaultHeaders: first });
        await assert.rejects(async () => {
            for await (const event of await openai.responses.create({ model: 'llama3.2', input: 'hello', stream: true })) assert.notEqual(event.type, 'response.completed');
        }, (error) => error instanceof OpenAI.APIError && /broke off/.test(error.message));
    });

    test('6.12 node dies inside an unstreamed answer: nothing has been sent, so another node answers', async () => {
        for (let i = 0; i < 3; i++) {
            const dying = await chosen();
            await dying.faults({ reset_after_bytes: 100, count: 1 });
            const reply = await ask(`${url}/api/chat`, { body: { model: 'llama3.2', messages, stream: false } });
            assert.deepEqual([reply.status, reply.json.done], [200, true], reply.text);
            assert.equal(reply.headers['x-ollamamax-attempts'], '2');
        }
    });

    test('6.15 node dies before the first byte: the client sees one success from another node, no token twice', async () => {
        const whole = await ask(`${url}/api/chat`, { body: { model: 'llama3.2', messages, options: { temperature: 0 } } });
        const expected = whole.records.map((r) => r.message.content).join('');
        const apart = { 'Cache-Control': 'no-store' }; // or the same question would be asked once, for all
        for (const path of ['/api/chat', '/v1/chat/completions', '/v1/messages']) {
            // A node that died a moment ago is shunned, so nobody may meet it; then once more.
            await until(`${path}: somebody meets a dying node`, async () => {
                const dying = await chosen();
                await dying.faults({ reset_after_bytes: 0, count: 6 }); // also what is sent anew after a kept connection died
                const replies = await Promise.all(Array.from({ length: 9 }, () =>
                    ask(url + path, { headers: apart, body: { model: 'llama3.2', messages, max_tokens: 100, stream: true, temperature: 0 } })));
                await dying.faults({});
                for (const reply of replies) {
                    assert.equal(reply.status, 200, reply.text);
                    if (path === '/api/chat') assert.equal(reply.records.map((r) => r.message.content).join(''), expected);
                    else assert.equal(reply.text.match(/\[simulated\]/g).length, 1);
                }
                return replies.reduce((sum, reply) => sum + Number(reply.headers['x-ollamamax-attempts']), 0) > replies.length;
            }, 20_000);
            await until('all nodes up again', async () => (await f.gate.nodes()).every((n) => n.state === 'up'));
        }
    });
});

describe('section 6, clients that leave', () => {
    // A prompt of 2,000 tokens takes 20 s to read, 2,000 tokens take 20 s to say.
    const slow = { models: ['llama3.2=1MiB'], prefill: 100, decode: 100 };
    const long = 'word '.repeat(1600);
    let f;
    before(async () => { f = await fleet(2, slow); });
    after(() => f?.stop());

    for (const [stage, body] of [
        ['prefill', { model: 'llama3.2', prompt: long }],
        ['decode', { model: 'llama3.2', prompt: 'x', options: { num_predict: 2000 } }],
    ])
        for (const stream of [true, false])
            test(`6.16 a client that leaves during ${stage} frees the slot within a second, stream: ${stream}`, async () => {
                const before = await f.total('aborted');
                const wire = await Wire.open(f.port);
                wire.request('POST /api/generate', [`Host: 127.0.0.1:${f.port}`], { ...body, stream });
                if (stage === 'decode' && stream) await wire.head();
                else await f.busy();
                assert.equal(await f.total('active'), 1);
                wire.close();
                await until('the slot is free', async () => (await f.total('active')) === 0, 1_000);
                assert.equal(await f.total('aborted'), before + 1);
                await until('the gateway counts nothing in flight', async () => (await f.gate.nodes()).every((n) => n.inflight === 0), 1_000);
            });
});
