// The `@anthropic-ai/sdk` package as its users call it, against three simulated nodes behind one gateway.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { fleet } from './lib.mjs';

describe('anthropic', () => {
    let f, anthropic;
    const ask = { model: 'llama3.2', max_tokens: 64, messages: [{ role: 'user', content: 'Say hello to the fleet.' }] };

    before(async () => {
        f = await fleet(3, { models: ['llama3.2=64MiB', 'qwen3:4b=64MiB'], slots: 8, 'load-rate': '1GiB/s', prefill: 0, decode: 400 });
        anthropic = new Anthropic({ baseURL: f.url, apiKey: 'ollama', maxRetries: 0 });
    });
    after(() => f?.stop());

    test('messages, not streamed', async () => {
        const answer = await anthropic.messages.create(ask);
        assert.deepEqual([answer.type, answer.role, answer.model, answer.stop_reason], ['message', 'assistant', 'llama3.2', 'end_turn']);
        assert.match(answer.content[0].text, /^\[simulated\]/);
        assert.ok(answer.usage.output_tokens > 0);
    });

    test('messages, streamed: the pieces make the same text as the whole', async () => {
        const whole = await anthropic.messages.create({ ...ask, temperature: 0 });
        const stream = anthropic.messages.stream({ ...ask, temperature: 0 });
        let text = '';
        stream.on('text', (piece) => { text += piece; });
        const final = await stream.finalMessage();
        assert.equal(text, whole.content[0].text);
        assert.equal(final.content[0].text, text);
        assert.deepEqual(final.usage.output_tokens, whole.usage.output_tokens);
    });

    test('max_tokens is a bound', async () => {
        const answer = await anthropic.messages.create({ ...ask, max_tokens: 5 });
        assert.deepEqual([answer.stop_reason, answer.usage.output_tokens], ['max_tokens', 5]);
    });

    test('tools: a tool_use block with an object that fits the schema', async () => {
        const tools = [{ name: 'get_weather', description: 'x', input_schema: { type: 'object', properties: { town: { type: 'string' } }, required: ['town'] } }];
        const answer = await anthropic.messages.create({ ...ask, tools, messages: [{ role: 'user', content: 'What is the weather in Bergen?' }] });
        assert.equal(answer.stop_reason, 'tool_use');
        const use = answer.content.find((block) => block.type === 'tool_use');
        assert.equal(use.name, 'get_weather');
        assert.equal(typeof use.input.town, 'string');
    });

    test('thinking: thoughts in a block of their own', async () => {
        const answer = await anthropic.messages.create({ ...ask, max_tokens: 2048, model: 'qwen3:4b', thinking: { type: 'enabled', budget_tokens: 1024 } });
        assert.deepEqual(answer.content.map((block) => block.type), ['thinking', 'text']);
    });

    test('errors: 404 and 400 are the classes of the package', async () => {
        await assert.rejects(anthropic.messages.create({ ...ask, model: 'nowhere' }), (error) => {
            assert.ok(error instanceof Anthropic.NotFoundError);
            assert.equal(error.error.error.type, 'not_found_error');
            return true;
        });
        await assert.rejects(anthropic.messages.create({ ...ask, messages: [] }), Anthropic.BadRequestError);
    });

    test('error events: a node that dies mid-stream makes the stream throw', async () => {
        const pinned = new Anthropic({ baseURL: f.url, apiKey: 'ollama', maxRetries: 0, defaultHeaders: { 'X-OllamaMax-Node': 'n2' } });
        await f.nodes[1].faults({ reset_after_bytes: 1500, count: 1 });
        const stream = pinned.messages.stream(ask);
        let text = '';
        stream.on('text', (piece) => { text += piece; });
        await assert.rejects(stream.finalMessage(), (error) => {
            assert.ok(error instanceof Anthropic.APIError, String(error));
            assert.equal(error.error.error.type, 'api_error');
            return true;
        });
        assert.match(text, /^\[simulated\]/);
    });
});
