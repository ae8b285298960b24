// The `openai` package as its users call it, against three simulated nodes behind one gateway.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { fleet } from './lib.mjs';

const weather = {
    type: 'function',
    function: {
        name: 'get_weather', description: 'The weather of a town',
        parameters: { type: 'object', properties: { town: { type: 'string' }, days: { type: 'integer' } }, required: ['town', 'days'] },
    },
};

describe('openai', { concurrency: true }, () => {
    let f, openai;
    const ask = { model: 'llama3.2', messages: [{ role: 'user', content: 'Say hello to the fleet.' }], max_tokens: 12 };

    before(async () => {
        f = await fleet(3, { models: ['llama3.2=64MiB', 'qwen3:4b=64MiB', 'nomic-embed-text=16MiB'], slots: 8, 'load-rate': '1GiB/s', prefill: 0, decode: 400 });
        openai = new OpenAI({ baseURL: `${f.url}/v1`, apiKey: 'ollama', maxRetries: 0 });
    });
    after(() => f?.stop());

    test('chat, not streamed', async () => {
        const answer = await openai.chat.completions.create(ask);
        assert.match(answer.choices[0].message.content, /^\[simulated\]/);
        assert.equal(answer.choices[0].finish_reason, 'length');
        assert.equal(answer.usage.completion_tokens, 12);
        assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + 12);
    });

    test('chat, streamed: the pieces make the same text as the whole', async () => {
        const whole = await openai.chat.completions.create({ ...ask, temperature: 0 });
        let text = '', reason;
        for await (const chunk of await openai.chat.completions.create({ ...ask, temperature: 0, stream: true })) {
            text += chunk.choices[0]?.delta?.content ?? '';
            reason = chunk.choices[0]?.finish_reason ?? reason;
        }
        assert.equal(text, whole.choices[0].message.content);
        assert.equal(reason, 'length');
    });

    test('tools, not streamed and streamed: arguments are a JSON string that fits the schema', async () => {
        const request = { ...ask, max_tokens: undefined, messages: [{ role: 'user', content: 'What is the weather in Bergen?' }], tools: [weather] };
        const { choices: [choice] } = await openai.chat.completions.create(request);
        assert.equal(choice.finish_reason, 'tool_calls');
        const [call] = choice.message.tool_calls;
        assert.equal(call.function.name, 'get_weather');
        assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ['town', 'days']);

        const runner = openai.chat.completions.stream(request);
        const final = await runner.finalChatCompletion();
        assert.equal(final.choices[0].finish_reason, 'tool_calls');
        assert.equal(final.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);

        const after = await openai.chat.completions.create({ ...request, messages: [...request.messages, choice.message, { role: 'tool', tool_call_id: call.id, content: 'rain' }] });
        assert.match(after.choices[0].message.content, /^\[simulated\]/);
    });

    test('structured output: the text is JSON that fits the schema', async () => {
        const schema = { type: 'object', properties: { colour: { type: 'string' }, count: { type: 'integer' } }, required: ['colour', 'count'] };
        const answer = await openai.chat.completions.create({ ...ask, max_tokens: undefined, response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } });
        const value = JSON.parse(answer.choices[0].message.content);
        assert.equal(typeof value.colour, 'string');
        assert.equal(Number.isInteger(value.count), true);
    });

    test('completions, not streamed and streamed', async () => {
        const request = { model: 'llama3.2', prompt: 'Once upon a time', max_tokens: 8 };
        const whole = await openai.completions.create(request);
        assert.match(whole.choices[0].text, /^\[simulated\]/);
        let text = '';
        for await (const chunk of await openai.completions.create({ ...request, stream: true })) text += chunk.choices[0]?.text ?? '';
        assert.equal(text, whole.choices[0].text);
    });

    test('embeddings: base64, which the package asks for unasked, and floats are the same numbers', async () => {
        const request = { model: 'nomic-embed-text', input: ['one', 'two'] };
        const packed = await openai.embeddings.create(request);
        const plain = await openai.embeddings.create({ ...request, encoding_format: 'float' });
        assert.deepEqual(packed.data.map((d) => d.index), [0, 1]);
        for (const i of [0, 1]) {
            assert.equal(packed.data[i].embedding.length, 768);
            packed.data[i].embedding.forEach((v, k) => assert.ok(Math.abs(v - plain.data[i].embedding[k]) < 1e-6));
        }
    });

    test('models: list and retrieve', async () => {
        const { data } = await openai.models.list();
        assert.deepEqual(data.map((m) => m.id).sort(), ['llama3.2:latest', 'nomic-embed-text:latest', 'qwen3:4b']);
        const one = await openai.models.retrieve('llama3.2');
        assert.deepEqual([one.id, one.object, one.owned_by], ['llama3.2', 'model', 'library']);
    });

    test('responses, not streamed and streamed', async () => {
        const request = { model: 'llama3.2', input: 'Say hello to the fleet.', max_output_tokens: 12, temperature: 0 };
        const whole = await openai.responses.create(request);
        assert.match(whole.output_text, /^\[simulated\]/);
        let text = '', last;
        for await (const event of await openai.responses.create({ ...request, stream: true })) {
            if (event.type === 'response.output_text.delta') text += event.delta;
            last = event;
        }
        assert.equal(text, whole.output_text);
        assert.equal(last.type, 'response.completed');
    });

    test('errors: 404 and 400 are the classes of the package', async () => {
        await assert.rejects(openai.chat.completions.create({ ...ask, model: 'nowhere' }), (error) => {
            assert.ok(error instanceof OpenAI.NotFoundError);
            assert.equal(error.type, 'not_found_error');
            assert.match(error.message, /model 'nowhere' not found/);
            return true;
        });
        await assert.rejects(openai.chat.completions.create({ ...ask, messages: [] }), OpenAI.BadRequestError);
    });
});
