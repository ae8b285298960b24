// lib.mjs - programs on ephemeral ports, raw HTTP, and waiting for conditions: what the live tests share.
//
// Every program started here dies with the test: asked at the end (stop), by the kernel if the test itself is killed
// (setpriv --pdeathsig). stop() of a gateway asserts its exit status, so that a leak which the sanitizers report at exit
// fails the test that made it. Nothing sleeps for luck: until() asks for a condition and says what was seen instead.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import path from 'node:path';

const top = process.env.OLLAMAMAX_TOP ?? path.resolve(import.meta.dirname, '../..');
export const bin = process.env.OLLAMAMAX_BIN ?? path.join(top, 'build/release/src/ollamamax');
export const work = path.join(top, 'build');

// ---- waiting --------------------------------------------------------------------------------------------------------

// Resolves to the first truthy value of probe(); rejects with `what` and the last value seen.
export async function until(what, probe, ms = 10_000) {
    const end = performance.now() + ms;
    for (;;) {
        let seen;
        try {
            seen = await probe();
            if (seen) return seen;
        } catch (error) {
            seen = error;
        }
        if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}; last seen: ${seen}`);
        await pause(10);
    }
}

// The value, or an error that names what was waited for.
export async function within(ms, what, promise) {
    const timer = new AbortController();
    const late = pause(ms, null, { signal: timer.signal }).then(() => assert.fail(`not within ${ms} ms: ${what}`));
    late.catch(() => {});
    try {
        return await Promise.race([promise, late]);
    } finally {
        timer.abort();
    }
}

export { pause };

// ---- programs -------------------------------------------------------------------------------------------------------

class Program {
    constructor(child) {
        this.child = child;
        this.pid = child.pid;
        this.said = '';
        for (const stream of [child.stdout, child.stderr])
            stream.setEncoding('utf8').on('data', (text) => { this.said = (this.said + text).slice(-1_000_000); });
        this.ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
    }

    // http://127.0.0.1:PORT, as soon as it says that it listens there.
    async listening() {
        const command = this.child.spawnargs.join(' ');
        const said = () => /listening\D*?http:\/\/(127\.0\.0\.1:\d+)/.exec(this.said);
        const found = await until(`listening: ${command}`, () => said() || (this.child.exitCode !== null && { ended: true }), 20_000);
        assert.ok(!found.ended, `${command} ended: ${this.said}`);
        this.url = `http://${found[1]}`;
        this.port = Number(found[1].split(':')[1]);
        return this;
    }

    kill(signal = 'SIGKILL') {
        this.killed = true;
        this.child.kill(signal);
        return this.ended;
    }

    // Asked to end, and it must do so well; one that has ended unasked has crashed.
    async stop() {
        if (this.killed) return;
        this.child.kill('SIGTERM');
        try {
            const { code, signal } = await within(15_000, `end of ${this.child.spawnargs.join(' ')}`, this.ended);
            assert.deepEqual({ code, signal }, { code: 0, signal: null }, `it ended badly: ${this.said.slice(-8_000)}`);
        } finally {
            this.child.kill('SIGKILL');
        }
    }

    status(field) {
        const line = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(fs.readFileSync(`/proc/${this.pid}/status`, 'utf8'));
        return Number(line[1]);
    }

    rss() { return this.status('VmRSS') * 1024; }
    descriptors() { return fs.readdirSync(`/proc/${this.pid}/fd`).length; }
}

// limits: arguments of prlimit, "--nofile=256".
export function run(args, { env = {}, limits = [] } = {}) {
    const command = [...(limits.length ? ['prlimit', ...limits] : []), bin, ...args];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, HOME: '/nonexistent', ...sanitizers(), ...env },
    });
    return new Program(child);
}

function sanitizers() {
    return Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(A|UB|T|L)SAN_OPTIONS$/.test(name)));
}

// A simulated node. options: {models, ...flags}, where flags are those of `simnode`: {slots: 4, 'load-rate': '2GiB/s'}.
export async function simnode({ models = ['llama3.2'], listen = '127.0.0.1:0', ...flags } = {}) {
    const args = ['simnode', '--listen', listen, ...models.flatMap((m) => ['--model', m])];
    for (const [name, value] of Object.entries(flags)) args.push(`--${name}`, String(value));
    const node = await run(args).listening();
    node.slots = flags.slots ?? 1;
    // Every model loaded, as on a fleet that is in use.
    node.warm = async () => {
        for (const model of models.map((m) => m.split('=')[0])) {
            const reply = await ask(`${node.url}/api/generate`, { body: { model } });
            if (reply.status !== 200) assert.equal((await ask(`${node.url}/api/embed`, { body: { model } })).status, 200);
        }
    };
    node.faults = async (faults) => {
        const reply = await ask(`${node.url}/sim/faults`, { method: 'POST', body: faults });
        assert.equal(reply.status, 200, reply.text);
    };
    node.stats = async () => (await ask(`${node.url}/sim/stats`)).json;
    return node;
}

// A gateway before these nodes (URLs or what simnode() gave), ready when all that are up have been looked at.
// within: {enter, leave}, called around the start, as what this process is in the child will be in.
export async function gateway(nodes, { flags = [], env, limits, within: place, up = nodes.length, learn = false } = {}) {
    const slots = (node) => (node.slots && !learn ? `,slots=${node.slots}` : '');
    const named = nodes.flatMap((node, i) => ['--node', `${node.url ?? node},name=n${i + 1}${slots(node)}`]);
    place?.enter();
    const started = run(['serve', '--listen', '127.0.0.1:0', '--health-interval', '200ms', '--inventory-ps', '200ms',
        ...named, ...flags], { env, limits });
    place?.leave();
    const front = await started.listening();
    front.nodes = async () => (await ask(`${front.url}/api/nodes/detailed`)).json.nodes;
    front.node = async (name) => (await front.nodes()).find((node) => node.id === name);
    front.metric = async (name, labels = '') => {
        const page = (await ask(`${front.url}/metrics`)).text;
        const lines = page.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
        return lines.filter((line) => line.includes(labels)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    };
    if (up) await until(`${up} nodes up`, async () => (await front.nodes()).filter((n) => n.state === 'up').length === up);
    return front;
}

// count simulated nodes alike, with their models loaded unless they are `cold`, and a gateway before them.
export async function fleet(count, { cold = false, ...node } = {}, front = {}) {
    const nodes = await Promise.all(Array.from({ length: count }, () => simnode(node)));
    if (!cold) await Promise.all(nodes.map((n) => n.warm()));
    const gate = await gateway(nodes, front);
    return {
        nodes, gate, url: gate.url, port: gate.port,
        async stop() {
            await gate.stop();
            await Promise.all(nodes.map((n) => n.stop()));
        },
        // The node that has this model work in hand now.
        async busy() {
            return until('a busy node', async () => {
                for (const n of nodes) if ((await n.stats()).active > 0) return n;
                return null;
            });
        },
        async total(field) {
            const all = await Promise.all(nodes.map((n) => n.stats()));
            return all.reduce((sum, stats) => sum + stats[field], 0);
        },
    };
}

// ---- HTTP -----------------------------------------------------------------------------------------------------------

// One request: body may be a string, a Buffer, or an object (sent as JSON). -> {status, headers, type, buffer, text, json}
export function ask(url, { method, headers = {}, body, agent } = {}) {
    const bytes = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const given = { ...headers };
    if (bytes !== body) given['Content-Type'] ??= 'application/json';
    if (bytes !== undefined) given['Content-Length'] ??= Buffer.byteLength(bytes);
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method: method ?? (body === undefined ? 'GET' : 'POST'), headers: given, agent });
        request.on('error', reject);
        request.on('response', (response) => {
            const parts = [];
            response.on('data', (part) => parts.push(part));
            response.on('error', reject);
            response.on('end', () => resolve(reply(response, Buffer.concat(parts))));
        });
        request.end(bytes);
    });
}

function reply(response, buffer) {
    const text = buffer.toString();
    return {
        status: response.statusCode, headers: response.headers, raw: response.rawHeaders, buffer, text,
        type: response.headers['content-type'],
        get json() { return JSON.parse(text); },
        get records() { return ndjson(text); },
        get events() { return sse(text); },
    };
}

// Lines of a stream, each one JSON value that ends with a line feed; anything else is an error.
// A POST; calls onRecord with the number of each record as it comes.
export function streamed(url, headers, body, onRecord) {
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method: 'POST', headers }, (reply) => {
            let text = '', told = 0;
            reply.on('data', (piece) => {
                text += piece;
                for (const n = text.split('\n').length - 1; told < n; ) onRecord(++told, reply);
            });
            reply.on('end', () => resolve({ text, trailers: reply.trailers, node: reply.headers['x-ollamamax-node'] }));
            reply.on('error', reject);
        });
        request.on('error', reject);
        request.end(JSON.stringify(body));
    });
}

export function ndjson(text) {
    assert.ok(text.endsWith('\n'), `the last line is cut: ${text.slice(-200)}`);
    return text.slice(0, -1).split('\n').map((line) => JSON.parse(line));
}

// -> [{event, data}]; data parsed unless it is [DONE].
export function sse(text) {
    assert.ok(text.endsWith('\n\n'), `the last event is cut: ${text.slice(-200)}`);
    return text.slice(0, -2).split('\n\n').map((block) => {
        const found = { event: undefined, data: undefined };
        for (const line of block.split('\n')) {
            const [, name, value] = /^(event|data): (.*)$/.exec(line) ?? assert.fail(`not an event: ${line}`);
            found[name] = name === 'data' && value !== '[DONE]' ? JSON.parse(value) : value;
        }
        return found;
    });
}

// ---- a raw connection -----------------------------------------------------------------------------------------------

// Sends exactly what it is told and reads responses by their framing: for requests of clients that are not here, for
// broken ones, and for what a library hides.
export class Wire {
    static async open(port, host = '127.0.0.1') {
        const socket = net.connect({ port, host, noDelay: true });
        await once(socket, 'connect');
        return new Wire(socket);
    }

    constructor(socket) {
        this.socket = socket;
        this.in = Buffer.alloc(0);
        this.over = false;
        this.wake = () => {};
        socket.on('data', (bytes) => { this.in = Buffer.concat([this.in, bytes]); this.wake(); });
        socket.on('error', (error) => { this.error = error; });
        socket.on('close', () => { this.over = true; this.wake(); });
        socket.on('end', () => { this.over = true; this.wake(); });
    }

    // Lines of a head may be written with \n alone.
    send(head, body = '') {
        this.socket.write(head.replace(/\r?\n/g, '\r\n'));
        if (body.length) this.socket.write(body);
        return this;
    }

    // A request as that client writes it: its head lines in order, Content-Length added where there is a body.
    request(line, fields, body) {
        const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
        const length = text === undefined ? [] : [`Content-Length: ${Buffer.byteLength(text)}`];
        return this.send([`${line} HTTP/1.1`, ...fields, ...length, '', ''].join('\n'), text);
    }

    async more(what) {
        if (this.over) throw new Error(`the connection ended in ${what}; read: ${JSON.stringify(this.in.toString().slice(0, 300))}`);
        await within(90_000, what, new Promise((resolve) => { this.wake = resolve; }));
    }

    async take(n, what) {
        while (this.in.length < n) await this.more(what);
        const taken = this.in.subarray(0, n);
        this.in = this.in.subarray(n);
        return taken;
    }

    async line(what) {
        let at;
        while ((at = this.in.indexOf('\r\n')) < 0) await this.more(what);
        return (await this.take(at + 2, what)).subarray(0, at).toString('latin1');
    }

    // -> {status, fields: [[name, value]], get(name)}
    async head() {
        const [, status] = /^HTTP\/1\.1 (\d+) /.exec(await this.line('a status line')) ?? assert.fail('not a status line');
        const fields = [];
        for (let line; (line = await this.line('a head')) !== '';) fields.push(line.split(/: */, 2));
        const get = (name) => fields.filter(([n]) => n.toLowerCase() === name.toLowerCase()).map(([, v]) => v).join(', ');
        return { status: Number(status), fields, get };
    }

    // One chunk; null is the last one.
    async chunk() {
        const size = parseInt(await this.line('a chunk'), 16);
        const bytes = await this.take(size, 'a chunk');
        await this.take(2, 'the end of a chunk');
        return size ? bytes : null;
    }

    async body(head) {
        if (!/chunked/.test(head.get('Transfer-Encoding'))) return this.take(Number(head.get('Content-Length') || 0), 'a body');
        const parts = [];
        for (let part; (part = await this.chunk());) parts.push(part);
        return Buffer.concat(parts);
    }

    // -> {status, get, text}
    async response({ toHead = false } = {}) {
        const head = await this.head();
        const bytes = toHead || head.status === 204 ? Buffer.alloc(0) : await this.body(head);
        return { ...head, bytes, text: bytes.toString() };
    }

    async ended() {
        if (!this.over) await within(90_000, 'the end of the connection', new Promise((resolve) => { this.wake = () => this.over && resolve(); }));
    }

    close() { this.socket.destroy(); }
}

// ---- clients that are not here --------------------------------------------------------------------------------------

// What the Go command-line client (api/client.go) and ollama-python (httpx) write, field by field.
export const go = (port, more = []) => [`Host: 127.0.0.1:${port}`, 'User-Agent: ollama/0.12.6 (amd64 linux) Go/go1.24.1', ...more];
export const goJson = (port, accept = 'application/json') => go(port, [`Accept: ${accept}`, 'Content-Type: application/json', 'Accept-Encoding: gzip']);
export const python = (port) => [`Host: 127.0.0.1:${port}`, 'Accept-Encoding: gzip, deflate', 'Connection: keep-alive',
    'Content-Type: application/json', 'Accept: application/json', 'User-Agent: ollama-python/0.6.0 (x86_64 linux) Python/3.12.3'];
