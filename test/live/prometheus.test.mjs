// What people watch a fleet with, as Debian ships it: promtool reads the metrics, a Prometheus scrapes them and answers a
// query, an Alertmanager receives an alert and hears that it is over. On loopback ports of the moment, in folders that go.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ask, fleet, until, within } from './lib.mjs';

const installed = (name) => ['/usr/bin', '/usr/local/bin'].some((folder) => fs.existsSync(path.join(folder, name)));
const lacks = (...names) => {
    const missing = names.filter((name) => !installed(name));
    return missing.length ? `not run: ${missing.join(', ')} is not installed (tools/packages)` : false;
};

async function freePort() {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
}

// One of Debian's programs; it dies with the test.
function start(command, args) {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const program = { said: '', child };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { program.said += text; });
    const ended = once(child, 'exit');
    program.stop = async () => {
        child.kill('SIGTERM');
        try {
            await within(10_000, `end of ${command}`, ended);
        } finally {
            child.kill('SIGKILL');
        }
    };
    return program;
}

const chat = (url, model = 'llama3.2') => ask(`${url}/api/chat`, { body: { model, messages: [{ role: 'user', content: 'Hello' }], options: { num_predict: 4 } } });

describe('metrics and alerts, as others see them', () => {
    let f, folder, hook, calls;

    before(async () => {
        folder = fs.mkdtempSync(path.join(os.tmpdir(), 'omx-prometheus-'));
        calls = [];
        hook = http.createServer((request, response) => {
            let body = '';
            request.on('data', (part) => { body += part; }).on('end', () => {
                calls.push({ url: request.url, body: JSON.parse(body) });
                response.writeHead(calls.length === 1 ? 500 : 204).end();
            });
        }).listen(0, '127.0.0.1');
        await once(hook, 'listening');
    });
    after(async () => {
        hook?.close();
        fs.rmSync(folder, { recursive: true, force: true });
    });

    const serve = (flags = []) => fleet(2, { models: ['llama3.2=16MiB'], slots: 2, 'load-rate': '4GiB/s', prefill: 0, decode: 400 }, { flags });

    test('promtool finds nothing wrong with the page', { skip: lacks('promtool') }, async () => {
        f = await serve();
        try {
            for (let i = 0; i < 3; i++) assert.equal((await chat(f.url)).status, 200);
            assert.equal((await chat(f.url, 'nobody-has-this')).status, 404);
            const page = await ask(`${f.url}/metrics`);
            assert.equal(page.type, 'text/plain; version=0.0.4; charset=utf-8');
            const check = spawnSync('promtool', ['check', 'metrics'], { input: page.text, encoding: 'utf8' });
            assert.equal(check.status, 0, check.stdout + check.stderr);
            assert.equal((check.stdout + check.stderr).trim(), '');
            // What the gateway does itself takes less than a turn of its loop, and is measured nevertheless.
            const sum = (name) => Number(page.text.split('\n').find((line) => line.startsWith(name)).split(' ').at(-1));
            await ask(`${f.url}/api/nodes`);
            const later = (await ask(`${f.url}/metrics`)).text.match(/request_duration_seconds_sum\{route="nodes"\} (\S+)/)[1];
            assert.ok(Number(later) > 0, `an answer of its own took ${later} s`);
            assert.ok(sum('ollamamax_added_seconds_sum') > 0, 'no time was added');
        } finally {
            await f.stop();
        }
    });

    test('a Prometheus scrapes it and answers a query', { skip: lacks('prometheus') }, async () => {
        f = await serve();
        const port = await freePort(), file = path.join(folder, 'prometheus.yml');
        fs.writeFileSync(file, ['global: {scrape_interval: 1s, scrape_timeout: 1s}', 'scrape_configs:',
            '  - job_name: ollama-api', `    static_configs: [{targets: ['127.0.0.1:${f.port}']}]`, ''].join('\n'));
        const prometheus = start('prometheus', [`--config.file=${file}`, `--storage.tsdb.path=${path.join(folder, 'tsdb')}`,
            `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn']);
        const query = async (text) => {
            const answer = await ask(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(text)}`);
            return answer.status === 200 ? answer.json.data.result : [];
        };
        try {
            await until('a scrape', async () => (await query('up{job="ollama-api"} == 1')).length === 1, 60_000);
            for (let i = 0; i < 5; i++) assert.equal((await chat(f.url)).status, 200);
            const five = async () => (await query('sum(ollamamax_requests_total{route="chat",code="200",model="llama3.2"})'))[0]?.value[1] === '5';
            await until('five requests in Prometheus', five, 30_000);
            assert.equal((await query('count(ollamamax_node_up == 1)'))[0].value[1], '2');
            const first = await query('histogram_quantile(0.95, sum by (le) (ollamamax_time_to_first_token_seconds_bucket))');
            assert.ok(Number(first[0].value[1]) > 0, 'a percentile comes of the buckets');
            const targets = (await ask(`http://127.0.0.1:${port}/api/v1/targets`)).json.data.activeTargets;
            assert.equal(targets[0].lastError, '');
        } finally {
            await prometheus.stop();
            await f.stop();
        }
    });

    test('an Alertmanager receives an alert and hears that it is over', { skip: lacks('prometheus-alertmanager') }, async () => {
        const port = await freePort(), file = path.join(folder, 'alertmanager.yml'), at = `http://127.0.0.1:${port}`;
        fs.writeFileSync(file, 'route: {receiver: none}\nreceivers: [{name: none}]\n');
        const manager = start('prometheus-alertmanager', [`--config.file=${file}`, `--storage.path=${path.join(folder, 'manager')}`,
            `--web.listen-address=127.0.0.1:${port}`, '--cluster.listen-address=', '--log.level=warn']);
        try {
            await until('an Alertmanager', async () => (await ask(`${at}/-/ready`)).status === 200, 60_000);
            f = await serve(['--alerts-alertmanager', at, '--alerts-webhook', `http://127.0.0.1:${hook.address().port}/hook?key=hush`]);
            const trial = await ask(`${f.url}/api/alerts/test`, { method: 'POST' });
            assert.deepEqual(trial.json.receivers.map(({ kind, ok, status }) => ({ kind, ok, status })),
                [{ kind: 'webhook', ok: false, status: 500 }, { kind: 'alertmanager', ok: true, status: 200 }]);
            assert.equal(trial.json.ok, false);
            const known = async (name) => (await ask(`${at}/api/v2/alerts?active=true`)).json.find((a) => a.labels.alertname === name);
            assert.match((await known('test')).annotations.summary, /nothing is wrong/);

            const heard = (state) => calls.some((c) => c.body.alerts.some((a) => a.name === 'node_down' && a.state === state));
            await f.nodes[1].kill();
            const down = await until('node_down in Alertmanager', () => known('node_down'), 60_000);
            assert.deepEqual(down.labels, { alertname: 'node_down', node: 'n2', severity: 'critical', source: 'ollamamax' });
            assert.match(down.annotations.summary, /^node n2 is down: /);
            assert.equal(down.status.state, 'active');
            await until('the webhook has heard', () => heard('firing'), 20_000);
            assert.ok(calls.every((c) => c.url === '/hook?key=hush'));
            assert.ok(!(await ask(`${f.url}/api/alerts`)).text.includes('hush'), 'keys in addresses are not shown');

            assert.equal((await ask(`${f.url}/api/nodes/n2`, { method: 'DELETE' })).status, 204);
            await until('node_down is over in Alertmanager', async () => !(await known('node_down')), 60_000);
            await until('the webhook has heard that too', () => heard('resolved'), 20_000);
        } finally {
            await f?.stop();
            await manager.stop();
        }
    });
});
