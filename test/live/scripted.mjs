// scripted.mjs - a node whose answers the test writes byte by byte, for what a simulated node cannot be asked to do: a line
// of 8 MB, a context of 100,000 numbers, a connection closed although keep-alive was announced, a look at what came in.
import http from 'node:http';
import { once } from 'node:events';

const json = (response, value) => response.setHeader('Content-Type', 'application/json; charset=utf-8').end(JSON.stringify(value));

const model = (name) => ({
    name: `${name}:latest`, model: `${name}:latest`, modified_at: '2026-01-01T00:00:00Z', size: 1000, digest: 'a'.repeat(64),
    details: { format: 'gguf', family: 'scripted', families: ['scripted'], parameter_size: '1B', quantization_level: 'Q4_0' },
});

// routes: {'POST /api/chat': (request, response, body: Buffer) => ...}; `stream: true` on a handler: it reads the body itself.
export async function scripted(routes = {}, { models = ['llama3.2'] } = {}) {
    const loaded = models.map((name) => ({ ...model(name), expires_at: '2099-01-01T00:00:00Z', size_vram: 1000, context_length: 4096 }));
    const usual = {
        'GET /': (request, response) => response.setHeader('Content-Type', 'text/plain; charset=utf-8').end('Ollama is running'),
        'GET /api/version': (request, response) => json(response, { version: '0.12.6' }),
        'GET /api/tags': (request, response) => json(response, { models: models.map(model) }),
        'GET /api/ps': (request, response) => json(response, { models: loaded }),
    };
    const seen = [];
    const server = http.createServer({ keepAliveTimeout: 60_000 }, async (request, response) => {
        const key = `${request.method} ${request.url}`;
        const handler = routes[key] ?? usual[key];
        seen.push({ key, headers: request.headers, raw: request.rawHeaders });
        if (!handler) {
            response.statusCode = 404;
            response.end('404 page not found');
            return;
        }
        if (handler.stream) return void handler(request, response);
        const parts = [];
        request.on('error', () => {});
        for await (const part of request) parts.push(part);
        handler(request, response, Buffer.concat(parts));
    });
    server.on('clientError', (error, socket) => socket.destroy());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
        url: `http://127.0.0.1:${server.address().port}`,
        seen,
        of: (key) => seen.filter((r) => r.key === key),
        stop: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
    };
}

export const ndjsonHead = (response) => response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
export const sseHead = (response) => response.writeHead(200, { 'Content-Type': 'text/event-stream' });
export const stamp = '2026-08-01T12:00:00.000000001Z';
export const done = (name, more = {}) => ({
    model: name, created_at: stamp, done: true, done_reason: 'stop', total_duration: 9, load_duration: 1, prompt_eval_count: 3,
    prompt_eval_duration: 2, eval_count: 4, eval_duration: 5, ...more,
});
