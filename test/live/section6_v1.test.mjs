// ollama-api.md section 6, items about the OpenAI and Anthropic dialects: 30-35.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { ask, fleet } from './lib.mjs';

const messages = [{ role: 'user', content: 'What is the weather in Bergen?' }];
const schema = { type: 'object', properties: { zone: { type: 'string' }, town: { type: 'string' }, days: { type: 'integer' } }, required: ['zone', 'town', 'days'] };
const tools = [{ type: 'function', function: { name: 'get_weather', description: 'x', parameters: schema } }];

describe('section 6, /v1', { concurrency: true }, () => {
    let f, url;
    const post = (path, body, more) => ask(url + path, { method: 'POST', body, ...more });

    before(async () => {
        f = await fleet(3, { models: ['llama3.2=16MiB', 'qwen3:4b=16MiB', 'nomic-embed-text=16MiB'], slots: 8, 'load-rate': '4GiB/s', prefill: 0, decode: 500 });
        url = f.url;
    });
    after(() => f?.stop());

    test('6.30 embeddings: openai-node asks for base64 unasked and gets a string it can decode; explicit float works', async () => {
        const plain = await post('/v1/embeddings', { model: 'nomic-embed-text', input: 'one', encoding_format: 'float' });
        const packed = await post('/v1/embeddings', { model: 'nomic-embed-text', input: 'one', encoding_format: 'base64' });
        const bytes = Buffer.from(packed.json.data[0].embedding, 'base64');
        const floats = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
        assert.equal(floats.length, plain.json.data[0].embedding.length);
        floats.forEach((v, i) => assert.ok(Math.abs(v - plain.json.data[0].embedding[i]) < 1e-6));
        const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x' });
        const decoded = await openai.embeddings.create({ model: 'nomic-embed-text', input: 'one' });
        assert.deepEqual(decoded.data[0].embedding.map((v) => v.toFixed(5)), floats.map((v) => v.toFixed(5)));
        const missing = await post('/v1/embeddings', { model: 'nomic-embed-text' });
        assert.deepEqual([missing.status, missing.json.error.message], [400, 'invalid input']);
    });

    test('6.31 chat stream: role first only, one finish chunk, usage only if asked for, [DONE], one id', async () => {
        for (const include_usage of [false, true]) {
            const reply = await post('/v1/chat/completions', { model: 'llama3.2', messages, stream: true, max_tokens: 6, ...(include_usage && { stream_options: { include_usage } }) });
            assert.equal(reply.type, 'text/event-stream');
            const { events } = reply;
            assert.equal(events.at(-1).data, '[DONE]');
            const chunks = events.slice(0, -1).map((e) => e.data);
            assert.ok(events.every((e) => e.event === undefined), 'no event names');
            assert.equal(new Set(chunks.map((c) => c.id)).size, 1);
            assert.deepEqual([...new Set(chunks.map((c) => c.object))], ['chat.completion.chunk']);
            const usages = chunks.filter((c) => c.usage);
            assert.equal(usages.length, include_usage ? 1 : 0);
            if (include_usage) {
                assert.deepEqual(chunks.at(-1).choices, []);
                assert.equal(chunks.at(-1).usage.completion_tokens, 6);
            }
            const choices = chunks.filter((c) => c.choices.length).map((c) => c.choices[0]);
            assert.deepEqual(choices.map((c) => c.delta.role), ['assistant', ...choices.slice(1).map(() => undefined)]);
            assert.deepEqual(choices.filter((c) => c.finish_reason).map((c) => c.finish_reason), ['length']);
            assert.equal(choices.at(-1).finish_reason, 'length');
        }
    });

    test('6.32 tools: arguments a JSON string for openai with finish_reason tool_calls; natively an object, key order kept', async () => {
        const openai = await post('/v1/chat/completions', { model: 'llama3.2', messages, tools });
        const [choice] = openai.json.choices;
        assert.equal(choice.finish_reason, 'tool_calls');
        assert.equal(typeof choice.message.tool_calls[0].function.arguments, 'string');
        assert.deepEqual(Object.keys(JSON.parse(choice.message.tool_calls[0].function.arguments)), ['zone', 'town', 'days']);
        const native = await post('/api/chat', { model: 'llama3.2', messages, tools, stream: false });
        const call = native.json.message.tool_calls[0].function;
        assert.deepEqual([call.name, Object.keys(call.arguments)], ['get_weather', ['zone', 'town', 'days']]);
        assert.match(native.text, /"arguments":\{"zone":.*"town":.*"days":/);
    });

    test('6.33 messages: the order of events to message_stop; max_tokens missing is 400; any key is accepted', async () => {
        const reply = await post('/v1/messages', { model: 'llama3.2', max_tokens: 50, messages: [{ role: 'user', content: 'hello' }], stream: true }, { headers: { 'x-api-key': 'anything', 'anthropic-version': '2023-06-01' } });
        const names = reply.events.map((e) => e.event);
        assert.ok(reply.events.every((e) => e.data.type === e.event));
        assert.match(names.join(' '), /^message_start content_block_start( content_block_delta)+ content_block_stop message_delta message_stop$/);
        const bad = await post('/v1/messages', { model: 'llama3.2', messages });
        assert.deepEqual([bad.status, bad.json.type, bad.json.error.type], [400, 'error', 'invalid_request_error']);
        const anthropic = new Anthropic({ baseURL: url, apiKey: 'dummy', maxRetries: 0 });
        assert.equal((await anthropic.messages.create({ model: 'llama3.2', max_tokens: 5, messages })).role, 'assistant');
        const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'dummy', maxRetries: 0 });
        assert.equal((await openai.chat.completions.create({ model: 'llama3.2', max_tokens: 5, messages })).object, 'chat.completion');
    });

    test('6.34 responses stream: sequence numbers rise by one, response.completed is last, no [DONE]', async () => {
        const reply = await post('/v1/responses', { model: 'llama3.2', input: 'hello', stream: true });
        const { events } = reply;
        assert.deepEqual(events.map((e) => e.data.sequence_number), events.map((_, i) => events[0].data.sequence_number + i));
        assert.ok(events.every((e) => e.data.type === e.event));
        assert.deepEqual(events.slice(0, 2).map((e) => e.event), ['response.created', 'response.in_progress']);
        assert.equal(events.at(-1).event, 'response.completed');
        assert.ok(!reply.text.includes('[DONE]'));
        const deltas = events.filter((e) => e.event === 'response.output_text.delta').map((e) => e.data.delta).join('');
        assert.equal(events.find((e) => e.event === 'response.output_text.done').data.text, deltas);
    });

    test('6.35 a zstd body on /v1 is routed by its model and understood; what is not zstd, and gzip, are clear refusals', async (t) => {
        if (!zlib.zstdCompressSync) return t.skip('not run: this Node.js has no zstd');
        const packed = (value) => zlib.zstdCompressSync(Buffer.from(JSON.stringify(value)));
        const headers = { 'Content-Type': 'application/json', 'Content-Encoding': 'zstd' };
        const chat = await post('/v1/chat/completions', packed({ model: 'qwen3:4b', messages, max_tokens: 5 }), { headers });
        assert.deepEqual([chat.status, chat.json.model], [200, 'qwen3:4b'], chat.text);
        const answer = await post('/v1/messages', packed({ model: 'llama3.2', messages, max_tokens: 5 }), { headers });
        assert.deepEqual([answer.status, answer.json.model], [200, 'llama3.2']);
        const unknown = await post('/v1/chat/completions', packed({ model: 'nowhere', messages }), { headers });
        assert.equal(unknown.status, 404, 'the name inside decides');
        const long = await post('/v1/chat/completions', packed({ model: 'llama3.2', messages: [{ role: 'user', content: 'x'.repeat(2_000_000) }], max_tokens: 5 }), { headers });
        assert.equal(long.status, 200, long.text);
        const broken = await post('/v1/chat/completions', Buffer.from('not zstd at all'), { headers });
        assert.equal(broken.status, 400, broken.text);
        const gzip = await post('/v1/chat/completions', zlib.gzipSync('{}'), { headers: { ...headers, 'Content-Encoding': 'gzip' } });
        assert.equal(gzip.status, 415, gzip.text);
        assert.equal(typeof gzip.json.error.message, 'string');
    });
});
